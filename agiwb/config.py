"""What every config shares: strict fields, errors that name the fix, and one source for all faces.

A config is the single description of a step's input. Python builds it directly, the command line
and panels from its fields, a notebook from its ``parameters`` cell. All of them end in the same
validation, so a wrong value meets the same message everywhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from agiwb.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_MOST_SHOWN_FIELDS = 30


class Config(BaseModel):
    """Base of all configs: immutable, unknown fields refused with the nearest valid name."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    if not TYPE_CHECKING:  # type checkers see pydantic's own typed signature

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _config_error(type(self), error) from None

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show a notebook one field a line; of a large config, those that were given."""
        shown = dict(self)
        if len(shown) > _MOST_SHOWN_FIELDS:
            shown = {name: value for name, value in self if name in self.model_fields_set}
        fields = "".join(f"\n    {name}={value!r}," for name, value in shown.items())
        left = len(type(self).model_fields) - len(shown)
        rest = f"\n    # and {left} more at their defaults" if left else ""
        printer.text(f"{type(self).__name__}({fields}{rest}\n)")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return the config with ``values``; raise ConfigError for a field that does not fit."""
        return cls(**{str(name): value for name, value in values.items()})

    @classmethod
    def from_yaml(cls, path: Path | str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Return the config a YAML file describes, with ``overrides`` on top."""
        return cls.from_mapping({**read_yaml(Path(path)), **(overrides or {})})

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any]) -> Self:
        """Return the config from a notebook's ``globals()``: its variables named like fields."""
        return cls.from_mapping({k: namespace[k] for k in cls.model_fields if k in namespace})


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping a YAML file holds; raise ConfigError if it holds none."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"The config file {path} cannot be read: {error.strerror}.",
            "Give the path of an existing YAML file.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The config file {path} is not valid YAML: {' '.join(str(error).split())}.",
            "It should hold lines such as `epochs: 5`.",
        ) from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"The config file {path} holds no fields.", "It should hold lines such as `epochs: 5`."
        )
    return values


def _from_pairs(value: Any) -> Any:
    """Return ``NAME=VALUE`` words as a mapping."""
    return values_of_pairs(value) if isinstance(value, (list, tuple)) else value


def values_of_pairs(words: Sequence[Any]) -> dict[str, Any]:
    """Return the names and values of ``NAME=VALUE`` words."""
    pairs = (str(word).partition("=") for word in words)
    return {name: _value(text) for name, _, text in pairs}


def _value(text: str) -> Any:
    """Return a word as papermill's command line reads it; brackets make a list or a mapping."""
    if text in {"True", "False", "None"}:
        return {"True": True, "False": False, "None": None}[text]
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    if text[:1] in {"[", "{"}:
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(
                f"The value {text!r} is not valid YAML.", "Write a list as `[a, b]`."
            ) from None
    return text


NamedValues = Annotated[dict[str, Any], BeforeValidator(_from_pairs)]
"""A field of names and values, which a command line writes as ``NAME=VALUE NAME=VALUE``."""


def describe_field(field: FieldInfo) -> str:
    """Return the field's meaning with its choices or bounds and its default, as one line."""
    meaning = (field.description or "").rstrip(".")
    details = "; ".join(text for text in (_bounds(field), _default(field)) if text)
    return f"{meaning} ({details})" if details else meaning


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the values a field may take, if they are listed in its type."""
    return _listed(field.annotation)


def _listed(annotation: Any) -> tuple[str, ...]:
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return tuple(map(str, parts))
    return next(filter(None, map(_listed, parts)), ())


def _bounds(field: FieldInfo) -> str:
    listed = choices(field)
    if listed:
        return f"one of {', '.join(listed)}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    limits = [
        f"{sign} {getattr(constraint, name)}"
        for constraint in field.metadata
        for name, sign in signs.items()
        if getattr(constraint, name, None) is not None
    ]
    return " and ".join(limits)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return ""  # it may depend on who runs this, and where: the description says it
    default = field.default
    if isinstance(default, (list, tuple)):
        default = " ".join(str(value) for value in default)
    return "" if default in (None, "") else f"default {default}"


def _config_error(config: type[Config], error: ValidationError) -> ConfigError:
    """Return one paragraph for all that pydantic found, each with its field, value and fix."""
    found = error.errors(include_url=False)
    sentences = [_sentence(config, details) for details in found]
    problem = ConfigError(" ".join(dict.fromkeys(sentences)))
    for details, sentence in zip(found, sentences, strict=True):
        problem.fields.setdefault(str(details["loc"][0]) if details["loc"] else "", sentence)
    return problem


def _sentence(config: type[Config], details: ErrorDetails) -> str:
    name = ".".join(str(part) for part in details["loc"]) or config.__name__
    field = config.model_fields.get(str(details["loc"][0])) if details["loc"] else None
    if details["type"] == "extra_forbidden":
        hint = did_you_mean(name, config.model_fields)
        return f"{config.__name__} has no parameter `{name}`. {hint}"
    if details["type"] == "missing":
        meaning = f": {field.description}" if field and field.description else "."
        return f"{config.__name__} needs the parameter `{name}`{meaning}"
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, Exception):  # raised by our own validators, which say it all
        return f"`{name}`: {cause}"
    sentence = f"`{name}` cannot be {details['input']!r}: {details['msg'].lower()}."
    if field is not None and choices(field):
        hint = did_you_mean(str(details["input"]), choices(field))
        return f"{sentence} {hint}"
    return f"{sentence} It means: {describe_field(field)}." if field else sentence
