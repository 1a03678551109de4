"""What a window's figures mean, in plain words with the numbers after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.anomalies import Anomaly
from agiwb.monitoring.categories import DriftedCodes
from agiwb.monitoring.chance import chance
from agiwb.monitoring.changes import Change
from agiwb.monitoring.consequence import WORTH_SAYING, Consequence
from agiwb.monitoring.estimate import AccuracyEstimate
from agiwb.monitoring.hours import DriftedHour, describe_hours
from agiwb.monitoring.labelled import Performance, describe_blind_spot
from agiwb.monitoring.output import OutputDrift
from agiwb.monitoring.quality import QualityFinding
from agiwb.monitoring.slices import SliceDrift, describe_slices, small_slices
from agiwb.monitoring.two_sample import SampleTest
from agiwb.monitoring.worst_slices import WeakSlice


class DriftedFeature(BaseModel):
    """One feature that drifted; means are in the data's own units, the rest is as in FeatureDrift.

    ``window_mean`` is over the values that are finite.
    """

    model_config = ConfigDict(frozen=True)

    feature: str
    effect: float
    p_value: float
    psi: float
    divergence: float
    wasserstein: float
    training_mean: float
    window_mean: float


@dataclass(frozen=True)
class Figures:
    """What was found in a window of ``rows`` rows; ``drifted`` has the strongest first."""

    rows: int
    features: int
    drifted_count: int
    drifted: tuple[DriftedFeature, ...]
    effect_threshold: float
    output: OutputDrift | None
    quality: tuple[QualityFinding, ...]
    estimate: AccuracyEstimate | None
    reference_accuracy: float
    samples: SampleTest | None = None
    limit: float = 0.0
    """A p-value of ``samples`` or ``performance`` below this alarms."""
    codes: tuple[DriftedCodes, ...] = ()
    hours: tuple[DriftedHour, ...] = ()
    performance: Performance | None = None
    consequences: tuple[Consequence, ...] = ()
    weak_slices: tuple[WeakSlice, ...] = ()
    slice_consequences: tuple[Consequence, ...] = ()
    """Of the drifted features in the worst of ``weak_slices``."""
    anomalies: tuple[Anomaly, ...] = ()
    slices: tuple[SliceDrift, ...] = ()
    changes: tuple[Change, ...] = ()
    loss_changes: tuple[Change, ...] = ()
    """Of the share of wrong answers, in the order of the rows with a label."""
    label_first: tuple[int, ...] = ()


def describe_alarms(figures: Figures, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each thing that alarms; none means that all is as in training."""
    return (
        *_labels_alarm(figures),
        *_feature_alarm(figures),
        *_output_alarms(figures.output, classes),
        *_quality_alarms(figures.quality),
        *_whole_alarms(figures),
    )


def describe_window(figures: Figures, alarms: Sequence[str]) -> tuple[str, ...]:
    """Return the verdict, the ``alarms`` behind it, and what accuracy is to be expected."""
    verdict = (
        f"Alarm: what is served is no longer what the model was trained on ({figures.rows} rows)."
        if alarms
        else f"No alarm: the {figures.rows} served rows look like the training data "
        f"(none of {figures.features} features drifted, nor did the answers)."
    )
    return (
        verdict,
        *alarms,
        *_expectation(figures),
        *_labels(figures, alarms),
        *_consequences(figures),
        *((small,) if (small := small_slices(figures.slices)) else ()),
        *_blind_spot(figures),
    )


def _feature_alarm(figures: Figures) -> Iterator[str]:
    if not figures.drifted:
        return
    worst = figures.drifted[0]
    share = figures.drifted_count / figures.features
    yield (
        f"{figures.drifted_count} of {figures.features} features drifted ({share:.0%}), most of "
        f"all {worst.feature}: its mean went from {worst.training_mean:.3g} to "
        f"{worst.window_mean:.3g} (effect {worst.effect:.2f}, {chance(worst.p_value)}; chance "
        f"explains effects up to {figures.effect_threshold:.2f})."
    )


def _labels_alarm(figures: Figures) -> Iterator[str]:
    found = figures.performance
    if found is not None and found.p_value is not None and found.p_value < figures.limit:
        yield f"The labels that came in show that the model got worse. {found.sentence}"


def _labels(figures: Figures, alarms: Sequence[str]) -> Iterator[str]:
    """Yield what the labels show unless that is an alarm already."""
    found = figures.performance
    if found is not None and not any(alarm.endswith(found.sentence) for alarm in alarms):
        yield found.sentence


def _output_alarms(output: OutputDrift | None, classes: Sequence[str]) -> Iterator[str]:
    if output is None:
        return
    if output.score_drifted:
        direction = "less" if output.window_score < output.reference_score else "more"
        yield (
            f"The model is {direction} sure of its answers than on the validation split: its top "
            f"probability is {output.window_score:.3f} on average, and was "
            f"{output.reference_score:.3f} (effect {output.score_effect:.2f}, "
            f"{chance(output.score_p_value)})."
        )
    if output.classes_drifted:
        pairs = list(zip(output.reference_shares, output.window_shares, strict=True))
        place = max(range(len(pairs)), key=lambda index: abs(pairs[index][0] - pairs[index][1]))
        before, now = pairs[place]
        yield (
            f"The model names the classes in other proportions, most of all {classes[place]}: "
            f"{now:.0%} of the answers, and {before:.0%} on the validation split "
            f"(effect {output.classes_effect:.2f}, {chance(output.classes_p_value)})."
        )


def _quality_alarms(findings: Sequence[QualityFinding]) -> Iterator[str]:
    """Yield one sentence for each kind: the finding that affects most rows, and how many more."""
    counts = Counter(finding.kind for finding in findings)
    for kind, count in counts.items():
        worst = max(
            (finding for finding in findings if finding.kind == kind), key=lambda found: found.share
        )
        if count == 1:
            yield worst.sentence
        else:
            others = "another feature" if count == 2 else f"{count - 1} other features"
            yield f"{worst.sentence} So it is with {others}."


def _whole_alarms(figures: Figures) -> Iterator[str]:
    if figures.codes:
        others = len(figures.codes) - 1
        more = f" So it is with {others} other features." if others else ""
        yield f"{figures.codes[0].sentence}{more}"
    if told := describe_slices(figures.slices):
        yield told
    if figures.hours:
        yield describe_hours(figures.hours)
    samples = figures.samples
    if samples is not None and samples.p_value < figures.limit:
        yield (
            f"Taken as a whole the rows can be told from the training data: a classifier ranks "
            f"{samples.auc:.0%} of the pairs rightly, and by chance 50% "
            f"({chance(samples.p_value)})."
        )
    for anomaly in figures.anomalies:
        yield anomaly.sentence
    for change in figures.changes:
        yield (
            f"From row {change.since} on the model's top probability is {change.after:.2f} on "
            f"average, and before it was {change.before:.2f} (found at row {change.row})."
        )
    for change in figures.loss_changes:
        yield (
            f"Of the rows with a label, {change.after:.1%} are wrong from number {change.since} "
            f"on, and {change.before:.1%} were before (found at number {change.row})."
        )


def _consequences(figures: Figures) -> Iterator[str]:
    """Yield what the drift does to the model: overall, and where it does most."""
    worst = [one for one in figures.consequences if one.change <= -WORTH_SAYING]
    if worst:
        yield (
            f"Expected accuracy {worst[0].change:+.3f} because of {worst[0].feature}: put back to "
            f"where it was, it changes {worst[0].changed_answers:.1%} of the answers."
        )
    elif figures.consequences:
        yield (
            f"The drift of {_counted(len(figures.consequences))} does little to the expected "
            f"accuracy: {figures.consequences[0].change:+.3f} at worst."
        )
    if figures.weak_slices:
        weak = figures.weak_slices[0]
        cause = ""
        inside = [one for one in figures.slice_consequences if one.change <= -WORTH_SAYING]
        if inside:
            cause = f", {inside[0].change:+.3f} of it because of {inside[0].feature}"
        yield (
            f"The weakest slice is {weak.rule} ({weak.rows} rows): expected accuracy "
            f"{1 - weak.loss:.1%}, elsewhere {1 - weak.rest_loss:.1%}{cause}."
        )


def _counted(features: int) -> str:
    return "the one drifted feature" if features == 1 else f"the {features} strongest features"


def _blind_spot(figures: Figures) -> Iterator[str]:
    labelled = figures.performance is not None and figures.performance.accuracy is not None
    if figures.estimate is not None and not labelled:
        yield describe_blind_spot(figures.reference_accuracy, figures.label_first)


def _expectation(figures: Figures) -> Iterator[str]:
    if figures.estimate is None:
        yield "No accuracy can be expected: what was asked and answered says nothing of it."
        return
    value, (low, high) = figures.estimate
    yield (
        f"The model is expected to be right in {value:.1%} of the rows ({low:.1%} to {high:.1%}); "
        f"on the validation split it is in {figures.reference_accuracy:.1%}. This takes its "
        "certainty to mean what it meant there: what is truly right, only labels can show."
    )
