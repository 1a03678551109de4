"""The sweep step: a model compressed in several ways, and the results weighed honestly."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from agiwb.artifacts.resolve import dataset_for, resolve_model
from agiwb.compression.candidate import Candidate
from agiwb.compression.constraints import Limits
from agiwb.compression.measurements import Measurements
from agiwb.compression.sensitivity import LayerSensitivity
from agiwb.compression.sweep_config import SweepConfig
from agiwb.datasets.registry import load_arrays_of_classes
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, nothing_ahead, step

if TYPE_CHECKING:
    from agiwb.compression.weighing import MeasureLatency
    from agiwb.runs.store import RunStore

__all__ = ["Candidate", "Measurements", "SweepConfig", "SweepRecord", "sweep"]

_NOT_IN_NAMES = re.compile(r"[^\w. /-]")

_METRICS = (
    "validation_accuracy",
    "test_accuracy",
    "size_bytes",
    "gzip_bytes",
    "latency_ms_p50",
    "latency_ratio",
)


class SweepRecord(Record):
    """A trade-off: every candidate with its measurements, and the one to take."""

    config: SweepConfig
    model_name: str
    dataset: str
    test_examples: int
    chance_level: float
    """Test accuracy of always naming the most frequent class; what is usable beats it."""
    candidates: tuple[Candidate, ...]
    latency_noise_ratio: float
    """The baseline's time divided by its own in the same run: 1 but for the noise."""
    latency_floor: float
    """Above 1: what is less than so many times slower, or faster, counts as equally fast."""
    hardware: str = ""
    """The kind of machine that the latencies were measured on, in words."""
    chosen: str | None
    choice_reason: str
    nearest: str | None
    """If none is chosen, the one that exceeds the limits least."""
    picks: dict[str, str]
    """Candidate by name of the pick: ``quality``, ``balanced``, ``compact``; see ``picks``."""
    hypervolume: float
    """How much of the trade-off the front covers; see ``hypervolume``."""
    hypervolume_reference: dict[str, float]
    """The values that a candidate must be better than to count in it."""
    advice: str
    """Which 8-bit arithmetic suits this processor, and what to expect of the recipes on it."""
    sensitivity: tuple[LayerSensitivity, ...]
    """What compressing one layer alone costs; empty if it was not asked for."""
    overhead_ratio: float | None
    """Time of the whole sweep, divided by what making its candidates, shared among the workers,
    and weighing them took; None if none was made anew. 1 is the least that there can be."""

    def candidate(self, name: str) -> Candidate:
        """Return the candidate called ``name``; raise KeyError if there is none."""
        return {candidate.name: candidate for candidate in self.candidates}[name]


def _inputs(config: SweepConfig, store: RunStore) -> dict[str, Input]:
    source = resolve_model(config.model, store)
    data = load_arrays_of_classes(
        dataset_for(config.dataset, source.dataset, source.name), "A sweep"
    )
    return {
        "model": Input(source.fingerprint, source.run_id),
        "dataset": Input(data.fingerprint),
    }


def _ahead(config: SweepConfig) -> AbstractContextManager[None]:
    from agiwb.compression.trials.making import get_ready
    from agiwb.crews.nursery import hired_ahead

    return hired_ahead(get_ready) if config.scheduler is None else nothing_ahead(config)


def _register(record: SweepRecord, store: RunStore) -> None:
    if record.config.name is not None and record.chosen is not None:
        store.register_model(record.config.name, record)


@step("sweep", inputs=_inputs, publish=_register, ahead=_ahead)
def sweep(config: SweepConfig, context: Context) -> SweepRecord:
    """Return the trade-off between the ``recipes`` applied to ``config.model``.

    Each candidate leaves ``<recipe>/model.tflite`` or ``model.onnx``, the Keras model it was made
    from, ``<recipe>/model.keras``, and ``<recipe>/recipe.yaml``, a config that makes it again. It
    counts only if its file, loaded back, runs on the test examples and beats chance; else it is a
    row that says why it failed.

    Each is made in a process of its own, and kept in the workspace's folder ``candidates`` under a
    digest of all that decided it: a sweep that is resumed, repeated or widened makes none again
    that had been finished. ``reuse=False`` makes all anew. The folder may be deleted whenever no
    sweep runs.

    With a ``name`` the choice becomes the newest version of that model: it is served, compared,
    promoted and retrained like one that was trained.

    Raises:
        ConfigError: The model does not fit the data set.
        WorkError: The baseline itself cannot be converted or run: nothing to compare with.
    """
    from agiwb.compression.expectations import expect
    from agiwb.compression.grounds import Circumstances
    from agiwb.compression.judging import judge
    from agiwb.compression.quality import chance_level
    from agiwb.compression.saturation_notes import with_saturation_notes
    from agiwb.compression.timing import LatencyProtocol
    from agiwb.compression.trials.workshop import make_products
    from agiwb.compression.weighing import weigh

    began = time.monotonic()
    source = resolve_model(config.model, context.store)
    context.confirm("model", source.fingerprint)
    dataset = dataset_for(config.dataset, source.dataset, source.name)
    data = load_arrays_of_classes(dataset, "A sweep")
    outcome = make_products(config, source, data, dataset, context)
    products = outcome.products
    baseline = products[0]
    protocol = LatencyProtocol(
        config.latency_blocks, config.latency_runs, config.seed, config.latency_batch
    )
    latency = _latency(config, context)
    weighing_began = time.monotonic()
    weighing = weigh(products, data.validation, data.test, protocol, context, latency)
    work_s = outcome.work_s + time.monotonic() - weighing_began
    circumstances = Circumstances(
        processor=weighing.hardware.processor,
        test_examples=len(data.test),
        floor=weighing.noise_floor,
        noise_ratio=weighing.noise_ratio,
        batch_floor=weighing.batch_noise_floor,
        layers=baseline.layers,
    )
    judgement = judge(
        with_saturation_notes(
            weighing.candidates, context.files, data.validation, context.stop_if_cancelled
        ),
        weighing.right,
        circumstances,
        Limits(config.max_accuracy_drop, config.max_bytes, config.max_latency_ratio),
    )
    choice = judgement.choice
    return SweepRecord(
        run=context.run,
        config=config,
        metrics={**_metrics(judgement.candidates), "hypervolume": judgement.hypervolume},
        problems=() if choice.name else (choice.reason,),
        model_name=source.name,
        dataset=dataset,
        test_examples=len(data.test),
        chance_level=chance_level(data.test.labels),
        candidates=judgement.candidates,
        latency_noise_ratio=weighing.noise_ratio,
        latency_floor=weighing.noise_floor,
        hardware=str(weighing.hardware),
        chosen=choice.name,
        choice_reason=choice.reason,
        nearest=choice.nearest,
        picks=judgement.picks,
        hypervolume=judgement.hypervolume,
        hypervolume_reference=judgement.reference,
        advice=expect(
            circumstances.processor,
            circumstances.layers,
            [product.recipe for product in products],
        ),
        sensitivity=baseline.sensitivity,
        overhead_ratio=(time.monotonic() - began) / work_s if outcome.work_s else None,
    )


def _latency(config: SweepConfig, context: Context) -> MeasureLatency:
    """Return what measures: this machine, or one of the kind that the config names."""
    if config.latency_on is not None and config.scheduler is not None:
        from agiwb.compression.trials.far_latency import FarLatency

        return FarLatency(config.scheduler, config.latency_on, context.stop_if_cancelled)
    from agiwb.compression.trials.remembered import RememberedLatency
    from agiwb.compression.trials.workshop import workspace_cache

    return RememberedLatency(workspace_cache(context), context.say)


def _metrics(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return what was measured, by name; what MLflow's names do not allow, as ``+``, is ``-``."""
    return {
        f"{_NOT_IN_NAMES.sub('-', candidate.name)}_{field}": getattr(candidate.measured, field)
        for candidate in candidates
        if candidate.measured
        for field in _METRICS
    }
