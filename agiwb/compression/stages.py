"""The stages of a recipe, one at a time: a technique, or the form of the file; read and written.

As text a stage is its word, its number if it has one, and any other parameters that are not at
their defaults: ``prune_80:scope=global``. As data, in YAML or Python, it is that text or a mapping
of the word to the parameters: ``{"prune": {"percent": 80, "scope": "global"}}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self, get_args
from urllib.parse import quote, unquote

from pydantic import Field, model_validator

from agiwb.compression.post_training.onnx import Calibration
from agiwb.compression.techniques.order import TECHNIQUES
from agiwb.compression.techniques.technique import Technique
from agiwb.config import Config
from agiwb.errors import ConfigError, did_you_mean

BASELINE = "baseline"

Form = Literal[
    "float16", "dynamic", "int8", "int16x8", "onnx", "onnx_float16", "onnx_dynamic", "onnx_int8"
]
"""What the file is: LiteRT in 16-bit weights, 8-bit weights, 8 bits throughout, 8-bit weights and
16-bit activations; ONNX in 32-bit floats, 16-bit floats, 8-bit weights, 8 bits throughout."""

Precision = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
"""The numbers in the file, ``float32`` if no stage changes them."""

Runtime = Literal["litert", "onnx"]
"""What runs the file."""


class Conversion(Config):
    """The last stage: the file's format and the numbers in it."""

    form: Form = Field(description="Format of the file and the numbers in it")
    calibration: Calibration = Field(
        default="minmax", description="How `onnx_int8` finds the range of an activation"
    )
    per_channel: bool = Field(
        default=False, description="Whether in `onnx_int8` each output channel has its own scale"
    )

    @model_validator(mode="after")
    def _only_what_counts(self) -> Self:
        chosen = self.calibration != "minmax" or self.per_channel
        if chosen and self.form != "onnx_int8":
            raise ConfigError(
                f"`calibration` and `per_channel` mean nothing to {self.form}.",
                "Give them to `onnx_int8`.",
            )
        return self

    def __str__(self) -> str:
        return self.form

    @property
    def runtime(self) -> Runtime:
        """What runs the file."""
        return "onnx" if self.form.startswith("onnx") else "litert"

    @property
    def precision(self) -> Precision:
        """The numbers in the file."""
        numbers: Any = self.form.removeprefix("onnx").removeprefix("_") or "float32"
        return numbers  # type: ignore[no-any-return]  # a Precision, as Form is written


Stage = Technique | Conversion

_BY_WORD: dict[str, type[Technique]] = {technique.word: technique for technique in TECHNIQUES}
_FORMS: tuple[Form, ...] = get_args(Form)
_SHAPES = [f"{kind.word}_<{kind.number}>" if kind.number else kind.word for kind in TECHNIQUES]
SYNTAX = (
    f"Write `{BASELINE}`, or stages joined by `+`: first of {', '.join(_SHAPES)} in this order, "
    f"then one of {', '.join(_FORMS)}. More parameters follow a colon: `prune_80:scope=global`."
)


def place(stage: Stage) -> int:
    """Return where in a recipe the stage belongs; two of the same place exclude each other."""
    return len(TECHNIQUES) if isinstance(stage, Conversion) else TECHNIQUES.index(type(stage))


def write_stage(stage: Stage) -> str:
    """Return the stage as text; ``read_stage`` reads it back."""
    given = parameters(stage)
    if isinstance(stage, Technique):
        given.pop(stage.number, None)
    return ":".join([str(stage), *(f"{name}={_as_text(value)}" for name, value in given.items())])


def word(stage: Stage) -> str:
    """Return what the stage is called in a recipe."""
    return stage.form if isinstance(stage, Conversion) else stage.word


def parameters(stage: Stage) -> dict[str, Any]:
    """Return the stage's parameters that are not at their defaults, and its number."""
    number = stage.number if isinstance(stage, Technique) else ""
    fields = type(stage).model_fields
    return {
        name: value
        for name, value in stage
        if name == number or (name != "form" and value != fields[name].default)
    }


def read_stage(written: object, recipe: str) -> Stage:
    """Return the stage that ``written``, a text or a mapping of one word to parameters, means.

    Args:
        written: See above.
        recipe: The whole recipe, for the error.

    Raises:
        ConfigError: There is no such stage, or no such parameter.
    """
    if isinstance(written, str):
        return _from_text(written.strip(), recipe)
    if not isinstance(written, Mapping) or len(written) != 1:
        raise ConfigError(
            f"The recipe `{recipe}` has a stage that is no stage: {written!r}.",
            "Write a word, or one word with its parameters: `{prune: {percent: 80}}`.",
        )
    ((name, given),) = written.items()
    if not isinstance(given, Mapping | None):
        raise ConfigError(
            f"The recipe `{recipe}` gives the stage `{name}` no parameters but {given!r}.",
            "Write names and values: `{prune: {percent: 80}}`.",
        )
    if name not in _BY_WORD and name not in _FORMS:
        _refuse(str(name), recipe)
    return _make(str(name), dict(given or {}), recipe)


def _from_text(text: str, recipe: str) -> Stage:
    head, *pairs = text.split(":")
    if head == BASELINE:
        raise ConfigError(
            f"The recipe `{recipe}` adds to `{BASELINE}`, which means no compression.",
            "Leave it out of the sum.",
        )
    if not head:
        raise ConfigError(f"The recipe `{recipe}` has an empty stage.", SYNTAX)
    name, number = (head, None) if head in _FORMS else _split(head)
    numbered = _BY_WORD[name].number if name in _BY_WORD else ""
    if (name not in _BY_WORD and name not in _FORMS) or bool(numbered) != (number is not None):
        _refuse(head, recipe)
    given: dict[str, Any] = {} if number is None else {numbered: number}
    for pair in pairs:
        parameter, equals, value = pair.partition("=")
        if not equals or parameter in given:
            wrong = "twice" if equals else "without a value"
            raise ConfigError(
                f"The recipe `{recipe}` gives the parameter `{parameter}` of `{name}` {wrong}.",
                "Write each once, as in `prune_80:scope=global:schedule=constant`.",
            )
        given[parameter] = unquote(value)
    return _make(name, given, recipe)


def _make(name: str, given: dict[str, Any], recipe: str) -> Stage:
    technique = _BY_WORD.get(name)
    make = technique.from_mapping if technique else _conversion(name)
    try:
        return make(given)
    except ConfigError as error:
        raise ConfigError(f"The recipe `{recipe}`: {error.problem}", error.fix) from None


def _conversion(form: str) -> Any:
    return lambda given: Conversion.from_mapping({**given, "form": form})


def _refuse(head: str, recipe: str) -> None:
    hint = did_you_mean(head, (BASELINE, *_nearby(head), *_FORMS))
    raise ConfigError(
        f"The recipe `{recipe}` has an unknown stage `{head}`.",
        f"{hint} {SYNTAX}" if hint.startswith("Did") else SYNTAX,
    )


def _split(head: str) -> tuple[str, int | None]:
    """Return a stage's word and its number, if it ends with one."""
    if head in _BY_WORD:
        return head, None
    match = re.fullmatch(r"([a-z_]+)_(\d{1,4})", head, re.ASCII)
    return (match[1], int(match[2])) if match else (head, None)


def _nearby(head: str) -> list[str]:
    """Return the stages that a misspelt ``head`` may have meant, with its own number."""
    digits = re.search(r"[1-9]\d{0,2}", head, re.ASCII)
    number = digits[0] if digits else "50"
    return [f"{kind.word}_{number}" if kind.number else kind.word for kind in TECHNIQUES]


def _as_text(value: object) -> str:
    """Return ``value`` in letters that neither a recipe nor a file system gives a meaning."""
    return quote(str(value).lower() if isinstance(value, bool) else str(value), safe="")
