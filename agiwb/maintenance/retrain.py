"""The retrain step: a challenger from the champion's settings, old examples and fresh ones.

A champion that was compressed has a challenger that is compressed by the same recipe.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import AfterValidator, Field

from agiwb.artifacts.manifest import SERVED_NAME, Format, check_served_name
from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.compression.sweep import SweepRecord, sweep
from agiwb.config import Config
from agiwb.conversion.config import ConvertConfig
from agiwb.datasets.add import add_dataset
from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.registry import DatasetName, load_dataset
from agiwb.errors import ConfigError, InputError, WorkError
from agiwb.maintenance.ancestry import Ancestry, ancestry_of, formats_of
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.faulty import LeftOut, read_periods, sound_rows
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.mixing import mix, write_mixed
from agiwb.maintenance.promotion import challenge, find_version
from agiwb.maintenance.served_rows import (
    FRESH,
    KNOWN_BY,
    ORIGIN,
    ServedRows,
    labels_known_by,
    served_rows,
)
from agiwb.monitoring.config import Moment, unix_time
from agiwb.monitoring.described import describe, require_describable
from agiwb.runs.context import Context
from agiwb.runs.events import Event
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.settings import Settings
from agiwb.training.config import TrainConfig

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

WHO = "agiwb retrain"
_FORMATS = "formats"
"""The input that says what the challenger is converted to: the champion may get another form."""


def _periods(words: tuple[str, ...]) -> tuple[str, ...]:
    read_periods(words)
    return words


class RetrainConfig(Config):
    """Which model is retrained, and on what."""

    model: str = Field(description="Registered name of the model.")
    dataset: DatasetName | None = Field(
        None, description="Fresh labelled data; by default the labelled requests that were served."
    )
    model_name: str | None = Field(
        None,
        pattern=SERVED_NAME,
        description="Name under which the model is served; by default its own.",
    )
    since: Moment = Field(
        None, description="First time of the requests that are learnt from, ISO 8601, UTC."
    )
    until: Moment = Field(None, description="Last time, written alike.")
    leave_out: Annotated[tuple[str, ...], AfterValidator(_periods)] = Field(
        (), description="Faulty periods, each FROM/UNTIL; what is surely broken is found anyway."
    )
    replay: float = Field(
        1.0, ge=0, le=1, description="Share of the old training examples that is trained on again."
    )
    min_rows: int = Field(
        50, ge=10, description="Sound labelled rows below which nothing is trained."
    )
    start: Literal["scratch", "champion"] = Field(
        "scratch", description="Train anew, or go on from the champion's weights."
    )
    epochs: int | None = Field(
        None, ge=1, le=10_000, description="Passes over the data; by default the champion's."
    )
    formats: tuple[Format, ...] | None = Field(
        None,
        min_length=1,
        description="Formats the challenger is converted to; by default the champion's.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of the training and of what is replayed.")


class RetrainRecord(Record):
    """A challenger, registered as the model's newest version, and what it was trained on."""

    config: RetrainConfig
    model_name: str
    challenger: ModelVersion
    based_on: ModelVersion
    """The version whose settings it has, and whose data were replayed."""
    dataset: str
    """Old and fresh examples together, as a data set of the workspace."""
    fresh_rows: int
    replayed_rows: int
    """Old examples in the training split."""
    left_out: tuple[LeftOut, ...]
    unknown_labels: int
    """Labels that named none of the classes."""
    train_run: str
    compress_run: str | None = None
    recipe: str | None = None
    """What it was compressed by, as the version it is based on; None if that is as trained."""
    convert_run: str


class _Sources:
    """The version to start from, its training, its data, and the fresh rows."""

    def __init__(
        self, config: RetrainConfig, store: RunStore, labels_known_by: float = math.inf
    ) -> None:
        standing = ledger_of(config.model).standing()
        self.base = standing.champion or find_version(config.model, None, store)
        self.ancestry = ancestry_of(config.model, self.base, store)
        self.trained = self.ancestry.settings
        self.keras_file = self.ancestry.trained.file(MODEL_FILE)
        self.formats = config.formats or formats_of(self.base, store)
        self.old = _describable(self.trained.dataset)
        self.fresh = _fresh(config, self.old, labels_known_by)


def _fresh(config: RetrainConfig, old: Dataset, known_by: float) -> ServedRows:
    if config.dataset is None:
        name = config.model_name or check_served_name(config.model)
        since, until = unix_time(config.since, -math.inf), unix_time(config.until, math.inf)
        return served_rows(name, old, since, until, known_by)
    data = _describable(config.dataset)
    if _form(data) != _form(old):
        raise ConfigError(
            f"`dataset`: {data.name} has {_form(data)}; {old.name} has {_form(old)}.",
            "Give fresh data of the same kind.",
        )
    parts = data.splits.values()
    slices = set.intersection(*({*part.slices} for part in parts))
    features = np.concatenate([part.features for part in parts])
    if old.columns:
        features = features[list(old.columns)]
    whole = Split(
        features,
        np.concatenate([part.labels for part in parts]),
        {name: np.concatenate([part.slices[name] for part in parts]) for name in slices},
    )
    return ServedRows(whole, np.full(len(whole), np.nan))


def _describable(reference: str) -> Dataset:
    data = load_dataset(reference)
    require_describable(
        data, "Retraining", "Train on old and fresh data together: `agiwb datasets add`."
    )
    return data


def _form(data: Dataset) -> str:
    """Return what examples are, and of which classes, in words."""
    examples = f"examples of shape {data.feature_shape}"
    if data.columns:
        types = data.train.sample(1).features.dtype
        columns = (
            f"{name} ({'text' if types[name].kind == 'O' else 'numbers'})"
            for name in sorted(data.columns)
        )
        examples = f"the columns {', '.join(columns)}"
    elif data.kind == "text":
        examples = "texts"
    return f"{examples} and the classes {', '.join(data.classes)}"


def _inputs(config: RetrainConfig, store: RunStore) -> dict[str, Input]:
    sources = _Sources(config, store)
    _sound(config, sources)
    return {
        "base": Input(sources.base.run_id, sources.base.run_id),
        "dataset": Input(sources.old.fingerprint),
        "fresh": Input(sources.fresh.digest()),
        KNOWN_BY: Input(repr(sources.fresh.known_by)),
        _FORMATS: Input(" ".join(sources.formats)),
    }


def _publish(record: RetrainRecord, store: RunStore) -> None:
    standing = ledger_of(record.config.model).standing()
    if record.challenger in {standing.challenger, standing.champion}:
        return
    why = f"trained on {record.fresh_rows} fresh and {record.replayed_rows} old examples"
    challenge(record.config.model, record.challenger, store, who=WHO, why=why)


@step("retrain", inputs=_inputs, publish=_publish)
def retrain(config: RetrainConfig, context: Context) -> RetrainRecord:
    """Return the record of a challenger, which is entered in the ledger as such.

    It is trained by the settings of the champion (without one, of the newest version) on its
    training data together with fresh rows, less what is surely broken; compressed, if the champion
    was, by the same recipe; and converted. It is not promoted: that is for the gate to say.

    Raises:
        ConfigError: The champion was not trained here, or the fresh data are of another kind.
        InputError: There are not enough sound labelled rows.
        WorkError: The training diverged, or the model could not be compressed or converted.
    """
    from agiwb.conversion.convert import convert
    from agiwb.training.train import train

    sources = _Sources(config, context.store, labels_known_by(context))
    context.confirm("fresh", sources.fresh.digest())
    context.confirm(_FORMATS, " ".join(sources.formats))
    rows, left_out = _sound(config, sources)
    for one in left_out:
        context.say(f"{one.rows} rows are left out. {one.sentence}")
    mixed = mix(sources.old, rows.split, config.replay, config.seed)
    folder = Settings().workspace_path / "maintenance" / config.model / "data"
    written = write_mixed(folder, config.model, sources.old, mixed)
    tell = _passing_on(context)
    add_dataset(written, listener=tell, cancelled=context.cancelled)
    ancestry, dataset = sources.ancestry, written.name
    settings = sources.trained.model_dump() | {
        "dataset": dataset,
        "name": config.model if ancestry.compressed is None else ancestry.trained.model_name,
        "seed": config.seed,
        "epochs": config.epochs or sources.trained.epochs,
    }
    if config.start == "champion":
        settings["architecture"] = str(sources.keras_file)
    trained = train(TrainConfig(**settings), listener=tell, cancelled=context.cancelled)
    made: Record = trained
    if ancestry.compressed is not None:
        made = _compress(ancestry, trained.run.id, dataset, config.model, context)
    converted = convert(
        ConvertConfig(model=made.run.id, formats=sources.formats),
        listener=tell,
        cancelled=context.cancelled,
    )
    if converted.problems:
        raise WorkError(
            f"The retrained model could not be converted: {' '.join(converted.problems)}",
            f"Its run is {made.run.id[:8]}.",
        )
    versions = context.store.registered_versions(config.model)
    number = max(number for number, run in versions.items() if run == made.run.id)
    return RetrainRecord(
        run=context.run,
        config=config,
        metrics=trained.metrics,
        model_name=config.model,
        challenger=ModelVersion(version=number, run_id=made.run.id),
        based_on=sources.base,
        dataset=dataset,
        fresh_rows=len(rows),
        replayed_rows=len(mixed["train"]) - _fresh_in(mixed["train"]),
        left_out=left_out,
        unknown_labels=sources.fresh.unknown,
        train_run=trained.run.id,
        compress_run=None if made is trained else made.run.id,
        recipe=ancestry.recipe,
        convert_run=converted.run.id,
    )


def _compress(
    ancestry: Ancestry, run_id: str, dataset: str, name: str, context: Context
) -> SweepRecord:
    """Return the sweep that compressed the retrained model as its predecessor was."""
    swept = sweep(
        ancestry.compression_of(run_id, dataset, name),
        listener=_passing_on(context),
        cancelled=context.cancelled,
    )
    if swept.chosen != ancestry.recipe:
        raise WorkError(
            f"The retrained model could not be compressed by {ancestry.recipe}: "
            f"{swept.choice_reason}",
            f"`agiwb runs show {swept.run.id[:8]}` tells what became of each candidate.",
        )
    return swept


def _sound(config: RetrainConfig, sources: _Sources) -> tuple[ServedRows, tuple[LeftOut, ...]]:
    """Return the rows that may be learnt from, and what was left out."""
    fresh, periods = sources.fresh, read_periods(config.leave_out)
    sound, left_out = sound_rows(fresh.split.features, fresh.times, describe(sources.old), periods)
    rows = fresh.take(np.flatnonzero(sound))
    if len(rows) < config.min_rows:
        aside = " ".join(f"{one.rows} are left out: {one.sentence}" for one in left_out)
        raise InputError(
            f"There are {len(rows)} sound labelled rows to retrain {config.model} on; "
            f"{config.min_rows} are needed. {aside}".strip(),
            "Add labels with `agiwb labels add`, or give fresh data as `dataset`.",
        )
    return rows, left_out


def _fresh_in(split: Split) -> int:
    return int((split.slices[ORIGIN] == FRESH).sum())


def _passing_on(context: Context) -> Callable[[Event], None]:
    """Return a listener that tells in this run what a step inside it tells."""

    def tell(event: Event) -> None:
        if event.phase:
            context.progress(event.phase, event.done or 0, event.total or 1, **event.values)
        elif event.message:
            context.say(event.message, **event.values)

    return tell
