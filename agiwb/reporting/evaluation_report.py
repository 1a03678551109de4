"""The report on an evaluation: one part of the page after the other, sentences first."""

from __future__ import annotations

import re

from agiwb.evaluation.comparing import (
    COUNT,
    SliceChange,
    gaps,
    independent_changes,
    paired_changes,
    paired_metrics,
)
from agiwb.evaluation.fairness import worst_parity
from agiwb.evaluation.opened import Evaluation
from agiwb.evaluation.record import EvaluateRecord
from agiwb.evaluation.stored import WHOLE
from agiwb.reporting.curves import (
    calibration_sentence,
    matrix_table,
    plot_calibration,
    plot_over_time,
    plot_thresholds,
    threshold_sentence,
)
from agiwb.reporting.evaluation import plot_slices, slice_table
from agiwb.reporting.fairness import (
    disparity_table,
    fairness_sentences,
    group_table,
    plot_groups,
)
from agiwb.reporting.page import Section
from agiwb.reporting.tables import Table

_MOST_GAPS = 12
_NAMED = 5
"""Slices that a sentence names."""
_RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")


def evaluation_sections(found: Evaluation, other: EvaluateRecord | None = None) -> list[Section]:
    """Return the parts of the report, but the threshold's, which moves.

    Args:
        found: The evaluation.
        other: Another one on the same data to compare with; by default the baseline it had.
    """
    made = [_verdict(found.record), _slices(found)]
    made += _side_by_side(found, other)
    made += _confusion(found.record) + _calibration(found)
    return made + _fairness(found.record) + _gaps(found) + _over_time(found)


def threshold_section(
    found: Evaluation, name: str, class_id: int | None, threshold: float
) -> Section:
    """Return what a threshold does to one class in one slice, from the stored matrices."""
    matrices = found.curves.matrices.get((found.model, name, class_id))
    if matrices is None:
        return Section("At a threshold", "No curves were stored for this slice and class.")
    label = {index: text for text, index in found.classes}.get(class_id, "the class")
    chosen = matrices.at(threshold)
    small = matrices.positives + matrices.negatives < found.record.config.min_slice_size
    note = ("This slice has too few examples to be judged: take its curves as noise.",)
    groups = found.fairness_at(class_id, chosen.threshold)
    return Section(
        "At a threshold",
        threshold_sentence(chosen, label),
        plot_thresholds(matrices, chosen, f"{label} in {name}").html(),
        matrix_table(chosen, label).html() + "".join(group_table(one).html() for one in groups),
        details=(*(note if small else ()), *fairness_sentences(groups)),
    )


def _verdict(record: EvaluateRecord) -> Section:
    split = record.config.split
    if record.accuracy_interval is not None:
        low, high = record.accuracy_interval
        figure = (
            f"{record.artifact_name} is right in {record.metrics[f'{split}_accuracy']:.1%} "
            f"({low:.1%} to {high:.1%}) of {record.examples:,} examples"
        )
    else:
        figure = (
            f"{record.artifact_name} is off by {record.metrics[f'{split}_mae']:.4g} on average "
            f"over {record.examples:,} examples"
        )
    word = "Blessed: every threshold holds" if record.blessed else "Not blessed"
    sentence = f"{word}. {figure} of the {split} split of {record.dataset}."
    return Section("Verdict", sentence, passed=record.blessed, details=record.problems)


def _slices(found: Evaluation) -> Section:
    record = found.record
    failed = sorted(
        (one for one in record.slices if one.judged and not one.passed),
        key=lambda one: one.accuracy,
    )
    small = sum(not one.judged for one in record.slices)
    worst = min(record.slices, key=lambda one: one.accuracy, default=None)
    if worst is None:
        sentence = f"Errors on {len(record.errors)} slices."
    elif failed:
        names = ", ".join(f"{one.column} = {one.value}" for one in failed[:_NAMED])
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        sentence = (
            f"Of {len(record.slices)} slices {len(failed)} are below the threshold, the worst "
            f"first: {names}{more}."
        )
    else:
        sentence = f"None of {len(record.slices)} slices is below the threshold."
    if small:
        sentence += (
            f" With fewer than {record.config.min_slice_size} examples, {small} of them are "
            "marked and not judged."
        )
    return Section(
        "Slices",
        sentence,
        plot_slices(record).html(),
        slice_table(record).html(),
        passed=not failed,
    )


def _side_by_side(found: Evaluation, other: EvaluateRecord | None) -> list[Section]:
    record = found.record
    if other is not None:
        named = f"{other.artifact_name} (run {other.run.id[:8]})"
        changes = independent_changes(record, other)
        how = (
            "Intervals are as if both had been asked other examples; as these are the same, true "
            "differences are clearer than that. Evaluate with `baseline` for paired ones."
        )
        return [_changes(changes, "accuracy", named, how)] if changes else []
    made = []
    how = (
        "Both models were asked the same examples; intervals are paired, by bootstrap. Of 20 "
        "slices that are alike, one is expected to look different."
    )
    for metric in paired_metrics(found.metrics)[:2]:
        changes = paired_changes(found.metrics, metric, record.config.min_slice_size)
        named = f"the baseline {_RUN_ID.sub(_shortened, str(record.config.baseline))}"
        made.append(_changes(changes, metric.replace("_", " "), named, how))
    return made


def _shortened(found: re.Match[str]) -> str:
    return f"{found[0][:8]}"


def _changes(changes: list[SliceChange], metric: str, named: str, how: str) -> Section:
    slices = [one for one in changes if one.slice != WHOLE]
    worse = [one for one in slices if one.direction == "worse"]
    better = [one for one in slices if one.direction == "better"]
    whole = next((one for one in changes if one.slice == WHOLE), None)
    sentence = f"In {metric}, beside {named}: "
    if whole is not None:
        sentence += f"{whole.direction} on all examples ({whole.difference:+.4f}); "
    sentence += f"{len(worse)} of {len(slices)} slices got worse"
    sentence += ": " + ", ".join(one.slice for one in worse) if worse else ""
    sentence += f", and {len(better)} better."
    rows = [
        {
            "slice": one.slice,
            "examples": f"{one.examples:,}",
            "this model": f"{one.value:.4f}",
            "the other": f"{one.other:.4f}",
            "difference": f"{one.difference:+.4f}",
            "95 % interval": _between(one),
            "verdict": one.direction,
        }
        for one in sorted(changes, key=lambda one: (one.slice != WHOLE, one.difference))
    ]
    title = f"Side by side: {metric}"
    return Section(title, sentence, "", Table.of(rows).html(), not worse, (how,))


def _between(one: SliceChange) -> str:
    return "" if one.interval is None else f"{one.interval.low:+.4f} to {one.interval.high:+.4f}"


def _confusion(record: EvaluateRecord) -> list[Section]:
    if not record.confusion:
        return []
    wrong = [
        (count, record.classes[row], record.classes[column])
        for row, counts in enumerate(record.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    if wrong:
        count, true, named = max(wrong)
        sentence = f"The most frequent mistake: {true} is taken for {named}, {count} times."
    else:
        sentence = "No example is taken for another class."
    rows = [
        {"is": name, **{f"named {other}": str(n) for other, n in zip(record.classes, counts)}}  # noqa: B905
        for name, counts in zip(record.classes, record.confusion, strict=True)
    ]
    return [Section("Mistakes", sentence, "", Table.of(rows).html())]


def _calibration(found: Evaluation) -> list[Section]:
    bins = found.curves.calibration.get((found.model, WHOLE))
    if bins is None:
        return []
    rows = []
    for (model, name), one in found.curves.calibration.items():
        error = one.expected_calibration_error
        if model == found.model and error is not None:
            few = one.examples.sum() < found.record.config.min_slice_size
            rows.append(
                {
                    "slice": name,
                    "examples": f"{one.examples.sum():g}",
                    "expected calibration error": f"{error:.3f}",
                    "": "too few to judge" if few else "",
                }
            )
    rows.sort(key=lambda row: row["slice"] != WHOLE)
    picture = plot_calibration(bins, found.record.artifact_name).html()
    return [Section("Calibration", calibration_sentence(bins), picture, Table.of(rows).html())]


def _fairness(record: EvaluateRecord) -> list[Section]:
    found = record.fairness
    if not found:
        return []
    first, *rest = fairness_sentences(found) or ("No two groups are large enough to be compared.",)
    shown = next((one for worst in (worst_parity(found),) if worst for one in worst[:1]), found[0])
    how = (
        "A class is named where it is the most probable one. Intervals of groups are of 95 % each; "
        "those of disparities hold for all pairs of a column's groups at once. Groups of fewer "
        f"than {record.config.min_slice_size} examples are marked and not compared, nor are rates "
        "of fewer than 10. Where a class is not equally frequent in all groups, equal selection "
        "rates and equal odds exclude each other: which is fair is not for a figure to say."
    )
    return [
        Section(
            "Fairness",
            first,
            plot_groups(shown).html(),
            disparity_table(found).html() + group_table(shown).html(),
            details=(*rest, how),
        )
    ]


def _gaps(found: Evaluation) -> list[Section]:
    widest = gaps(found.metrics, found.record.config.min_slice_size)
    if not widest:
        return []
    first = next((one for one in widest if "accuracy" in one.metric), widest[0])
    rows = [
        {
            "column": one.column,
            "metric": one.metric.replace("_", " "),
            "gap": f"{one.size:.4f}",
            "lowest": f"{one.low_group} ({one.low:.4f})",
            "highest": f"{one.high_group} ({one.high:.4f})",
        }
        for one in widest[:_MOST_GAPS]
        if one.metric != COUNT
    ]
    sentence = (
        f"By {first.column}, {first.metric.replace('_', ' ')} goes from {first.low:.4f} "
        f"({first.low_group}) to {first.high:.4f} ({first.high_group}): a gap of {first.size:.4f}. "
        f"Groups of fewer than {found.record.config.min_slice_size} examples are left out."
    )
    return [Section("Gaps between groups", sentence, "", Table.of(rows).html())]


def _over_time(found: Evaluation) -> list[Section]:
    known = [one for one in found.others if one.accuracy_interval is not None]
    if len(known) < 2:
        return []
    record = found.record
    sentence = (
        f"The last {len(known)} evaluations on the {record.config.split} split of "
        f"{record.dataset}, the oldest first; this one is red."
    )
    return [Section("Over time", sentence, plot_over_time(known, record.run.id).html())]
