"""The sentences of a quality report: what is odd, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agiwb.datasets.quality.report import ColumnQuality, QualityReport

LEAKING = 0.97
NEARLY_CONSTANT = 0.995
IMBALANCED = 10.0
_FEW_EXAMPLES = 10
_MOSTLY_MISSING = 0.5
_OFTEN_UNSEEN = 0.01
_NAMED = 8


def findings_of(report: QualityReport) -> tuple[str, ...]:
    """Return what a user should know, in sentences, the gravest first."""
    return (
        *_leaks(report.columns),
        *_duplicates(report),
        *_classes(report),
        *_targets(report),
        *_columns(report.columns),
        *_unseen(report),
        *_media(report),
        *_bounds(report),
    )


def _leaks(columns: Sequence[ColumnQuality]) -> Iterator[str]:
    for column in columns:
        if column.skill is not None and column.skill >= LEAKING:
            yield (
                f"The column `{column.name}` alone predicts the label nearly perfectly (skill "
                f"{column.skill:.3f} of 1). If it is known only after what is to be predicted, "
                "leave it out of `features`."
            )


def _duplicates(report: QualityReport) -> Iterator[str]:
    found = report.duplicates
    for pair, count in found.across.items():
        if count:
            first, second = pair.split(" and ")
            yield (
                f"{count:,} of {report.examined[second]:,} {second} examples are also in {first}"
                f"{_where(found.rows.get(pair), first, second)}, so scores on {second} flatter. "
                "Remove them from one, unless they are different cases that look alike."
            )
    if found.disagreeing and report.task != "regression":
        yield (
            f"{found.disagreeing:,} examples have an equal with another label. Look at how they "
            "were labelled; no model can get all of them right."
        )
    for split, count in found.within.items():
        if count:
            yield (
                f"{count:,} of {report.examined[split]:,} {split} examples repeat another one"
                f"{_where(found.rows.get(split), split, split)}. Remove them if they are copies."
            )


def _where(rows: tuple[int, int] | None, first: str, second: str) -> str:
    if rows is None:
        return ""
    if first == second:
        return f" (rows {rows[0]} and {rows[1]} of {first}, counted from 0)"
    return f" (row {rows[1]} of {second} is row {rows[0]} of {first}, counted from 0)"


def _classes(report: QualityReport) -> Iterator[str]:
    for split in report.examples:
        lacking = [name for name, counts in report.classes.items() if not counts[split]]
        if lacking:
            yield (
                f"The {split} split has no example of {_listed(lacking)}. Split the data anew, or "
                "add examples."
            )
    few = [name for name, counts in report.classes.items() if 0 < counts["train"] < _FEW_EXAMPLES]
    if few:
        yield (
            f"The training split has fewer than {_FEW_EXAMPLES} examples of {_listed(few)}. Add "
            "some, or join classes."
        )
    if report.imbalance is not None and report.imbalance >= IMBALANCED:
        counts = {name: by_split["train"] for name, by_split in report.classes.items()}
        most, least = (choose(counts, key=counts.__getitem__) for choose in (max, min))
        yield (
            f"The class `{most}` has {report.imbalance:,.0f} times as many training examples as "
            f"`{least}`. Look at more than accuracy, and consider `class_weights: balanced`."
        )


def _targets(report: QualityReport) -> Iterator[str]:
    for split, spread in report.targets.items():
        if spread.smallest == spread.largest:
            yield (
                f"All targets of {split} are {spread.smallest:g}. There is nothing to learn or to "
                "judge; check the label."
            )
    train = report.targets.get("train")
    if train is None:
        return
    box = train.upper_quartile - train.lower_quartile
    reach = max(train.largest - train.upper_quartile, train.lower_quartile - train.smallest)
    if box and reach > 20 * box:
        yield (
            f"Targets reach from {train.smallest:g} to {train.largest:g}, and half of them lie "
            f"between {train.lower_quartile:g} and {train.upper_quartile:g}. Check the extremes; "
            "`loss: huber` minds them less."
        )


def _columns(columns: Sequence[ColumnQuality]) -> Iterator[str]:
    infinite = [column.name for column in columns if column.infinite]
    if infinite:
        yield f"There are infinite values in {_listed(infinite)}. Mend them before training."
    gaps = [column for column in columns if max(column.missing.values()) > 0]
    if gaps:
        worst = max(gaps, key=lambda column: max(column.missing.values()))
        share = max(worst.missing.values())
        advice = "Consider leaving it out." if share > _MOSTLY_MISSING else "See if that is meant."
        where = f"`{worst.name}`, in up to {share:.1%} of a split's examples"
        if len(gaps) > 1:
            where = f"{_listed([column.name for column in gaps])}; most of them of {where}"
        yield f"Values are missing of {where}. {advice}"
    constant = [column.name for column in columns if column.distinct < 2]
    if constant:
        yield f"The same value is in each training example: {_listed(constant)}. Leave it out."
    nearly = [
        column.name
        for column in columns
        if column.distinct >= 2 and column.most_common_share >= NEARLY_CONSTANT
    ]
    if nearly:
        yield (
            f"At least {NEARLY_CONSTANT:.1%} of the training examples share one value of "
            f"{_listed(nearly)}. It can tell little."
        )


def _unseen(report: QualityReport) -> Iterator[str]:
    """Say what other splits have that train has not, beyond what chance brings.

    Of ``n`` numbers from one source, the next lies outside their range with probability 2/(n + 1).
    """
    least = _OFTEN_UNSEEN + 5 * 2 / (report.examined["train"] + 1)
    beyond = [
        (share, split, column)
        for column in report.columns
        if column.distinct >= 2
        for split, share in column.unseen.items()
        if share > least
    ]
    if beyond:
        share, split, worst = max(beyond, key=lambda entry: entry[0])
        names = tuple(dict.fromkeys(column.name for _, _, column in beyond))
        what = "texts that train does not have" if worst.is_text else "values beyond train's"
        yield (
            f"Splits differ from train in {_listed(names)}; most in `{worst.name}`, where "
            f"{share:.1%} of the {split} examples have {what}. See whether the splits come from "
            "the same source."
        )


_MEDIA = {
    "empty": "are empty. Remove them",
    "silent": "are silent. Remove them, or give silence a class of its own",
    "clipped": "are clipped. Record them at a lower level",
    "blank": "have the same value everywhere. Remove them",
    "out of range": "have values below 0 or above the scale. Check how they were written",
    "not finite": "hold NaN or infinity. Mend them before training",
}


def _media(report: QualityReport) -> Iterator[str]:
    for name, advice in _MEDIA.items():
        counts = {
            split: round(share * report.examined[split])
            for split, share in report.measures.get(name, {}).items()
            if share > 0
        }
        if counts:
            words = ", ".join(f"{count:,} of {split}" for split, count in counts.items())
            yield f"Some examples ({words}) {advice}."


def _bounds(report: QualityReport) -> Iterator[str]:
    partly = [name for name in report.examples if report.examined[name] < report.examples[name]]
    if partly:
        words = ", ".join(
            f"{report.examined[name]:,} of {report.examples[name]:,} in {name}" for name in partly
        )
        yield (
            f"Not every example was looked at, but some spread over the data: {words}. There may "
            "be more duplicates than were counted."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"
