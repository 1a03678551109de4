"""What a model and its artifacts are asked."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.input_names import columns_of_inputs
from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.conversion.parity.edges import edge_cases
from agiwb.conversion.parity.tensor_file import Cases, write_cases
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.main_metric import main_metric
from agiwb.errors import ConfigError
from agiwb.runtimes.runtime import Tensors

REAL, VALIDATION, TEST = "real examples", "validation split", "test split"


@dataclass(frozen=True)
class Questions:
    """Batches by what they are, each an array a name of the model's inputs.

    Attributes:
        real: Examples of the validation split.
        edges: Edge cases by name.
        validation: The whole validation split; it decides whether the model beats chance.
        test: The whole test split; its score is told, and decides nothing.
        labels: Of ``real``, ``validation`` and ``test``, under these cases' names.
        metric: The task's main metric: ``accuracy``, ``auc`` or ``rmse``; None if answers are only
            compared.
        is_classifier: Whether the first output has a probability for each class.
        dataset: Name of the data set that they come from.
        width: Values of the first output that its task asks for: one a class, else one.
    """

    real: Tensors
    edges: Cases
    validation: Tensors
    test: Tensors
    labels: dict[str, NDArray[Any]]
    metric: str | None
    is_classifier: bool
    dataset: str
    width: int

    @property
    def asked(self) -> Cases:
        """All that an artifact is asked."""
        return {REAL: self.real, **self.edges, TEST: self.test}

    def without(self, cases: Container[str]) -> Questions:
        """Return the questions without these edge cases."""
        kept = {name: edge for name, edge in self.edges.items() if name not in cases}
        return replace(self, edges=kept)

    def through(self, prepare: Callable[[Tensors], Tensors]) -> Questions:
        """Return the questions for an artifact that begins after the model's first layers.

        Args:
            prepare: Gives what these layers make of a batch, by the artifact's input names.
        """
        return replace(
            self,
            real=prepare(self.real),
            edges={name: prepare(edge) for name, edge in self.edges.items()},
            validation=prepare(self.validation),
            test=prepare(self.test),
        )

    def write(self, path: Path) -> None:
        """Write what an artifact is asked, for ``check_parity``."""
        write_cases(path, self.asked)


def draw_questions(
    data: Dataset, signature: Signature, samples: int, seed: int, *, scored: bool = True
) -> Questions:
    """Return at most ``samples`` examples of the validation split, with edge cases around them.

    Args:
        data: What the model was trained on.
        signature: Of the Keras model. A model with one input takes the features under that
            input's name; others take the columns that their inputs are called after.
        samples: Most real examples.
        seed: Equal seeds draw equal examples.
        scored: Whether the labels judge the answers.

    Raises:
        ConfigError: The model has several inputs, and the data have no columns of their names.
    """
    index = np.random.default_rng(seed).permutation(len(data.validation))[:samples]
    real = data.validation.take(np.sort(index))

    def named(features: NDArray[Any]) -> Tensors:
        return by_input(features, signature, data.name)

    return Questions(
        real=named(real.features),
        edges={
            name: named(edge) for name, edge in edge_cases(data, real.features, signature).items()
        },
        validation=named(data.validation.features),
        test=named(data.test.features),
        labels={REAL: real.labels, VALIDATION: data.validation.labels, TEST: data.test.labels},
        metric=main_metric(data) if scored else None,
        is_classifier=bool(data.classes) and data.task != "multilabel",
        dataset=data.name,
        width=len(data.classes) or 1,
    )


def require_width(
    answers: NDArray[Any],
    width: int,
    dataset: str,
    model: str = "the model",
    fix: str = "Give the data set that the model was trained on.",
) -> None:
    """Raise ConfigError unless each answer has a value for every class, or is one number.

    Args:
        answers: The model's first output, ``(rows, ...)``.
        width: How many classes there are; 1 asks for a number.
        dataset: What it was asked about.
        model: What it is called.
        fix: What to do next.
    """
    shape = answers.shape[1:] or (1,)
    if shape != (width,):
        asked = f"has {width} classes" if width > 1 else "asks for one number an example"
        raise ConfigError(
            f"`dataset`: {dataset} {asked}, but {model} answers with shape {shape}.",
            fix,
        )


def by_input(features: NDArray[Any], signature: Signature, whose: str) -> Tensors:
    """Return features as arrays by the names of the model's inputs.

    A column may be called as it is, or as every format can write it.

    Raises:
        ConfigError: There are several inputs, and the features have no columns of their names.
    """
    columns = features.dtype.names
    names = [spec.name for spec in signature.inputs]
    if columns is None and len(names) == 1:
        return {names[0]: _as_declared(features, signature.inputs[0])}
    found = columns_of_inputs(names, columns or ())
    if len(found) == len(names):
        return {
            spec.name: _as_declared(features[found[spec.name]], spec) for spec in signature.inputs
        }
    has = f"the columns {', '.join(columns)}" if columns else "one array an example"
    raise ConfigError(
        f"`dataset`: the model takes the inputs {', '.join(names)}; {whose} has {has}.",
        "Give the data set that the model was trained on.",
    )


def _as_declared(values: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Return an input in the signature's dtype; single values as a column if it has one."""
    declared = values.astype("O" if spec.dtype in {"string", "object"} else spec.dtype, copy=False)
    is_flat = declared.ndim == 1 and len(spec.shape) > 1
    return np.ascontiguousarray(declared[:, np.newaxis] if is_flat else declared)
