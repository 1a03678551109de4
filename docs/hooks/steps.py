"""A page for each step: its command, every field of its config, and what its record holds."""

from __future__ import annotations

import typing

from prose import cell, docstring_of

from agiwb.config import Config
from agiwb.runs.record import Record
from agiwb.runs.registry import STEPS, StepEntry, load_step
from widgets.form.fields import FormField, fields_of

_COMMANDS = {"add_dataset": "datasets add", "import_model": "import"}
"""What a user types for the steps that have another name."""

_TAKES = {
    "flag": "yes or no", "choice": "a choice", "several": "choices", "whole": "a whole number",
    "number": "a number", "text": "a word", "words": "words", "pairs": "NAME=VALUE ...",
    "yaml": "YAML",
}  # fmt: skip


def step_pages() -> dict[str, str]:
    """Return the Markdown of each step's page by its name."""
    return {name: _page(name, entry) for name, entry in STEPS.items()}


def field_table(config: type[Config]) -> str:
    """Return a table of a config's fields: flag, kind, meaning, bounds and default."""
    rows = [
        f"| `{field.name}` | {_flag(field)} | {_TAKES[field.kind]} | {cell(field.help)} |"
        for field in fields_of(config)
    ]
    return "\n".join(
        [
            "| field | flag | takes | meaning, bounds and default |",
            "| --- | --- | --- | --- |",
            *rows,
        ]
    )


def _page(name: str, entry: StepEntry) -> str:
    step = load_step(name)
    module, _, function = entry.target.partition(":")
    config, record = step.config_type, step.record_type
    command = f"On the command line `agiwb {_COMMANDS.get(name, name)}`"
    call = f"in Python `{function}({config.__name__}(...))`, from `{module}`."
    return "\n\n".join(
        [
            f"# {name}",
            entry.summary,
            f"{command}; {call}",
            docstring_of(step),
            f"## {config.__name__}",
            docstring_of(config),
            field_table(config),
            f"## {record.__name__}",
            docstring_of(record),
            _record_table(record),
        ]
    )


def _record_table(record: type[Record]) -> str:
    rows = [
        f"| `{name}` | `{_kind(field.annotation)}` |".replace(" | None`", " or None`")
        for name, field in record.model_fields.items()
    ]
    return "\n".join(["| field | kind |", "| --- | --- |", *rows])


def _kind(annotation: object) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").rpartition("agiwb.")[2].replace("|", "or")


def _flag(field: FormField) -> str:
    flag = f"--{field.name.replace('_', '-')}"
    return f"`{flag}`, `--no-{flag[2:]}`" if field.kind == "flag" else f"`{flag}`"
