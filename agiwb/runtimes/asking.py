"""Asking a runtime about more examples than one batch should hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature
from agiwb.runtimes.runtime import Runtime, Tensors

LARGEST_BATCH = 256


def answer_batches(runtime: Runtime, inputs: Tensors, batch_size: int = LARGEST_BATCH) -> Tensors:
    """Return every output for all examples, given in batches; 16-bit reals come as float32.

    Args:
        runtime: Any model.
        inputs: Examples by input, each ``(examples, ...)``; there may be none.
        batch_size: Most examples in one batch.

    Raises:
        InputError: The examples do not fit the model.
    """
    answers = []
    for batch, count in batches_for(runtime.signature, inputs, batch_size):
        answers.append({name: array[:count] for name, array in runtime.run(batch).items()})
    first, *rest = answers
    joined = first
    if rest:
        joined = {name: np.concatenate([batch[name] for batch in answers]) for name in first}
    return {
        name: array.astype(np.float32) if array.dtype == np.float16 else array
        for name, array in joined.items()
    }


def answer_all(
    runtime: Runtime, features: NDArray[np.float32], batch_size: int = LARGEST_BATCH
) -> NDArray[np.float32]:
    """Return the model's first output for all ``features``, given in batches to its first input.

    Args:
        runtime: A model with one input.
        features: Examples, ``(examples, *feature_shape)``; there may be none.
        batch_size: Most examples in one batch.

    Returns:
        float32 ``(examples, *output_shape)``, in the examples' order.

    Raises:
        InputError: The examples do not fit the model.
    """
    taken, given = runtime.signature.inputs[0].name, runtime.signature.outputs[0].name
    answers = answer_batches(runtime, {taken: features}, batch_size)
    return answers[given].astype(np.float32, copy=False)


def batches_for(
    signature: Signature, inputs: Tensors, batch_size: int = LARGEST_BATCH
) -> Iterator[tuple[Tensors, int]]:
    """Yield the batches that a model takes, each with how many of its examples were asked for.

    A model built for so many examples at a time gets these: a last batch that has fewer is filled
    up with its last example. Of no examples there is one batch, which tells the answers' shapes.
    """
    fixed = fixed_batch(signature)
    size = fixed or batch_size
    examples = len(next(iter(inputs.values())))
    for start in range(0, max(examples, 1), size):
        batch = {name: array[start : start + size] for name, array in inputs.items()}
        count = min(size, examples - start)
        lacking = size - count if fixed else 0
        if lacking:
            batch = {
                name: np.concatenate([array, np.repeat(array[-1:], lacking, axis=0)])
                for name, array in batch.items()
            }
        yield batch, count


def fixed_batch(signature: Signature) -> int | None:
    """Return how many examples the model was built for at a time, None if that is free."""
    sizes = {spec.shape[0] for spec in signature.inputs if spec.shape}
    return sizes.pop() if len(sizes) == 1 else None
