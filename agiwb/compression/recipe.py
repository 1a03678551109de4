"""Recipes: which stages of compression a candidate goes through, in order, as data.

A recipe is written as its stages joined by ``+``: ``prune_80+cluster_16+int8`` prunes 80 % of the
weights, leaves 16 distinct values to each kernel, and then quantizes to 8 bits. ``baseline`` has no
stage: the model as it is, in 32-bit floats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from agiwb.compression.techniques.order import TECHNIQUES
from agiwb.compression.techniques.technique import Technique
from agiwb.errors import ConfigError, did_you_mean

BASELINE = "baseline"

Quantization = Literal["float16", "dynamic", "int8", "int16x8"]
"""Stages that decide the numbers in the file: 16-bit weights; 8-bit weights; 8 bits throughout;
8-bit weights and 16-bit activations."""

Precision = Literal["float32", "float16", "dynamic", "int8", "int16x8"]
"""The numbers in the file, ``float32`` if no stage changes them."""

_BY_WORD = {technique.word: technique for technique in TECHNIQUES}
_FORMS = [f"{kind.word}_<{kind.number}>" if kind.number else kind.word for kind in TECHNIQUES]
_SYNTAX = (
    f"Write `{BASELINE}`, or stages joined by `+`: first of {', '.join(_FORMS)} in this order, "
    f"then one of {', '.join(get_args(Quantization))}."
)


@dataclass(frozen=True)
class Quantize:
    """Write the weights, and for ``int8`` and ``int16x8`` the activations, in smaller numbers."""

    precision: Quantization

    def __str__(self) -> str:
        return self.precision


Stage = Technique | Quantize


@dataclass(frozen=True)
class Recipe:
    """Stages in the order in which they are applied; those that train come before the rest."""

    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        """The recipe in its notation; ``parse_recipe`` reads it back."""
        return "+".join(map(str, self.stages)) or BASELINE

    @property
    def training(self) -> tuple[Technique, ...]:
        """The stages that change the Keras model; candidates that agree in them share it."""
        return tuple(stage for stage in self.stages if isinstance(stage, Technique))

    @property
    def precision(self) -> Precision:
        """The numbers in the file."""
        quantized = (stage.precision for stage in self.stages if isinstance(stage, Quantize))
        return next(quantized, "float32")


def parse_recipe(text: str) -> Recipe:
    """Return the recipe that ``text`` describes.

    Raises:
        ConfigError: A stage is unknown, comes twice, or comes too late.
    """
    if text.strip() == BASELINE:
        return Recipe()
    stages = tuple(_parse_stage(word.strip(), text) for word in text.split("+"))
    places = [_place(stage) for stage in stages]
    if len(set(places)) < len(places):
        raise ConfigError(
            f"The recipe `{text}` has two stages of the same kind.", "One of each is enough."
        )
    if places != sorted(places):
        rightly = Recipe(tuple(sorted(stages, key=_place)))
        raise ConfigError(
            f"The recipe `{text}` has its stages in an order in which a later one undoes an "
            "earlier one.",
            f"Write `{rightly.name}`.",
        )
    return Recipe(stages)


def _place(stage: Stage) -> int:
    return len(TECHNIQUES) if isinstance(stage, Quantize) else TECHNIQUES.index(type(stage))


def _parse_stage(word: str, text: str) -> Stage:
    for precision in get_args(Quantization):
        if word == precision:
            return Quantize(precision)
    if word == BASELINE:
        raise ConfigError(
            f"The recipe `{text}` adds to `{BASELINE}`, which means no compression.",
            "Leave it out of the sum.",
        )
    if not word:
        raise ConfigError(f"The recipe `{text}` has an empty stage.", _SYNTAX)
    name, number = _split(word)
    kind = _BY_WORD.get(name)
    if kind is None or bool(kind.number) != (number is not None):
        hint = did_you_mean(word, (BASELINE, *_nearby(word), *get_args(Quantization)))
        raise ConfigError(
            f"The recipe `{text}` has an unknown stage `{word}`.",
            f"{hint} {_SYNTAX}" if hint.startswith("Did") else _SYNTAX,
        )
    try:
        return kind.from_mapping({kind.number: number} if kind.number else {})
    except ConfigError as error:
        raise ConfigError(f"The recipe `{text}`: {error.problem}", error.fix) from None


def _split(word: str) -> tuple[str, int | None]:
    """Return a stage's word and its number, if it ends with one."""
    if word in _BY_WORD:
        return word, None
    match = re.fullmatch(r"([a-z_]+)_(\d{1,4})", word, re.ASCII)
    return (match[1], int(match[2])) if match else (word, None)


def _nearby(word: str) -> list[str]:
    """Return the stages that a misspelt ``word`` may have meant, with its own number."""
    digits = re.search(r"[1-9]\d{0,2}", word, re.ASCII)
    number = digits[0] if digits else "50"
    return [f"{kind.word}_{number}" if kind.number else kind.word for kind in TECHNIQUES]
