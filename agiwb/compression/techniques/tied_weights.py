"""Training in which some weights move together, and others not at all.

A codebook's entry is one number that many weights share, so its gradient is the sum of theirs:
Deep Compression, Han et al. 2016 (arXiv:1510.00149), section 3.3. A pruned weight stays zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agiwb.compression.techniques.codebook import Codebook, found_codebook
from agiwb.compression.techniques.kernels import kernels_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Tie:
    """A kernel and the codebook that its weights are bound to."""

    variable: keras.Variable
    codebook: Codebook


def tie(model: keras.Model, ties: Sequence[Tie]) -> keras.Model:
    """Return a model that computes what ``model`` does and trains the codebooks for the kernels.

    Everything else of ``model`` trains as before, except that penalties on the tied kernels do
    not count. It is for training only: ``untie`` writes the kernels and gives ``model`` back.

    The weights are looked up inside the compiled training step, so that the gradient of an entry
    is the sum over its weights, and any optimiser works on the entries themselves.
    """
    import keras

    from agiwb.compression.techniques.substitution import call_with

    class TiedModel(keras.Model):  # type: ignore[misc]  # keras is untyped
        def __init__(self) -> None:
            super().__init__(name=f"tied_{model.name}")
            self.model = model
            self.entries = []
            for index, each in enumerate(ties):
                each.variable.trainable = False
                entries = self.add_weight(
                    shape=(len(each.codebook.entries) - 1,), name=f"entries_{index}"
                )
                entries.assign(each.codebook.entries[1:])
                self.entries.append(entries)

        def kernels(self) -> list[tuple[keras.Variable, Any]]:
            return [
                (each.variable, _look_up(entries, each.codebook.indices))
                for each, entries in zip(ties, self.entries, strict=True)
            ]

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return call_with(self.model, self.kernels(), inputs, training=training)

    return TiedModel()


def untie(tied: keras.Model) -> keras.Model:
    """Write what the codebooks have become into the kernels, and return the model they are of."""
    for variable, kernel in tied.kernels():
        variable.trainable = True
        variable.assign(kernel)
    return tied.model


def keep_zeros(model: keras.Model) -> None:
    """Make each kernel's zeros stay zeros while ``model`` trains, on top of its own constraint."""
    for kernel in kernels_of(model):
        values = kernel.variable.numpy()
        if not values.all():
            mask = (values != 0).astype(np.float32)
            kernel.variable.constraint = _masked(mask, kernel.variable.constraint)


def existing_ties(model: keras.Model) -> list[Tie]:
    """Return the kernels of ``model`` that have a codebook already, bound to it."""
    ties = []
    for kernel in kernels_of(model):
        codebook = found_codebook(kernel.variable.numpy(), kernel.channels)
        if codebook is not None and len(codebook.entries) > 1:
            ties.append(Tie(kernel.variable, codebook))
    return ties


def _look_up(entries: keras.Variable, indices: Any) -> Any:
    """Return the kernel: of each weight its entry, and zero for index 0."""
    from keras import ops

    with_zero = ops.concatenate([ops.zeros((1,)), ops.convert_to_tensor(entries)])
    # The gradient of looking up is a list of single contributions; that of the product is their
    # sum, which every optimiser takes for what it is.
    return ops.take(with_zero * 1.0, indices, axis=0)


def _masked(mask: Any, former: Any) -> Any:
    return lambda kernel: (former(kernel) if former else kernel) * mask
