"""How many bytes a candidate takes: as a file, as it travels, and at the least."""

from __future__ import annotations

import gzip
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agiwb.compression.packed.model import pack
from agiwb.compression.packed.tensor import bound_bytes
from agiwb.compression.sensitivity import layer_sparsity
from agiwb.compression.techniques.kernels import kernels_of

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class FileSize:
    """Bytes of a file as it is, after ``gzip -9``, and after ``xz -9e``."""

    size_bytes: int
    gzip_bytes: int
    xz_bytes: int


@dataclass(frozen=True)
class ModelSize:
    """Bytes that the weights of a Keras model need.

    Attributes:
        entropy_bytes: What the entropy of each kernel's values leaves, all kernels together: with
            ``p(v)`` the share of a kernel's ``n`` weights that have the value ``v``, zero among
            them, ``n * sum(-p(v) * log2 p(v)) / 8`` bytes and a codebook of the ``k`` values other
            than zero, 4 bytes each (Shannon 1948; the codebook as in Han et al. 2015), or the
            values as they are if that is less. No coder that treats each weight on its own and
            writes down its codebook can do better; one that sees rows and columns may.
        packed_bytes: The whole model, architecture included, in agiwb's packed container; None if
            it was not asked for.
        layer_sparsity: Share of zeros in the kernels of each layer that has one, in order.
    """

    entropy_bytes: int
    packed_bytes: int | None
    layer_sparsity: dict[str, float]


def measure_file(path: Path) -> FileSize:
    """Return the size of the file at ``path``."""
    content = path.read_bytes()
    return FileSize(
        size_bytes=len(content),
        gzip_bytes=len(gzip.compress(content, 9, mtime=0)),
        xz_bytes=len(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)),
    )


def measure_model(model: keras.Model, *, packed: bool) -> ModelSize:
    """Return what the weights of ``model`` need.

    Args:
        model: Any.
        packed: Whether to pack it.
    """
    bounds = [bound_bytes(kernel.variable.numpy()) for kernel in kernels_of(model)]
    return ModelSize(
        entropy_bytes=round(sum(bounds)),
        packed_bytes=len(pack(model)) if packed else None,
        layer_sparsity=layer_sparsity(model),
    )
