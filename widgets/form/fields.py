"""A config's fields as a form shows them: label, unit, help, bounds, and how each is entered."""

from __future__ import annotations

import shlex
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo

from agiwb.config import Config, choices, describe_field, values_of_pairs

Kind = Literal["flag", "choice", "several", "whole", "number", "text", "words", "pairs", "yaml"]
"""How a value is entered: a box to tick, a list to choose one or several from, a whole or any
number, or a text that is one word, several words, NAME=VALUE pairs, or YAML."""

_UNITS = {
    "_s": "seconds", "_ms": "milliseconds", "_mb": "MB", "_bytes": "bytes", "epochs": "epochs",
    "batch_size": "examples", "_rows": "rows", "_percent": "%",
}  # fmt: skip
_ABBREVIATIONS = {"l1": "L1", "l2": "L2", "id": "id"}


@dataclass(frozen=True)
class FormField:
    """One field of a config, as a form shows it."""

    name: str
    kind: Kind
    help: str
    """Its meaning with its choices or bounds and its default, as the command line has it."""
    default: Any
    """None for a field that must be given."""
    required: bool
    optional: bool
    """Whether it may be None, which is what an empty entry means."""
    choices: tuple[str, ...] = ()
    """The values it may have; for a text, those that are suggested."""

    @property
    def label(self) -> str:
        """The name in words, with the unit if it has one."""
        words = [_ABBREVIATIONS.get(word, word) for word in self.name.split("_")]
        unit = next((unit for end, unit in _UNITS.items() if self.name.endswith(end)), "")
        if unit and words[-1] in {"s", "ms", "mb"}:
            words.pop()
        text = " ".join(words)
        text = text[:1].upper() + text[1:]
        return f"{text} ({unit})" if unit and unit not in text.lower() else text

    @property
    def is_stepped(self) -> bool:
        """Whether it is a number that always has a value, and is entered as one."""
        return self.kind in {"whole", "number"} and not self.optional and not self.required

    def shown(self, value: Any) -> Any:  # noqa: PLR0911  one line a kind
        """Return what the form's control shows for a config's value."""
        if self.kind in {"flag", "choice"}:
            return "" if value is None else value
        if self.kind == "several":
            return tuple(value or ())
        if value is None:
            return ""
        if self.kind == "words":
            return shlex.join(map(str, value))
        if self.kind == "pairs":
            return shlex.join(f"{name}={item}" for name, item in value.items())
        if self.kind == "yaml":
            return value if isinstance(value, str) else _flow(value)
        return value if self.is_stepped else f"{value}"

    def entered(self, shown: Any) -> Any:
        """Return the value that the config is given for what the control shows.

        Raises:
            ValueError: A quotation mark is open, or the text is not valid YAML.
        """
        if not isinstance(shown, str) or (self.kind == "choice" and shown):
            return None if self.optional and shown == () else shown
        if not shown.strip():
            return {"words": (), "pairs": {}}.get(self.kind) if not self.optional else None
        if self.kind == "words":
            return tuple(shlex.split(shown))
        if self.kind == "pairs":
            return values_of_pairs(shlex.split(shown))
        if self.kind == "yaml":
            return _read_flow(shown)
        return shown.strip()


def fields_of(config_type: type[Config]) -> tuple[FormField, ...]:
    """Return the fields of a config in their order."""
    return tuple(_field(name, field) for name, field in config_type.model_fields.items())


def _field(name: str, field: FieldInfo) -> FormField:
    required = field.is_required()
    members = _members(field.annotation)
    return FormField(
        name=name,
        kind=_kind([kind for kind in members if kind is not type(None)]),
        help=describe_field(field),
        default=None if required else field.get_default(call_default_factory=True),
        required=required,
        optional=type(None) in members,
        choices=_choices(field, members),
    )


def _members(annotation: Any) -> list[Any]:
    """Return the kinds that a union names, or the only one, without what is annotated to them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return [kind for part in typing.get_args(annotation) for kind in _members(part)]
    return [annotation]


def _kind(members: list[Any]) -> Kind:  # noqa: PLR0911  one line a kind
    origins = [typing.get_origin(kind) for kind in members]
    if members == [bool]:
        return "flag"
    if members == [int]:
        return "whole"
    if set(members) <= {int, float}:
        return "number"
    if origins == [Literal]:
        return "choice"
    if len(members) == 1 and origins[0] in {tuple, list}:
        inner = _members(typing.get_args(members[0])[0])
        if len(inner) == 1 and typing.get_origin(inner[0]) is Literal:
            return "several"
        return "words" if all(_is_word(kind) for kind in inner) else "yaml"
    if len(members) == 1 and (origins[0] is dict or members[0] is dict):
        return "pairs" if typing.get_args(members[0])[1:] == (Any,) else "yaml"
    return "text" if any(_is_word(kind) for kind in members) else "yaml"


def _is_word(kind: Any) -> bool:
    if typing.get_origin(kind) is Literal:
        return True
    return isinstance(kind, type) and not issubclass(kind, (dict, list, tuple, Config))


def _choices(field: FieldInfo, members: list[Any]) -> tuple[str, ...]:
    for part in (part for kind in members for part in typing.get_args(kind)):
        for member in _members(part):
            if typing.get_origin(member) is Literal:
                return tuple(map(str, typing.get_args(member)))
    return choices(field)


def _flow(value: Any) -> str:
    import yaml
    from pydantic_core import to_jsonable_python

    text = yaml.safe_dump(to_jsonable_python(value), default_flow_style=True, width=10_000)
    return str(text).strip().removesuffix("...").strip()


def _read_flow(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"this is not valid YAML: {' '.join(str(error).split())}") from None
