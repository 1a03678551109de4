"""The verdict on an artifact, as it is stored beside it."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, computed_field

from agiwb.artifacts.manifest import Format
from agiwb.conversion.parity.errors import OutputParity, compare_output
from agiwb.conversion.parity.paired import ScoreChange, change_of_score
from agiwb.conversion.parity.questions import REAL, TEST
from agiwb.conversion.parity.reference import Reference
from agiwb.conversion.parity.tensor_file import Cases
from agiwb.conversion.parity.tolerance import TOLERANCES, Tolerance
from agiwb.errors import WorkError
from agiwb.metrics.task_score import score
from agiwb.runtimes.runtime import Tensors
from agiwb.statistics import wilson_interval


class LayerDivergence(BaseModel):
    """The first layer of the model whose answers the artifact does not give.

    ``error`` is the largest difference, relative to the layer's largest absolute value, infinite
    where the artifact gives NaN; ``error_before`` that of the last layer that agrees, if there is
    one. ``fused`` are layers between the two of which the artifact has no tensor: it may have begun
    in one of them.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    layer: str
    layer_class: str
    error: float
    error_before: float | None = None
    fused: tuple[str, ...] = ()

    def __str__(self) -> str:
        before = "" if self.error_before is None else f", after {self.error_before:.1e} before it"
        differs = f"by {self.error:.2g} of its largest value"
        if not math.isfinite(self.error):
            differs = "it gives values that are NaN or infinite"
        joined = f", computed in one with {', '.join(self.fused)}" if self.fused else ""
        return (
            f"The first layer that differs is {self.layer} ({self.layer_class}){joined}: "
            f"{differs}{before}."
        )


class ParityReport(BaseModel):
    """How near an artifact is to its model; stored beside it as ``parity.json``.

    Attributes:
        passed: Whether nothing is amiss, and the model beats chance.
        examples: Real ones that were asked.
        edge_cases: That were compared; ``unanswered`` are those that the model itself refuses, or
            answers with NaN, infinity or nothing at all.
        outputs: The model's first output is the one that the metric judges.
        metric: What that is; None if answers were only compared, and so are all scores.
        change: The metric on the real examples.
        test_score: On the test split, beside the model's own; neither decides.
        chance_score: On the validation split, of knowing nothing.
        seconds: Loading and answering took, in the fresh process.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    format: Format
    passed: bool
    problems: tuple[str, ...]
    tolerance: Tolerance
    examples: int
    edge_cases: tuple[str, ...]
    unanswered: tuple[str, ...] = ()
    outputs: tuple[OutputParity, ...]
    change: ScoreChange | None
    metric: str | None
    test_score: float | None
    reference_test_score: float | None
    chance_score: float | None
    first_divergence: LayerDivergence | None = None
    seconds: float = 0.0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_abs_error(self) -> float:
        """Largest over all outputs."""
        return max(output.max_abs_error for output in self.outputs)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_rel_error(self) -> float:
        """Largest over all outputs."""
        return max(output.max_rel_error for output in self.outputs)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def top1_agreement(self) -> float | None:
        """Least over the outputs that are decided by; None if there are none."""
        shares = [output.agreement for output in self.outputs if output.agreement is not None]
        return min(shares, default=None)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kl_nats(self) -> float | None:
        """Largest over the outputs that are probabilities; None if there are none."""
        return max((o.kl_nats for o in self.outputs if o.kl_nats is not None), default=None)


def told(report: ParityReport, size_bytes: int, *, kept: bool = False) -> str:
    """Return a report as one line: errors, agreement, the score and the artifact's bytes."""
    verdict = "agrees" if report.passed else "DIVERGES, and is kept" if kept else "is REJECTED"
    if not report.problems and not report.passed:
        at = "at chance" if report.metric is not None else "that answers all alike"
        verdict = f"agrees with a model {at}, and is REJECTED"
    figures = [f"error at most {report.max_abs_error:.1e}"]
    if report.top1_agreement is not None:
        figures.append(f"{report.top1_agreement:.1%} decided alike")
    if report.kl_nats is not None:
        figures.append(f"KL {report.kl_nats:.1e} nats")
    if report.metric is not None:
        figures.append(
            f"test {report.metric} {report.test_score:.4g} "
            f"(model {report.reference_test_score:.4g})"
        )
    return f"{report.format} {verdict}: {', '.join(figures)}, {size_bytes:,} bytes."


def compare(wanted: Format, found: Cases, reference: Reference) -> ParityReport:
    """Return how near the answers of an artifact in format ``wanted`` are to the model's own.

    Args:
        wanted: Decides the tolerance.
        found: The artifact's answers, by case and output; a single output may be renamed.
        reference: The model's.

    Raises:
        WorkError: The artifact has other outputs, or outputs of other shapes.
    """
    tolerance = TOLERANCES[wanted]
    expected = reference.answers
    found = {case: _named(found[case], list(expected[REAL])) for case in expected}
    outputs = tuple(
        compare_output(
            name,
            {case: answers[name] for case, answers in found.items()},
            {case: answers[name] for case, answers in expected.items()},
            ties=tolerance.max_abs_error or 0.0,
        )
        for name in expected[REAL]
    )
    judged = reference.output
    change, test_score = None, None
    if reference.metric is not None:
        change = change_of_score(
            reference.metric, reference.labels[REAL], found[REAL][judged], expected[REAL][judged]
        )
        test_score = score(reference.metric, reference.labels[TEST], found[TEST][judged])
    problems = [
        f"{wanted}: {sentence}"
        for sentence in (
            *(words for output in outputs for words in _amiss(output, tolerance)),
            *_lost(change, tolerance),
        )
    ]
    return ParityReport(
        format=wanted,
        passed=not problems and reference.beats_chance,
        problems=tuple(problems),
        tolerance=tolerance,
        examples=len(reference.labels[REAL]),
        edge_cases=tuple(case for case in expected if case not in {REAL, TEST}),
        unanswered=reference.unanswered,
        outputs=outputs,
        change=change,
        metric=reference.metric,
        test_score=test_score,
        reference_test_score=reference.test_score,
        chance_score=reference.chance,
    )


def _named(answers: Tensors, names: list[str]) -> Tensors:
    if len(names) == len(answers) == 1:
        return dict(zip(names, answers.values(), strict=True))
    if set(names) != set(answers):
        raise WorkError(
            f"The artifact has the outputs {', '.join(answers)}, and the model {', '.join(names)}."
        )
    return answers


def _amiss(output: OutputParity, tolerance: Tolerance) -> list[str]:
    """Return a sentence for each requirement that an output does not meet."""
    name = "the probabilities" if output.meaning == "probabilities" else f"the output {output.name}"
    is_number = output.meaning == "numbers"
    error = output.max_scaled_error if is_number else output.max_abs_error
    limit = tolerance.max_scaled_error if is_number else tolerance.max_abs_error
    problems = []
    if limit is not None and not error <= limit:
        kind = " of its size" if is_number else ""
        differ = "differ" if output.meaning == "probabilities" else "differs"
        problems.append(
            f"{name} {differ} from the model's by up to {error:.2g}{kind} ({output.where}); "
            f"{limit:.0e} is allowed."
        )
    if output.agreements is not None and output.decisions:
        share = output.agreements / output.decisions
        if tolerance.top1_agreement < 1:
            share = wilson_interval(output.agreements, output.decisions).high
        if share < tolerance.top1_agreement:
            what, of = (
                ("the most probable class", "real examples")
                if output.meaning == "probabilities"
                else (f"the decision on {output.name}", "labels of real examples")
            )
            problems.append(
                f"{what} is the model's for {output.agreements} of {output.decisions} {of}; "
                f"{tolerance.top1_agreement:.1%} is required."
            )
    most = tolerance.kl_nats
    if most is not None and output.kl_nats is not None and not output.kl_nats <= most:
        problems.append(
            f"{name} are {output.kl_nats:.2g} nats from the model's on average; {most:g} is "
            "allowed."
        )
    return problems


def _lost(change: ScoreChange | None, tolerance: Tolerance) -> list[str]:
    limit = tolerance.score_loss
    if limit is None or change is None or not change.is_certain or change.loss <= limit:
        return []
    sentence = (
        f"the {change.metric} on the real examples is {change.score:.4g}, and the model's "
        f"{change.reference:.4g}: worse by more than chance and by more than {limit:.0%}."
    )
    return [sentence]
