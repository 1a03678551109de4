"""The sweep step: a model compressed in several ways, and the results weighed honestly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from agiwb.artifacts.resolve import dataset_for, resolve_model
from agiwb.compression.candidate import Candidate, Measurements
from agiwb.compression.frontier import choose
from agiwb.compression.recipe import BASELINE, parse_recipe
from agiwb.config import Config
from agiwb.datasets.registry import DatasetName, load_arrays_of_classes
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

__all__ = ["Candidate", "Measurements", "SweepConfig", "SweepRecord", "sweep"]

_METRICS = (
    "validation_accuracy",
    "test_accuracy",
    "size_bytes",
    "gzip_bytes",
    "latency_ms_p50",
    "latency_ratio",
)


class SweepConfig(Config):
    """What decides a sweep."""

    model: str = Field(
        "latest", description="Model to compress: a registered name, a run, or a .keras file."
    )
    dataset: DatasetName | None = Field(
        None, description="Data to fine-tune and test on; by default what the model learned from."
    )
    recipes: tuple[str, ...] = Field(
        ("baseline", "prune_80", "float16", "dynamic", "int8", "prune_80+int8"),
        description="Ways to compress, stages joined by +: distil_<width>, shrink_<percent>, "
        "rank_<percent>, prune_<percent>, two_four, cluster_<values>, qat; then float16, dynamic, "
        "int8 or int16x8.",
    )
    fine_tune_epochs: int = Field(
        4, ge=0, le=10_000, description="Passes over the training data in each stage that trains."
    )
    learning_rate: float = Field(
        0.002, gt=0, le=10, description="Step size of the fine-tuning, with Adam."
    )
    batch_size: int = Field(32, ge=1, le=65_536, description="Examples in a fine-tuning batch.")
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of fine-tuning, calibration and measuring order."
    )
    calibration_samples: int = Field(
        200, ge=1, le=100_000, description="Training examples from which int8 learns its ranges."
    )
    latency_blocks: int = Field(
        30, ge=5, le=10_000, description="Rounds of the latency measurement, in shuffled order."
    )
    latency_runs: int = Field(
        20, ge=1, le=10_000, description="Inferences of each candidate in a round."
    )
    max_accuracy_drop: float = Field(
        0.01, ge=0, le=1, description="Share of validation examples that the choice may lose."
    )
    max_latency_ratio: float | None = Field(
        None, gt=0, description="Longest time the choice may take, relative to the baseline's."
    )

    @field_validator("recipes")
    @classmethod
    def _well_formed(cls, recipes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the recipes in their plain notation, each once, the baseline first."""
        return tuple(dict.fromkeys([BASELINE, *(parse_recipe(text).name for text in recipes)]))


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
    chosen: str | None
    choice_reason: str

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


@step("sweep", inputs=_inputs)
def sweep(config: SweepConfig, context: Context) -> SweepRecord:
    """Return the trade-off between the ``recipes`` applied to ``config.model``.

    Each candidate leaves ``<recipe>/model.tflite`` and the Keras model it was made from,
    ``<recipe>/model.keras``. It counts only if its file, loaded back, runs on the test examples
    and beats chance; else it is a row that says why it failed.

    Raises:
        ConfigError: The model does not fit the data set.
        WorkError: The baseline itself cannot be converted or run: nothing to compare with.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    tf.config.experimental.enable_op_determinism()

    from agiwb.compression.measure import LatencyProtocol, chance_level
    from agiwb.compression.produce import Workshop
    from agiwb.compression.pruning import FineTuning
    from agiwb.compression.quantization import calibration_samples
    from agiwb.compression.weighing import weigh
    from agiwb.models.loading import load_classifier

    source = resolve_model(config.model, context.store)
    context.confirm("model", source.fingerprint)
    dataset = dataset_for(config.dataset, source.dataset, source.name)
    data = load_arrays_of_classes(dataset, "A sweep")
    workshop = Workshop(
        model=load_classifier(source.path, data),
        training=data.train,
        samples=calibration_samples(data.train.features, config.calibration_samples, config.seed),
        tuning=FineTuning(
            config.fine_tune_epochs, config.batch_size, config.learning_rate, config.seed
        ),
        context=context,
    )
    products = workshop.make([parse_recipe(text) for text in config.recipes])
    protocol = LatencyProtocol(config.latency_blocks, config.latency_runs, config.seed)
    weighing = weigh(products, data.validation, data.test, protocol, context)
    choice = choose(weighing.candidates, config.max_accuracy_drop, config.max_latency_ratio)
    return SweepRecord(
        run=context.run,
        config=config,
        metrics=_metrics(weighing.candidates),
        problems=() if choice.name else (choice.reason,),
        model_name=source.name,
        dataset=dataset,
        test_examples=len(data.test),
        chance_level=chance_level(data.test.labels),
        candidates=weighing.candidates,
        latency_noise_ratio=weighing.noise_ratio,
        latency_floor=weighing.noise_floor,
        chosen=choice.name,
        choice_reason=choice.reason,
    )


def _metrics(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return what was measured, by name; MLflow's names allow no ``+``, so it becomes ``-``."""
    return {
        f"{candidate.name.replace('+', '-')}_{field}": getattr(candidate.measured, field)
        for candidate in candidates
        if candidate.measured
        for field in _METRICS
    }
