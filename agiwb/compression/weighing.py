"""From products to candidates: each is measured on its own, and compared with the baseline."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.candidate import Candidate
from agiwb.compression.gate import Gate, read_answers
from agiwb.compression.hardware import Hardware
from agiwb.compression.measurements import Measurements
from agiwb.compression.produce import Failure, Product, without_baseline
from agiwb.compression.quality import chance_level, compare_quality
from agiwb.compression.recipe import BASELINE
from agiwb.compression.sizes import FileSize, ModelSize
from agiwb.compression.timing import (
    LatencyProtocol,
    TimingError,
    TimingReport,
    measure_latency,
)
from agiwb.datasets.dataset import Split
from agiwb.runs.context import Context


class MeasureLatency(Protocol):
    """As ``measure_latency``, or one that takes from a store what was measured before."""

    def __call__(
        self,
        files: Mapping[str, Path],
        baseline: str,
        examples: NDArray[Any],
        protocol: LatencyProtocol,
        progress: Callable[[int, int], None],
    ) -> TimingReport:
        """Return the times of each file in ``files``."""
        ...


@dataclass(frozen=True)
class Weighing:
    """The candidates, and what is known of the noise.

    Attributes:
        candidates: One for each product, in their order; nothing is judged yet.
        noise_ratio: The baseline's time divided by its twin's, one example at a time.
        noise_floor: Above 1; see ``latency.noise_floor``.
        batch_noise_floor: The same in batches.
        hardware: What all latencies were measured on.
        right: Of every candidate that ran, on which validation examples it is right, bool
            ``(examples,)``.
    """

    candidates: tuple[Candidate, ...]
    noise_ratio: float
    noise_floor: float
    batch_noise_floor: float
    hardware: Hardware
    right: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class _Runner:
    """A product whose file runs: its answers, and how large it is."""

    product: Product
    file: Path
    gate: Gate
    answers: Mapping[str, NDArray[np.float32]]
    file_size: FileSize
    model_size: ModelSize


def weigh(
    products: Sequence[Product],
    validation: Split,
    test: Split,
    protocol: LatencyProtocol,
    context: Context,
    latency: MeasureLatency = measure_latency,
) -> Weighing:
    """Return a candidate for each product, the baseline among them.

    All but the latency is read off the files: the answers are those that the gate stored. The
    latency comes last; nothing else of the sweep may run by then. A product is usable only if it
    has passed the gate, can be timed, and beats chance on the test examples; else its candidate
    says why not.

    Args:
        products: What was made.
        validation: The split that candidates are compared on.
        test: The split that is reported.
        protocol: How to measure latency.
        context: The run.
        latency: What measures it.

    Raises:
        WorkError: The baseline could not be made, run or timed.
    """
    outcomes = {product.recipe.name: _read(product) for product in products}
    runners = {name: found for name, found in outcomes.items() if isinstance(found, _Runner)}
    failed = {name: found.reason for name, found in outcomes.items() if isinstance(found, Failure)}
    if BASELINE in failed:
        raise without_baseline(failed[BASELINE])
    times, fallen = _time_all(
        {name: runner.file for name, runner in runners.items()},
        functools.partial(
            latency,
            baseline=BASELINE,
            examples=test.features[: protocol.batch],
            protocol=protocol,
            progress=functools.partial(context.progress, "measure latency"),
        ),
    )
    measured = {
        name: _measure(runner, runners[BASELINE], times, validation, test)
        for name, runner in runners.items()
        if name not in fallen
    }
    chance = chance_level(test.labels)
    reasons = (
        failed | fallen | {name: _shortcoming(found, chance) for name, found in measured.items()}
    )
    return Weighing(
        candidates=tuple(
            Candidate(
                name=product.recipe.name,
                reason=reasons[product.recipe.name],
                sparsity=product.sparsity,
                layer_sparsity=_layer_sparsity(outcomes[product.recipe.name]),
                stage_bytes=product.stage_bytes,
                seconds=product.seconds,
                recipe_file=product.recipe_file,
                measured=measured.get(product.recipe.name),
            )
            for product in products
        ),
        noise_ratio=times.single.noise_ratio,
        noise_floor=times.single.floor,
        batch_noise_floor=times.batch.floor,
        hardware=times.hardware,
        right={
            name: runner.answers["validation"].argmax(axis=1) == validation.labels
            for name, runner in runners.items()
        },
    )


def _read(product: Product) -> _Runner | Failure:
    """Return what is known of a product without running it again, or why it cannot be run."""
    file, answers, gate = product.file, product.answers, product.gate
    if isinstance(file, Failure):
        return file
    if answers is None or gate is None or not product.file_size or not product.model_size:
        return Failure("Its file has not been run.")
    return _Runner(
        product, file, gate, read_answers(answers), product.file_size, product.model_size
    )


def _time_all(
    files: dict[str, Path], latency: Callable[[Mapping[str, Path]], TimingReport]
) -> tuple[TimingReport, dict[str, str]]:
    """Return the times of all that can be timed, and by name why the others cannot."""
    fallen: dict[str, str] = {}
    while True:
        try:
            return latency(files), fallen
        except TimingError as error:
            if error.candidate in {None, BASELINE}:
                raise
            fallen[str(error.candidate)] = error.problem
            files = {name: file for name, file in files.items() if name not in fallen}


def _layer_sparsity(outcome: _Runner | Failure) -> dict[str, float]:
    return {} if isinstance(outcome, Failure) else outcome.model_size.layer_sparsity


def _measure(
    runner: _Runner, baseline: _Runner, times: TimingReport, validation: Split, test: Split
) -> Measurements:
    """Return all that is known of one candidate beside the baseline."""
    product, name = runner.product, runner.product.recipe.name
    single, batch = times.single.by_name[name], times.batch.by_name[name]
    selecting = compare_quality(
        runner.answers["validation"], baseline.answers["validation"], validation.labels
    )
    quality = compare_quality(runner.answers["test"], baseline.answers["test"], test.labels)
    siblings = [read_answers(path) for path in product.siblings]
    return Measurements(
        validation_accuracy=selecting.accuracy,
        validation_interval=selecting.interval,
        validation_p_value=selecting.p_value,
        test_accuracy=quality.accuracy,
        accuracy_interval=quality.interval,
        worse=quality.worse,
        better=quality.better,
        p_value=quality.p_value,
        agreement=quality.agreement,
        kl_divergence=quality.kl_divergence,
        seed_validation_accuracies=(
            selecting.accuracy,
            *(_accuracy(answers["validation"], validation) for answers in siblings),
        ),
        seed_test_accuracies=(
            quality.accuracy,
            *(_accuracy(answers["test"], test) for answers in siblings),
        ),
        size_bytes=runner.file_size.size_bytes,
        gzip_bytes=runner.file_size.gzip_bytes,
        xz_bytes=runner.file_size.xz_bytes,
        entropy_bytes=runner.model_size.entropy_bytes,
        packed_bytes=runner.model_size.packed_bytes,
        hardware=times.hardware.fingerprint,
        batch_size=times.batch_size,
        latency_ms_p50=single.p50_ms,
        latency_ms_p90=single.p90_ms,
        latency_ratio=single.ratio,
        latency_ratio_interval=single.interval,
        speed=single.speed,
        batch_latency_ratio=batch.ratio,
        batch_latency_ratio_interval=batch.interval,
        batch_speed=batch.speed,
        load_ms=times.load_ms[name],
        peak_memory_bytes=runner.gate.peak_memory_bytes,
    )


def _accuracy(answers: NDArray[np.float32], split: Split) -> float:
    return float((answers.argmax(axis=1) == split.labels).mean())


def _shortcoming(measured: Measurements, chance: float) -> str:
    """Return why a candidate that runs is not usable all the same; empty if it is."""
    if measured.accuracy_interval.low > chance:
        return ""
    return f"Its accuracy of {measured.test_accuracy:.1%} is no better than chance ({chance:.1%})."
