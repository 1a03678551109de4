"""From files to candidates: each is run, measured, compared with the baseline and described."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.candidate import Candidate, describe
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

Predictions = dict[str, NDArray[np.int64] | Failure]
"""By recipe: the class given to each example, or why there is none."""


@dataclass(frozen=True)
class Weighing:
    """The candidates, and the noise of the latencies; see ``LatencyReport``."""

    candidates: tuple[Candidate, ...]
    noise_ratio: float
    noise_floor: float


def weigh(
    products: Sequence[Product],
    validation: Split,
    test: Split,
    protocol: LatencyProtocol,
    context: Context,
) -> Weighing:
    """Return a candidate for each product, the baseline among them.

    A product counts only if its file, loaded back, runs on all test examples and beats chance;
    else its candidate has failed, and says why.

    Raises:
        WorkError: The baseline could not be made or run.
    """
    selecting = _predict_all(products, validation, context)
    predictions = _predict_all(products, test, context)
    if isinstance(failure := predictions[BASELINE], Failure):
        raise WorkError(
            f"The model cannot be run as LiteRT, so nothing can be compared: {failure.reason}"
        )
    files = {
        product.recipe.name: product.file
        for product in products
        if product.file and not isinstance(predictions[product.recipe.name], Failure)
    }
    latency = measure_latency(
        files,
        BASELINE,
        test.features[:1],
        protocol,
        lambda done, total: context.progress("measure latency", done, total),
    )
    measured = [
        _measure(product, predictions, test, latency.by_name).model_copy(
            update=_selection(selecting[product.recipe.name], selecting[BASELINE], validation)
        )
        for product in products
    ]
    return Weighing(_judge(measured, len(test)), latency.noise_ratio, latency.floor)


def _predict_all(products: Sequence[Product], split: Split, context: Context) -> Predictions:
    predictions: Predictions = {}
    for done, product in enumerate(products, start=1):
        name, file, failure = product.recipe.name, product.file, product.failure
        if file is None:
            predictions[name] = failure or Failure("No file was made.")
        else:
            predictions[name] = attempt(functools.partial(predict, file, split.features))
        context.progress("run on real examples", done, len(products))
    return predictions


def _measure(
    product: Product, predictions: Predictions, test: Split, latency: Mapping[str, Latency]
) -> Candidate:
    """Return the candidate with all its measurements, not yet compared with the others."""
    name = product.recipe.name
    predicted, baseline = predictions[name], predictions[BASELINE]
    if isinstance(predicted, Failure) or isinstance(baseline, Failure) or product.file is None:
        reason = predicted.reason if isinstance(predicted, Failure) else ""
        return Candidate(name=name, status="failed", reason=reason, sparsity=product.sparsity)
    quality = compare_quality(predicted, baseline, test.labels)
    chance = chance_level(test.labels)
    beaten = quality.interval.low > chance
    return Candidate(
        name=name,
        status="ok" if beaten else "failed",
        reason=""
        if beaten
        else f"Its accuracy of {quality.accuracy:.1%} is no better than chance ({chance:.1%}).",
        test_accuracy=quality.accuracy,
        accuracy_interval=quality.interval,
        worse=quality.worse,
        better=quality.better,
        p_value=quality.p_value,
        agreement=quality.agreement,
        sparsity=product.sparsity,
        latency_ms_p50=latency[name].p50_ms,
        latency_ratio=latency[name].ratio,
        latency_ratio_interval=latency[name].interval,
        speed=latency[name].speed,
        **asdict(measure_size(product.file)),
    )


def _selection(
    predicted: NDArray[np.int64] | Failure, baseline: NDArray[np.int64] | Failure, split: Split
) -> dict[str, float]:
    """Return what the front and the choice go by, measured on the validation split."""
    if isinstance(predicted, Failure) or isinstance(baseline, Failure):
        return {}
    quality = compare_quality(predicted, baseline, split.labels)
    return {"validation_accuracy": quality.accuracy, "validation_p_value": quality.p_value}


def _judge(measured: Sequence[Candidate], examples: int) -> tuple[Candidate, ...]:
    best = front(measured)
    baseline = next(candidate for candidate in measured if candidate.name == BASELINE)
    return tuple(
        candidate.model_copy(
            update={
                "on_front": candidate.name in best,
                "verdict": describe(candidate, baseline, examples),
            }
        )
        for candidate in measured
    )
