"""Examples on their way into a model: ``tf.data`` pipelines that can begin at any epoch.

The order of epoch ``e`` depends on the seed and on ``e`` alone. A training that was killed goes on
with the very batches it would have seen.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.tensorflow_quietly import import_tensorflow

_EVALUATION_BATCH = 256
_PREFETCHED_BATCHES = 4


def model_inputs(features: NDArray[Any]) -> Any:
    """Return features as a Keras model takes them: one array, or one array for each column.

    Texts are given as str objects of shape ``(examples,)``.
    """
    names = features.dtype.names
    if names is None:
        return features
    return {name: np.ascontiguousarray(features[name]) for name in names}


def model_targets(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels in the shape of the model's output: a column if each is one real number."""
    is_column = labels.ndim == 1 and labels.dtype.kind == "f"
    return labels[:, np.newaxis] if is_column else labels


def steps_in_epoch(split: Split, batch_size: int) -> int:
    """Return the number of batches in one pass, the last one being smaller if need be."""
    return math.ceil(len(split) / batch_size)


def training_batches(split: Split, batch_size: int, seed: int, epochs: range) -> Any:
    """Return a ``tf.data.Dataset`` of ``(inputs, labels)``, in another order each epoch."""
    tf = import_tensorflow()
    if is_streamed(split):
        return _for_workers(_streamed(split, batch_size, epochs, seed))
    whole = _tensors(split)
    rows = tf.range(len(split))

    def epoch_of_batches(epoch: Any) -> Any:
        key = tf.stack([tf.cast(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(rows, seed=key)
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def gather(index: Any) -> Any:
        return tf.nest.map_structure(lambda values: tf.gather(values, index), whole)

    order = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(epoch_of_batches)
    return _for_workers(order.map(gather))


def evaluation_batches(split: Split, batch_size: int = _EVALUATION_BATCH) -> Any:
    """Return a ``tf.data.Dataset`` of ``(inputs, labels)`` over ``split``, in order, once."""
    tf = import_tensorflow()
    if is_streamed(split):
        return _for_workers(_streamed(split, batch_size, range(1), None))
    return _for_workers(tf.data.Dataset.from_tensor_slices(_tensors(split)).batch(batch_size))


def is_streamed(split: Split) -> bool:
    """Return whether the examples stay on disk and come in blocks."""
    return type(split).blocks is not Split.blocks


def _for_workers(batches: Any) -> Any:
    """Return the pipeline for one worker or several; each of several takes its part of a batch."""
    tf = import_tensorflow()
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options).prefetch(_PREFETCHED_BATCHES)


def _tensors(split: Split) -> Any:
    tf = import_tensorflow()
    return tf.nest.map_structure(tf.convert_to_tensor, _pair(split))


def _pair(split: Split) -> tuple[Any, NDArray[Any]]:
    return model_inputs(split.features), model_targets(split.labels)


def _streamed(split: Split, batch_size: int, epochs: range, seed: int | None) -> Any:
    """Return batches of a split on disk; no batch has rows of two epochs."""
    tf = import_tensorflow()
    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(_tensor_type(array))),
        _pair(split.sample(1)),
    )

    def blocks(epoch: Any) -> Any:
        for block in split.blocks(None if seed is None else (seed, int(epoch))):
            yield _pair(block)

    def epoch_of_batches(epoch: Any) -> Any:
        whole = tf.data.Dataset.from_generator(blocks, output_signature=signature, args=(epoch,))
        return whole.rebatch(batch_size)

    batches = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(epoch_of_batches)
    # Keras warns of running out of data where it does not know how much there is.
    count = len(epochs) * steps_in_epoch(split, batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def _tensor_type(array: NDArray[Any]) -> Any:
    return "string" if array.dtype.kind in "OUT" else array.dtype
