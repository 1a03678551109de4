"""How a registered version was made, trained and perhaps compressed, to be made so again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agiwb.artifacts.manifest import FORMATS, Format
from agiwb.artifacts.resolve import resolve_model
from agiwb.compression.sweep import SweepRecord
from agiwb.compression.sweep_config import SweepConfig
from agiwb.errors import ConfigError
from agiwb.training.config import TrainConfig
from agiwb.training.search.record import SearchRecord
from agiwb.training.train import TrainRecord

if TYPE_CHECKING:
    from agiwb.maintenance.decision import ModelVersion
    from agiwb.runs.record import Record
    from agiwb.runs.store import RunStore

_PARENT = "model"


@dataclass(frozen=True)
class Ancestry:
    """How a version was made.

    Attributes:
        trained: The training it goes back to.
        compressed: The sweep that chose it; None if it is as it was trained.
    """

    trained: TrainRecord
    compressed: SweepRecord | None = None

    @property
    def settings(self) -> TrainConfig:
        """The settings it was trained with; a search's are those that won."""
        if isinstance(self.trained, SearchRecord):
            return self.trained.fitted.model_copy(update={"epochs": self.trained.fitted_epochs})
        return self.trained.config

    @property
    def recipe(self) -> str | None:
        """The recipe it was compressed by; None if it was not."""
        return None if self.compressed is None else self.compressed.chosen

    def compression_of(self, run_id: str, dataset: str, name: str) -> SweepConfig:
        """Return the sweep that compresses another training by the same recipe.

        It has no limits: whether the result is good enough is for the gate to say.

        Args:
            run_id: The training's.
            dataset: What it was trained on.
            name: Registered name of the result.
        """
        assert self.compressed is not None, "it was compressed"  # noqa: S101
        return self.compressed.config.model_copy(
            update={
                "model": run_id,
                "name": name,
                "dataset": dataset,
                "recipes": SweepConfig(recipes=(str(self.recipe),)).recipes,
                "strategy": "recipes",
                "techniques": (),
                "trials": None,
                "seeds": 1,
                "sensitivity": False,
                "max_accuracy_drop": 1.0,
                "max_bytes": None,
                "max_latency_ratio": None,
            }
        )


def ancestry_of(model: str, version: ModelVersion, store: RunStore) -> Ancestry:
    """Return how a version of ``model`` was made.

    Raises:
        ConfigError: It was neither trained nor searched for here, or was compressed twice.
    """
    record = store.get(version.run_id)
    compressed = record if isinstance(record, SweepRecord) else None
    if compressed is not None:
        record = store.get(compressed.run.provenance.parents.get(_PARENT, version.run_id))
    if not isinstance(record, TrainRecord):
        raise ConfigError(
            f"`model`: version {version.version} of {model} was not trained by `agiwb train` but "
            f"comes of {_words_for(record, compressed)}: nothing says how to train it again.",
            "Train a version with `agiwb train --name` and promote it, or compress one with "
            "`agiwb sweep --name`.",
        )
    return Ancestry(record, compressed)


def formats_of(version: ModelVersion, store: RunStore) -> tuple[Format, ...]:
    """Return the formats that a version was converted to; ONNX if it never was."""
    source = resolve_model(version.run_id, store)
    made = {
        kind
        for record in store.find("convert", input_model=source.fingerprint)
        for kind in FORMATS
        if record.file(kind).is_dir()
    }
    return tuple(kind for kind in FORMATS if kind in made) or ("onnx",)


def _words_for(record: Record, compressed: SweepRecord | None) -> str:
    made_by = f"`{record.run.step}`"
    return made_by if compressed is None else f"a sweep of {made_by}"
