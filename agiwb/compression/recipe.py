"""Recipes: which stages of compression a candidate goes through, in order, as data.

A recipe is written as its stages joined by ``+``: ``prune_80+int8`` prunes 80 % of the weights and
then quantizes to 8 bits. ``baseline`` has no stage: the model as it is, in 32-bit floats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from agiwb.errors import ConfigError, did_you_mean

BASELINE = "baseline"

Quantization = Literal["float16", "dynamic", "int8"]
"""Stages that decide the numbers in the file: 16-bit weights; 8-bit weights; 8 bits throughout."""

Precision = Literal["float32", "float16", "dynamic", "int8"]
"""The numbers in the file, ``float32`` if no stage changes them."""

_SYNTAX = (
    f"Write `{BASELINE}`, or `prune_<percent>`, or one of {', '.join(get_args(Quantization))}, "
    "or a pruning and one of these joined by `+`."
)


@dataclass(frozen=True)
class Prune:
    """Set the smallest ``percent`` of each kernel's weights to zero, fine-tuning meanwhile."""

    percent: int

    def __str__(self) -> str:
        return f"prune_{self.percent}"

    @property
    def sparsity(self) -> float:
        """Share of each kernel's weights that become zero."""
        return self.percent / 100


@dataclass(frozen=True)
class Quantize:
    """Write the weights, and for ``int8`` the activations, in smaller numbers."""

    precision: Quantization

    def __str__(self) -> str:
        return self.precision


Stage = Prune | Quantize


@dataclass(frozen=True)
class Recipe:
    """Stages in the order in which they are applied; those that train come before the rest."""

    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        """The recipe in its notation; ``parse_recipe`` reads it back."""
        return "+".join(map(str, self.stages)) or BASELINE

    @property
    def training(self) -> tuple[Prune, ...]:
        """The stages that change the Keras model; candidates that agree in them share it."""
        return tuple(stage for stage in self.stages if isinstance(stage, Prune))

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
    kinds = [type(stage) for stage in stages]
    if len(set(kinds)) < len(kinds):
        raise ConfigError(
            f"The recipe `{text}` has two stages of the same kind.", "One of each is enough."
        )
    if kinds == [Quantize, Prune]:
        raise ConfigError(
            f"The recipe `{text}` prunes after quantizing, when the weights can no longer train.",
            f"Write `{stages[1]}+{stages[0]}`.",
        )
    return Recipe(stages)


def _parse_stage(word: str, text: str) -> Stage:
    for precision in get_args(Quantization):
        if word == precision:
            return Quantize(precision)
    percent = re.fullmatch(r"prune_(\d+)", word, re.ASCII)
    if percent and 1 <= int(percent[1]) <= 99:
        return Prune(int(percent[1]))
    if percent:
        raise ConfigError(
            f"The recipe `{text}` prunes {percent[1]} percent.", "Give a percentage from 1 to 99."
        )
    if word == BASELINE:
        raise ConfigError(
            f"The recipe `{text}` adds to `{BASELINE}`, which means no compression.",
            "Leave it out of the sum.",
        )
    if not word:
        raise ConfigError(f"The recipe `{text}` has an empty stage.", _SYNTAX)
    hint = did_you_mean(word, (BASELINE, _nearby_pruning(word), *get_args(Quantization)))
    raise ConfigError(
        f"The recipe `{text}` has an unknown stage `{word}`.",
        f"{hint} {_SYNTAX}" if hint.startswith("Did") else _SYNTAX,
    )


def _nearby_pruning(word: str) -> str:
    """Return the pruning stage that a misspelt ``word`` may have meant, with its own percentage."""
    digits = re.search(r"[1-9]\d?", word, re.ASCII)
    return f"prune_{digits[0] if digits else 80}"
