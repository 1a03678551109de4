"""Weight clustering by the toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.compression.techniques.technique import Bench
from agiwb.compression.tfmot.library import load_tfmot
from agiwb.compression.tfmot.twin import compile_twin, train_twin, twin_of, wrapped
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

    from agiwb.compression.techniques.clustering import Cluster

_INITS = {"linear": "LINEAR", "density": "DENSITY_BASED", "kmeans++": "KMEANS_PLUS_PLUS"}


def cluster_with_tfmot(model: keras.Model, technique: Cluster, bench: Bench) -> keras.Model:
    """Return a copy of ``model`` clustered by ``tfmot.clustering.keras.cluster_weights``.

    The toolkit starts the centroids and then trains them, without k-means in between. Zeros stay
    zeros, by its experimental option for sparsity.

    Raises:
        WorkError: A layer does not carry over to Keras 2, the toolkit cannot cluster it, or the
            training diverged.
    """
    if technique.per_channel:
        raise WorkError(
            "The engine tfmot clusters by channel only in convolutions.",
            "Leave out `per_channel`, or use the engine keras.",
        )
    tfmot, keras2 = load_tfmot()
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import (
        cluster as experimental,
    )

    keras2.utils.set_random_seed(bench.tuning.seed)
    twin = twin_of(model, bench)
    inits = tfmot.clustering.keras.CentroidInitialization

    def wrap(layer: Any) -> Any:
        sparse = any(not w.all() for w in layer.get_weights() if w.ndim > 1)
        return experimental.cluster_weights(
            layer,
            number_of_clusters=technique.clusters,
            cluster_centroids_init=getattr(inits, _INITS[technique.init]),
            preserve_sparsity=sparse,
        )

    clustered = wrapped(twin, wrap, "cluster")
    compile_twin(clustered, bench)
    train_twin(clustered, bench, [])
    return twin.carried_back_from(tfmot.clustering.keras.strip_clustering(clustered))
