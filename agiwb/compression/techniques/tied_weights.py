"""Training in which some weights move together, and others not at all.

A codebook's entry is one number that many weights share, so its gradient is the sum of theirs:
Deep Compression, Han et al. 2016 (arXiv:1510.00149), section 3.3. A pruned weight stays zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.masks import masked
from agiwb.compression.techniques.codebook import Codebook, found_codebook
from agiwb.compression.techniques.kernels import kernels_of

if TYPE_CHECKING:
    import keras


class Tie:
    """A kernel and the codebook that its weights are bound to.

    Attributes:
        variable: The kernel.
        codebook: As it was at first.
        entries: The codebook's values without its zero, float32 ``(entries - 1,)``, trainable.
        indices: Of each weight its entry, int32 of the kernel's shape; 0 means zero.
    """

    def __init__(self, variable: keras.Variable, codebook: Codebook) -> None:
        self.variable = variable
        self.codebook = codebook
        self.entries: Any = None
        self.indices: Any = None

    def kernel(self) -> Any:
        """Return the weights that the entries stand for now."""
        from keras import ops

        with_zero = ops.concatenate([ops.zeros((1,)), ops.convert_to_tensor(self.entries)])
        # The gradient of looking up is a list of single contributions; that of the product is
        # their sum, which every optimiser takes for what it is.
        return ops.take(with_zero * 1.0, ops.convert_to_tensor(self.indices), axis=0)

    def write(self) -> None:
        """Write what the entries have become into the kernel."""
        self.variable.assign(self.kernel())

    def keep(self, mask: NDArray[np.float32]) -> None:
        """Make zeros, for good, of the weights for which ``mask``, of the kernel's shape, is 0."""
        self.indices.assign(self.indices.numpy() * mask.astype(np.int32))


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
            self.ties = tuple(ties)
            for index, each in enumerate(ties):
                each.variable.trainable = False
                first = each.codebook.entries[1:]
                each.entries = self.add_weight(shape=first.shape, name=f"entries_{index}")
                each.entries.assign(first)
                each.indices = self.add_weight(
                    shape=each.codebook.indices.shape,
                    dtype="int32",
                    initializer="zeros",
                    trainable=False,
                    name=f"indices_{index}",
                )
                each.indices.assign(each.codebook.indices)

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            kernels = [(each.variable, each.kernel()) for each in self.ties]
            return call_with(self.model, kernels, inputs, training=training)

    return TiedModel()


def tied_as_found(model: keras.Model) -> keras.Model:
    """Return ``model`` made to keep, while it trains, its kernels' zeros and their codebooks.

    It is ``model`` itself if there is no codebook; ``untie`` takes either.
    """
    keep_zeros(model)
    ties = existing_ties(model)
    return tie(model, ties) if ties else model


def untie(trained: keras.Model) -> keras.Model:
    """Write what the codebooks have become into the kernels, and return the model they are of."""
    if not hasattr(trained, "ties"):
        return trained
    for each in trained.ties:
        each.write()
        each.variable.trainable = True
    return trained.model


def keep_zeros(model: keras.Model) -> None:
    """Make each kernel's zeros stay zeros while ``model`` trains, on top of its own constraint."""
    for kernel in kernels_of(model):
        values = kernel.variable.numpy()
        if not values.all() and values.any():
            mask = (values != 0).astype(np.float32)
            kernel.variable.constraint = masked(mask, kernel.variable.constraint)


def existing_ties(model: keras.Model) -> list[Tie]:
    """Return the kernels of ``model`` that have a codebook already, bound to it."""
    ties = []
    for kernel in kernels_of(model):
        codebook = found_codebook(kernel.variable.numpy(), kernel.channels)
        if codebook is not None and len(codebook.entries) > 1:
            ties.append(Tie(kernel.variable, codebook))
    return ties
