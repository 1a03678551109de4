"""Weight clustering: each kernel keeps a few distinct values, which then train together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agiwb.compression.techniques.codebook import Init, fit_codebook
from agiwb.compression.techniques.support import (
    NORMS,
    RECURRENT,
    WRAPPERS,
    Support,
    changed_kinds,
    stated,
)
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_ITS_KERNEL = "its kernel"
_BOTH_KERNELS = "the depthwise and the pointwise kernel, each with a codebook of its own"
_RECURRENT = "its kernel and its recurrent kernel, each with a codebook of its own"
_PROJECTIONS = "the kernels of its projections, each with one codebook"
_TOO_SMALL = "a few numbers a channel, which cost more in accuracy than in bytes"


class Cluster(Technique):
    """Replace each kernel's weights by the nearest of ``clusters`` shared values (k-means).

    Han et al. 2016 (arXiv:1510.00149), section 3. Fine-tuning then moves the shared values only:
    the gradient of each is the sum over its weights. Zeros stay zeros and count as one of the
    values. Biases and normalisations are left alone and train on.
    """

    word: ClassVar[str] = "cluster"
    number: ClassVar[str] = "clusters"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {
        "clusters": (4, 8, 16, 32, 64, 256),
        "init": ("linear", "density", "kmeans++"),
    }
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D"): _ITS_KERNEL,
            ("DepthwiseConv1D", "DepthwiseConv2D"): _ITS_KERNEL,
            ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"): _ITS_KERNEL,
            ("SeparableConv1D", "SeparableConv2D"): _BOTH_KERNELS,
            RECURRENT: _RECURRENT,
            ("Embedding", "ReversibleEmbedding"): "its table, with one codebook",
            ("MultiHeadAttention", "GroupQueryAttention"): _PROJECTIONS,
            (*WRAPPERS, "SpectralNormalization"): "the kernels of the layer inside",
        },
        leaves={NORMS: _TOO_SMALL},
        otherwise="it has no kernel that clustering knows",
    )

    clusters: int = Field(16, ge=2, le=256, description="distinct values a kernel may keep")
    init: Init = Field("linear", description="where the centroids of k-means start")
    per_channel: bool = Field(False, description="one codebook an output channel, not a kernel")
    engine: Literal["keras", "tfmot"] = Field(
        default="keras", description="Whether this is done here or by TensorFlow's own toolkit"
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a copy of ``model`` whose kernels have at most ``clusters`` distinct values each.

        With ``per_channel`` that holds for each output channel; embeddings and EinsumDense have
        no such channels and keep to one codebook. Without epochs the weights are only replaced.

        Raises:
            WorkError: There is no kernel to cluster, or the fine-tuning diverged.
        """
        import keras

        from agiwb.compression.keras_model import rebuild
        from agiwb.compression.techniques.kernels import kernels_of
        from agiwb.compression.techniques.tied_weights import Tie, tie, untie

        if self.engine == "tfmot":
            from agiwb.compression.tfmot.clustering import cluster_with_tfmot

            return cluster_with_tfmot(model, self, bench)
        keras.utils.set_random_seed(bench.tuning.seed)
        clustered = rebuild(model)
        ties = [
            Tie(
                kernel.variable,
                fit_codebook(
                    kernel.variable.numpy(),
                    self.clusters,
                    self.init,
                    bench.tuning.seed,
                    kernel.channels if self.per_channel and kernel.channels else None,
                ),
            )
            for kernel in kernels_of(clustered)
        ]
        if not ties:
            raise WorkError(
                f"The model {model.name} has no layer with a kernel to cluster.",
                f"Clustering changes {changed_kinds(self.support)}.",
            )
        tied = tie(clustered, [each for each in ties if len(each.codebook.entries) > 1])
        bench.train(tied)
        return rebuild(untie(tied))
