"""From files to candidates: each is run, measured, compared with the baseline and described."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.candidate import Candidate, Measurements, describe
from agiwb.compression.frontier import front
from agiwb.compression.measure import (
    Latency,
    LatencyProtocol,
    chance_level,
    compare_quality,
    measure_latency,
    measure_size,
    predict,
)
from agiwb.compression.produce import Failure, Product, attempt
from agiwb.compression.recipe import BASELINE
from agiwb.datasets.dataset import Split
from agiwb.errors import WorkError
from agiwb.runs.context import Context


@dataclass(frozen=True)
class Weighing:
    """The candidates, and the noise of the latencies; see ``LatencyReport``."""

    candidates: tuple[Candidate, ...]
    noise_ratio: float
    noise_floor: float


@dataclass(frozen=True)
class _Answers:
    """A file that runs, and the class it gives to each example of two splits."""

    file: Path
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def weigh(
    products: Sequence[Product],
    validation: Split,
    test: Split,
    protocol: LatencyProtocol,
    context: Context,
) -> Weighing:
    """Return a candidate for each product, the baseline among them.

    A product is usable only if its file, loaded back, runs on all validation and test examples and
    beats chance on the latter; else its candidate says why not.

    Raises:
        WorkError: The baseline could not be made or run.
    """
    outcomes = _ask_all(products, validation, test, context)
    answers = {name: found for name, found in outcomes.items() if isinstance(found, _Answers)}
    failed = {name: found.reason for name, found in outcomes.items() if isinstance(found, Failure)}
    if BASELINE in failed:
        raise WorkError(
            f"The model cannot be run as LiteRT, so nothing can be compared: {failed[BASELINE]}"
        )
    latency = measure_latency(
        {name: answer.file for name, answer in answers.items()},
        BASELINE,
        test.features[:1],
        protocol,
        functools.partial(context.progress, "measure latency"),
    )
    measured = {
        name: _measure(answer, answers[BASELINE], latency.by_name[name], validation, test)
        for name, answer in answers.items()
    }
    chance = chance_level(test.labels)
    reasons = failed | {name: _shortcoming(found, chance) for name, found in measured.items()}
    candidates = [
        Candidate(
            name=product.recipe.name,
            reason=reasons[product.recipe.name],
            sparsity=product.sparsity,
            measured=measured.get(product.recipe.name),
        )
        for product in products
    ]
    judged = _judge(candidates, measured[BASELINE], len(test))
    return Weighing(judged, latency.noise_ratio, latency.floor)


def _ask_all(
    products: Sequence[Product], validation: Split, test: Split, context: Context
) -> dict[str, _Answers | Failure]:
    """Return by recipe the classes that its file gives, or why it gives none."""
    outcomes = {}
    for done, product in enumerate(products, start=1):
        outcomes[product.recipe.name] = _ask(product, validation, test)
        context.progress("run on real examples", done, len(products))
    return outcomes


def _ask(product: Product, validation: Split, test: Split) -> _Answers | Failure:
    file = product.file
    if isinstance(file, Failure):
        return file
    return attempt(
        lambda: _Answers(file, predict(file, validation.features), predict(file, test.features))
    )


def _measure(
    answers: _Answers, baseline: _Answers, latency: Latency, validation: Split, test: Split
) -> Measurements:
    """Return all that is known of one candidate beside the baseline."""
    selecting = compare_quality(answers.validation, baseline.validation, validation.labels)
    quality = compare_quality(answers.test, baseline.test, test.labels)
    size = measure_size(answers.file)
    return Measurements(
        validation_accuracy=selecting.accuracy,
        validation_p_value=selecting.p_value,
        test_accuracy=quality.accuracy,
        accuracy_interval=quality.interval,
        worse=quality.worse,
        better=quality.better,
        p_value=quality.p_value,
        agreement=quality.agreement,
        size_bytes=size.size_bytes,
        gzip_bytes=size.gzip_bytes,
        latency_ms_p50=latency.p50_ms,
        latency_ratio=latency.ratio,
        latency_ratio_interval=latency.interval,
        speed=latency.speed,
    )


def _shortcoming(measured: Measurements, chance: float) -> str:
    """Return why a candidate that runs is not usable all the same; empty if it is."""
    if measured.accuracy_interval.low > chance:
        return ""
    return f"Its accuracy of {measured.test_accuracy:.1%} is no better than chance ({chance:.1%})."


def _judge(
    candidates: Sequence[Candidate], baseline: Measurements, examples: int
) -> tuple[Candidate, ...]:
    """Return the candidates with what only shows when all are known: the front and verdicts."""
    best = front(candidates)
    return tuple(
        candidate.model_copy(
            update={
                "on_front": candidate.name in best,
                "verdict": describe(candidate, baseline, examples),
            }
        )
        for candidate in candidates
    )
