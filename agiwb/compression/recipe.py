"""Recipes: which stages of compression a candidate goes through, in order, as data.

A recipe is written as its stages joined by ``+``: ``prune_80+cluster_16+int8`` prunes 80 % of the
weights, leaves 16 distinct values to each kernel, and then quantizes to 8 bits. ``baseline`` has no
stage: the model as it is, in 32-bit floats. The same as a list, for YAML and Python:
``[{"prune": {"percent": 80}}, {"cluster": {"clusters": 16}}, "int8"]``; see ``stages``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.compression.stages import (
    BASELINE,
    Conversion,
    Precision,
    Runtime,
    Stage,
    parameters,
    place,
    read_stage,
    word,
    write_stage,
)
from agiwb.compression.techniques.technique import Technique
from agiwb.errors import ConfigError

__all__ = [
    "BASELINE", "Conversion", "Engine", "Precision", "Recipe", "RecipeText", "Runtime",
    "parse_recipe", "read_recipe", "read_recipe_file",
]  # fmt: skip

Engine = Literal["keras", "tfmot"]


@dataclass(frozen=True)
class Recipe:
    """Stages in the order in which they are applied; those that train come before the rest."""

    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        """The recipe in its notation; ``parse_recipe`` reads it back."""
        return "+".join(map(write_stage, self.stages)) or BASELINE

    @property
    def training(self) -> tuple[Technique, ...]:
        """The stages that change the Keras model; candidates that agree in them share it."""
        return tuple(stage for stage in self.stages if isinstance(stage, Technique))

    @property
    def conversion(self) -> Conversion | None:
        """The last stage if it decides the file's form; without one it is LiteRT in floats."""
        last = self.stages[-1] if self.stages else None
        return last if isinstance(last, Conversion) else None

    @property
    def precision(self) -> Precision:
        """The numbers in the file."""
        return self.conversion.precision if self.conversion else "float32"

    @property
    def runtime(self) -> Runtime:
        """What runs the file."""
        return self.conversion.runtime if self.conversion else "litert"

    @property
    def file_name(self) -> str:
        """What the deployable file is called: ``model.tflite`` or ``model.onnx``."""
        return MODEL_FILES[self.runtime]

    def prefixes(self) -> tuple[Recipe, ...]:
        """Return the recipes that end after each stage that trains, the shortest first."""
        trained = self.training
        return tuple(Recipe(trained[: count + 1]) for count in range(len(trained)))

    def with_engine(self, engine: Engine) -> Recipe:
        """Return the recipe with ``engine`` in the stages that leave the choice of one."""
        return Recipe(
            tuple(
                type(stage).from_mapping({**dict(stage), "engine": engine})
                if "engine" in type(stage).model_fields
                else stage
                for stage in self.stages
            )
        )

    def as_data(self) -> list[dict[str, dict[str, Any]]]:
        """Return the recipe with all that is not at its default; ``read_recipe`` reads it back."""
        return [{word(stage): parameters(stage)} for stage in self.stages]

    def as_yaml(self) -> str:
        """Return the content of a recipe file; ``read_recipe_file`` reads it back."""
        import yaml

        return yaml.safe_dump({"recipe": self.as_data()}, sort_keys=False)


def parse_recipe(text: str) -> Recipe:
    """Return the recipe that ``text`` describes.

    Raises:
        ConfigError: A stage is unknown, comes twice, or comes too late.
    """
    if text.strip() == BASELINE:
        return Recipe()
    return _ordered([read_stage(each, text) for each in text.split("+")], text)


def read_recipe(written: object) -> Recipe:
    """Return the recipe that ``written`` is, as text or as a list of stages.

    Raises:
        ConfigError: As ``parse_recipe``, or it is neither.
    """
    if isinstance(written, str):
        return parse_recipe(written)
    if not isinstance(written, Sequence):
        raise ConfigError(
            f"The recipe {written!r} is neither text nor a list of stages.",
            "Write `prune_80+int8` or `[{prune: {percent: 80}}, int8]`.",
        )
    text = " + ".join(map(str, written))
    return _ordered([read_stage(each, text) for each in written], text)


def read_recipe_file(path: Path) -> Recipe:
    """Return the recipe that the YAML file at ``path`` holds in its field ``recipe``.

    Raises:
        ConfigError: The file cannot be read, or holds no recipe.
    """
    from agiwb.config import read_yaml

    values = read_yaml(path)
    if "recipe" not in values:
        raise ConfigError(
            f"The file {path} has no field `recipe`.", "Write `recipe: [{prune: {percent: 80}}]`."
        )
    return read_recipe(values["recipe"])


RecipeText = Annotated[str, BeforeValidator(lambda written: read_recipe(written).name)]
"""A config's field that holds a recipe in its plain notation and takes it as a list as well."""


def _ordered(stages: list[Stage], text: str) -> Recipe:
    places = [place(stage) for stage in stages]
    if len(set(places)) < len(places):
        raise ConfigError(
            f"The recipe `{text}` has two stages of the same kind.", "One of each is enough."
        )
    if places != sorted(places):
        rightly = Recipe(tuple(sorted(stages, key=place)))
        raise ConfigError(
            f"The recipe `{text}` has its stages in an order in which a later one undoes an "
            "earlier one.",
            f"Write `{rightly.name}`.",
        )
    return Recipe(tuple(stages))
