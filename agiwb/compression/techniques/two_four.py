"""2:4 sparsity: of every 4 weights along the input the 2 smallest become zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.pruning import fine_tune, prunable_kernels
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
    support: ClassVar[dict[str, str]] = {
        "Dense": "",
        "Conv2D": "",
        "Conv1D": "the pattern is laid only on kernels of Dense and Conv2D layers",
        "DepthwiseConv2D": "each of its channels reads one input, which makes no group of 4",
        "LSTM": "the pattern is laid only on kernels of Dense and Conv2D layers",
        "GRU": "the pattern is laid only on kernels of Dense and Conv2D layers",
        "Embedding": "it is looked up, not multiplied",
    }

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a copy of ``model`` with the pattern in its kernels, fine-tuned, uncompiled.

        Raises:
            WorkError: No kernel has 3 or more inputs, or the fine-tuning diverged.
        """
        from agiwb.compression.keras_model import rebuild

        sparse = rebuild(model)
        masks = [(kernel, two_four_mask(kernel.numpy())) for kernel in prunable_kernels(sparse)]
        if all(mask.all() for _, mask in masks):
            raise WorkError(
                f"No kernel of the model {model.name} has enough inputs for 2:4 sparsity.",
                "Use `prune_50`, which needs no groups of 4.",
            )
        for kernel, mask in masks:
            kernel.assign(kernel.numpy() * mask)
        return fine_tune(sparse, bench.training, bench.tuning, bench.progress)


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
