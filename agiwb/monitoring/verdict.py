"""What a window's figures mean, in plain words with the numbers after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from agiwb.monitoring.drift import OutputDrift
from agiwb.monitoring.estimate import AccuracyEstimate
from agiwb.monitoring.quality import QualityFinding


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


def describe_alarms(figures: Figures, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each thing that alarms; none means that all is as in training."""
    return (
        *_feature_alarm(figures),
        *_output_alarms(figures.output, classes),
        *_quality_alarms(figures.quality),
    )


def describe_window(figures: Figures, alarms: Sequence[str]) -> tuple[str, ...]:
    """Return the verdict, the ``alarms`` behind it, and what accuracy is to be expected."""
    verdict = (
        f"Alarm: what is served is no longer what the model was trained on ({figures.rows} rows)."
        if alarms
        else f"No alarm: the {figures.rows} served rows look like the training data "
        f"(none of {figures.features} features drifted, nor did the answers)."
    )
    return (verdict, *alarms, *_expectation(figures))


def _feature_alarm(figures: Figures) -> Iterator[str]:
    if not figures.drifted:
        return
    worst = figures.drifted[0]
    share = figures.drifted_count / figures.features
    yield (
        f"{figures.drifted_count} of {figures.features} features drifted ({share:.0%}), most of "
        f"all {worst.feature}: its mean went from {worst.training_mean:.3g} to "
        f"{worst.window_mean:.3g} (effect {worst.effect:.2f}, {_chance(worst.p_value)}; chance "
        f"explains effects up to {figures.effect_threshold:.2f})."
    )


def _output_alarms(output: OutputDrift | None, classes: Sequence[str]) -> Iterator[str]:
    if output is None:
        return
    if output.score_drifted:
        direction = "less" if output.window_score < output.reference_score else "more"
        yield (
            f"The model is {direction} sure of its answers than on the validation split: its top "
            f"probability is {output.window_score:.2f} on average, and was "
            f"{output.reference_score:.2f} (effect {output.score_effect:.2f}, "
            f"{_chance(output.score_p_value)})."
        )
    if output.classes_drifted:
        pairs = list(zip(output.reference_shares, output.window_shares, strict=True))
        place = max(range(len(pairs)), key=lambda index: abs(pairs[index][0] - pairs[index][1]))
        before, now = pairs[place]
        yield (
            f"The model names the classes in other proportions, most of all {classes[place]}: "
            f"{now:.0%} of the answers, and {before:.0%} on the validation split "
            f"(effect {output.classes_effect:.2f}, {_chance(output.classes_p_value)})."
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


def _expectation(figures: Figures) -> Iterator[str]:
    if figures.estimate is None:
        yield "No accuracy can be expected: the model gave no finite answer."
        return
    value, (low, high) = figures.estimate
    yield (
        f"The model is expected to be right in {value:.1%} of the rows ({low:.1%} to {high:.1%}); "
        f"on the validation split it is in {figures.reference_accuracy:.1%}. This takes its "
        "certainty to mean what it meant there: what is truly right, only labels can show."
    )


def _chance(p_value: float) -> str:
    return "p < 1e-12" if p_value < 1e-12 else f"p = {p_value:.1g}"
