"""2:4 sparsity: of every 4 weights along the input the 2 smallest become zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.techniques.kernels import kernels_of
from agiwb.compression.techniques.support import Support, stated
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_GROUP, _KEPT = 4, 2


class TwoFour(Technique):
    """The pattern that sparse tensor cores read (Mishra et al. 2021, arXiv:2104.08378, section 3).

    The kernels are pruned in one shot and the rest is fine-tuned with the pattern fixed, as that
    paper recommends (section 4). Zeros are the smallest weights and stay; shared values stay
    shared.
    """

    word: ClassVar[str] = "two_four"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {}
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "Conv2D"): "its kernel, if it has 3 inputs or more",
            "TimeDistributed": "the kernel of a Dense or Conv2D layer inside",
            "SpectralNormalization": "the kernel of a Dense or Conv2D layer inside",
        },
        leaves={
            ("DepthwiseConv1D", "DepthwiseConv2D"): (
                "each of its channels reads one input, which makes no group of 4"
            ),
            "Embedding": "it is looked up, not multiplied",
        },
        otherwise="the pattern is laid only on kernels of Dense and Conv2D layers",
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a copy of ``model`` with the pattern in its kernels, fine-tuned, uncompiled.

        Raises:
            WorkError: No kernel has 3 or more inputs, or the fine-tuning diverged.
        """
        from agiwb.compression.keras_model import rebuild

        sparse = rebuild(model)
        kernels = [each.variable for each in kernels_of(sparse) if each.kind in ("Dense", "Conv2D")]
        masks = [(kernel, two_four_mask(kernel.numpy())) for kernel in kernels]
        if all(mask.all() for _, mask in masks):
            raise WorkError(
                f"No kernel of the model {model.name} has enough inputs for 2:4 sparsity.",
                "Use `prune_50`, which needs no groups of 4.",
            )
        for kernel, mask in masks:
            kernel.assign(kernel.numpy() * mask)
        return bench.fine_tuned(sparse)


def two_four_mask(kernel: NDArray[Any]) -> NDArray[np.float32]:
    """Return 0 for the 2 smallest of every 4 weights along the input and 1 for the others.

    A last group of fewer than 4 is filled up with zeros in thought, which are its smallest: of 3
    weights 1 becomes zero, of 2 or 1 none.

    Args:
        kernel: ``(..., inputs, outputs)``, as Dense and convolution layers have it.
    """
    inputs, outputs = kernel.shape[-2:]
    sizes = np.abs(kernel).reshape(-1, inputs, outputs)
    fill = -inputs % _GROUP
    sizes = np.pad(sizes, ((0, 0), (0, fill), (0, 0)), constant_values=-1)
    groups = sizes.reshape(len(sizes), -1, _GROUP, outputs)
    mask = np.ones(groups.shape, np.float32)
    smallest = np.argsort(groups, axis=2, kind="stable")[:, :, : _GROUP - _KEPT]
    np.put_along_axis(mask, smallest, 0, axis=2)
    return mask.reshape(len(sizes), -1, outputs)[:, :inputs].reshape(kernel.shape)
