"""Making the candidates' files: train what must be trained once, convert each, survive failures."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.compression.pruning import FineTuning, measured_sparsity
from agiwb.compression.quantization import convert, export_saved_model
from agiwb.compression.recipe import Recipe
from agiwb.compression.techniques.integer_file import (
    convert_trained,
    has_trained_ranges,
    plain_model,
)
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.datasets.dataset import Split
from agiwb.errors import CancelledError, InputError
from agiwb.runs.context import Context

if TYPE_CHECKING:
    import keras

T = TypeVar("T")

LITERT_FILE = MODEL_FILES["litert"]

_LONGEST_REASON = 300


@dataclass(frozen=True)
class Failure:
    """Why something could not be made or run, in a line."""

    reason: str


@dataclass(frozen=True)
class Product:
    """What became of a recipe: its ``.tflite`` file or why there is none, and its sparsity."""

    recipe: Recipe
    file: Path | Failure
    sparsity: float | None = None
    """Share of zeros, 0 to 1; None if there is no Keras model."""


@dataclass(frozen=True)
class Workshop:
    """What all recipes have in common; makes their files in ``context.files/<recipe>/``.

    Attributes:
        model: The Keras model to compress.
        training: The training split, which prunings fine-tune on.
        samples: Training examples that int8 calibrates on.
        tuning: How prunings fine-tune.
        context: The run.
    """

    model: keras.Model
    training: Split
    samples: NDArray[np.float32]
    tuning: FineTuning
    context: Context

    def make(self, recipes: Sequence[Recipe]) -> list[Product]:
        """Return what became of each recipe, in their order; no failure stops the others.

        Recipes with the same trained stages share one training and one Keras model.
        """
        products: dict[Recipe, Product] = {}
        for stages in dict.fromkeys(recipe.training for recipe in recipes):
            sharing = [recipe for recipe in recipes if recipe.training == stages]
            model = attempt(functools.partial(self._train, stages))
            if isinstance(model, Failure):
                products |= {recipe: Product(recipe, model) for recipe in sharing}
            else:
                products |= {product.recipe: product for product in self._write(model, sharing)}
        return [products[recipe] for recipe in recipes]

    def _train(self, stages: tuple[Technique, ...]) -> keras.Model:
        from agiwb.compression.keras_model import rebuild

        model = rebuild(self.model)
        for stage in stages:
            phase = f"fine-tune {stage}"

            def report(done: int, total: int, phase: str = phase) -> None:
                self.context.progress(phase, done, total)

            model = stage.apply(model, Bench(self.training, self.tuning, report))
        return model

    def _write(self, model: keras.Model, recipes: Sequence[Recipe]) -> list[Product]:
        """Return the products of one Keras model: its file, and a ``.tflite`` for each recipe."""
        plain = plain_model(model) if has_trained_ranges(model) else model
        sparsity = measured_sparsity(plain)
        products = []
        with tempfile.TemporaryDirectory() as temporary:
            saved_model = Path(temporary) / "saved_model"
            exported = attempt(functools.partial(export_saved_model, plain, saved_model))
            keras_file = Path(temporary) / MODEL_FILE
            plain.save(keras_file)
            for recipe in recipes:
                self.context.progress(f"convert {recipe.name}", 0, 1)
                folder = self.context.files / recipe.name
                folder.mkdir()
                shutil.copyfile(keras_file, folder / MODEL_FILE)
                made = exported or self._convert(model, saved_model, recipe, folder / LITERT_FILE)
                products.append(Product(recipe, made, sparsity))
                self.context.progress(f"convert {recipe.name}", 1, 1)
        return products

    def _convert(
        self, model: keras.Model, saved_model: Path, recipe: Recipe, file: Path
    ) -> Path | Failure:
        work = functools.partial(convert, saved_model, recipe.precision, self.samples)
        if recipe.precision == "int8" and has_trained_ranges(model):
            work = functools.partial(convert_trained, model)
        content = attempt(work)
        if isinstance(content, Failure):
            return content
        file.write_bytes(content)
        return file


def attempt(work: Callable[[], T]) -> T | Failure:
    """Return what ``work`` returns, or why it failed; cancelling and disk errors go through."""
    try:
        return work()
    except (CancelledError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  converters and interpreters raise anything
        # How to mend an input is said to users; what is run here is of our own making.
        problem = error.problem if isinstance(error, InputError) else str(error)
        lines = problem.strip().splitlines() or [type(error).__name__]
        return Failure(lines[0][:_LONGEST_REASON])
