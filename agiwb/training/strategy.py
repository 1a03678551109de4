"""Where a training runs: on one device, on all of this machine's, or on several machines."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agiwb.datasets.dataset import Split
from agiwb.errors import ConfigError
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.pipeline import evaluation_batches

if TYPE_CHECKING:
    import keras

    from agiwb.training.config import Strategy

_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2345", "10.0.0.2:2345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def make_strategy(name: Strategy) -> Any:
    """Return the ``tf.distribute`` strategy called ``name``.

    ``multi_worker`` connects to the other workers, and must come before any TensorFlow operation.

    Raises:
        ConfigError: ``TF_CONFIG`` does not say who the workers are.
    """
    tf = import_tensorflow()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        cluster_task()
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def cluster_task() -> tuple[int, str]:
    """Return this worker's index and a digest of the cluster, both from ``TF_CONFIG``.

    Raises:
        ConfigError: It is missing, is not JSON, or names no worker for this process.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        described = json.loads(text)
        index = int(described["task"]["index"])
        described["cluster"]["worker"][index]
    except (ValueError, KeyError, IndexError, TypeError):
        raise ConfigError(
            f"`strategy` multi_worker reads TF_CONFIG, which is {text!r}.",
            f"Set it on each worker, for example to {_EXAMPLE}.",
        ) from None
    return index, hashlib.sha256(text.encode()).hexdigest()


def is_chief(name: Strategy) -> bool:
    """Return whether this process speaks for the training: the first of its workers."""
    return name != "multi_worker" or cluster_task()[0] == 0


@contextmanager
def ready_to_fit(model: keras.Model, strategy: Any, training: Split) -> Iterator[None]:
    """Give a time in which ``model.fit`` works under ``strategy``.

    Keras 3 cannot fit under several workers by itself (keras-team/keras#20585): to build the
    model it reduces a batch that lies on several workers, and to report a metric, a scalar, it
    reduces along an axis that scalars do not have. Here the model is built on some examples
    that are all here, and metrics are averaged over the workers as they are.
    """
    tf = import_tensorflow()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        yield
        return
    import keras
    from keras.src.backend.tensorflow import trainer

    def average(values: Any, strategy: Any, reduction: str) -> Any:
        return keras.tree.map_structure(
            lambda value: strategy.reduce("MEAN", value, axis=None), values
        )

    batch = next(iter(evaluation_batches(training.sample(2))))
    model._symbolic_build(data_batch=batch)  # noqa: SLF001  see above
    model._maybe_symbolic_build = lambda *_, **__: None  # noqa: SLF001
    former, trainer.reduce_per_replica = trainer.reduce_per_replica, average
    try:
        yield
    finally:
        trainer.reduce_per_replica = former
