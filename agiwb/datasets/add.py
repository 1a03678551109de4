"""The add_dataset step: a user's own data read, checked, and given a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from agiwb.datasets.builtin import BUILTIN
from agiwb.datasets.dataset import Kind, Task
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import format_of, load_source
from agiwb.datasets.quality.examine import examine
from agiwb.datasets.quality.report import QualityReport
from agiwb.datasets.registered import RegisteredDataset, write_registered
from agiwb.runs.context import Context
from agiwb.runs.files import sha256_of_tree
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

COMMAND_WORDS = ("list", "add", "remove")
"""What ``agiwb datasets`` does something else with; no data set may be called so."""

_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,99}")


class AddDatasetConfig(SourceDescription):
    """Where a user's own data lie, what they are called, and what cannot be inferred of them."""

    name: str = Field(description="Name to give the data set: letters, digits, hyphens.")

    @field_validator("name")
    @classmethod
    def _free_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name. Use letters, digits, `_` and `-`, at most 100, beginning "
                "with a letter or digit."
            )
        if name in BUILTIN:
            raise ValueError(f"{name} is a built-in data set. Choose another name.")
        if name in COMMAND_WORDS:
            raise ValueError(f"`agiwb datasets {name}` is a command. Choose another name.")
        return name


class DatasetRecord(Record):
    """A data set that was added: what it is, what was inferred, and what is odd about it."""

    config: AddDatasetConfig
    kind: Kind
    task: Task
    classes: tuple[str, ...]
    """Empty for regression and ranking."""
    columns: tuple[str, ...]
    """Of a table or of pairs; empty for what is one array or a text."""
    feature_shape: tuple[int, ...]
    examples: dict[str, int]
    """Number of examples in each split."""
    slices: tuple[str, ...]
    """Columns that metrics can be sliced by."""
    fingerprint: str
    notes: tuple[str, ...]
    """In sentences, what was inferred or left out."""
    quality: QualityReport
    """What was found of missing values, duplicates, leaks and balance, in numbers and sentences."""


def _inputs(config: AddDatasetConfig, store: RunStore) -> dict[str, Input]:
    format_of(config)
    return {"dataset": Input(sha256_of_tree(config.path))}


def _register(record: DatasetRecord, store: RunStore) -> None:
    write_registered(
        RegisteredDataset(
            source=SourceDescription(**dict(record.config)),
            fingerprint=record.fingerprint,
            kind=record.kind,
            task=record.task,
            notes=record.notes,
            run_id=record.run.id,
            added_at=datetime.now(UTC),
        )
    )


@step("add_dataset", inputs=_inputs, publish=_register)
def add_dataset(config: AddDatasetConfig, context: Context) -> DatasetRecord:
    """Return the record of the data at ``config.path``, which get the name ``config.name``.

    The data stay where they are; the name means them until they change. If anything about them is
    wrong, nothing is registered.

    Raises:
        DatasetError: The data cannot be used; file and row are named.
        ConfigError: An option means nothing to the data's format.
    """
    context.say(f"Reading {config.path}.")
    source = load_source(config, context.progress)
    for note in source.notes:
        context.say(note)
    data = source.data
    context.say(f"Examining {sum(map(len, data.splits.values())):,} examples.")
    quality = examine(data)
    for finding in quality.findings:
        context.say(finding)
    return DatasetRecord(
        run=context.run,
        config=config,
        metrics={f"{name}_examples": len(split) for name, split in data.splits.items()},
        kind=data.kind,
        task=data.task,
        classes=data.classes,
        columns=data.columns,
        feature_shape=data.feature_shape,
        examples={name: len(split) for name, split in data.splits.items()},
        slices=tuple(sorted(data.train.slices)),
        fingerprint=data.fingerprint,
        notes=source.notes,
        quality=quality,
    )
