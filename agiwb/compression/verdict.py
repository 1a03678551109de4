"""The verdict on a candidate: what it gains and loses in a sentence, and then why."""

from __future__ import annotations

from agiwb.compression.candidate import Candidate
from agiwb.compression.grounds import NOTICEABLE, Case, Circumstances, grounds_for
from agiwb.compression.measurements import Measurements
from agiwb.compression.recipe import BASELINE


def describe(candidate: Candidate, baseline: Measurements, circumstances: Circumstances) -> str:
    """Return a few plain sentences that weigh ``candidate`` against ``baseline``.

    Args:
        candidate: Any, with its ties and findings; of one that is not usable it is said why.
        baseline: The measurements of the model as it was.
        circumstances: What all were measured under.
    """
    measured = candidate.measured
    if measured is None or not candidate.usable:
        return " ".join((f"Not usable: {candidate.reason}", *candidate.findings))
    if candidate.name == BASELINE:
        return (
            f"The model as it is: {measured.test_accuracy:.1%} of {circumstances.test_examples} "
            f"test examples right, {measured.size_bytes:,} bytes, {measured.gzip_bytes:,} after "
            "gzip."
        )
    case = Case(candidate, measured, baseline, circumstances)
    sentence = ", ".join((_size(case), _accuracy(measured, baseline), _speed(measured)))
    return " ".join(
        (f"{sentence[0].upper()}{sentence[1:]}.", *grounds_for(case), *candidate.findings)
    )


def _size(case: Case) -> str:
    if case.gzip_gain < 1 / NOTICEABLE:
        return f"{1 / case.gzip_gain:.1f} times larger after gzip"
    if case.gzip_gain < NOTICEABLE:
        return "not smaller"
    if case.file_gain < NOTICEABLE:
        return f"{case.gzip_gain:.1f} times smaller after gzip, though the file itself is not"
    return f"{case.gzip_gain:.1f} times smaller after gzip"


def _accuracy(measured: Measurements, baseline: Measurements) -> str:
    counts = f"({measured.worse} worse, {measured.better} better)"
    if not measured.accuracy_differs:
        return f"no detectable loss of accuracy {counts}"
    gain = 100 * (measured.test_accuracy - baseline.test_accuracy)
    return f"{abs(gain):.1f} points {'more' if gain > 0 else 'less'} accurate {counts}"


def _speed(measured: Measurements) -> str:
    if measured.speed == "same":
        return "no measurable difference in speed"
    times = "of" if measured.speed == "faster" else "times"
    return f"{measured.latency_ratio:.2f} {times} the baseline's time"
