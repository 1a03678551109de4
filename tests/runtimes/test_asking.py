"""Answers to many examples, on a runtime that remembers the batches it was given."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.runtimes.asking import answer_all
from agiwb.runtimes.runtime import Tensors


class _Sums:
    """Answers with the sum and the product of a row, the sum in float64."""

    signature = Signature(
        inputs=(TensorSpec(name="row", dtype="float32", shape=(None, 3)),),
        outputs=(
            TensorSpec(name="sum", dtype="float64", shape=(None, 1)),
            TensorSpec(name="product", dtype="float32", shape=(None,)),
        ),
    )

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Tensors) -> Tensors:
        rows = inputs["row"]
        self.batches.append(len(rows))
        return {
            "product": rows.prod(axis=1),
            "sum": rows.sum(axis=1, keepdims=True, dtype=np.float64),
        }


@pytest.mark.parametrize(
    ("examples", "batches"),
    [(0, [0]), (1, [1]), (4, [4]), (5, [4, 1]), (8, [4, 4]), (10, [4, 4, 2])],
)
def test_every_example_is_answered_in_order(examples: int, batches: list[int]) -> None:
    runtime = _Sums()
    features = np.arange(3 * examples, dtype=np.float32).reshape(examples, 3)
    answers = answer_all(runtime, features, batch_size=4)
    np.testing.assert_array_equal(answers, features.sum(axis=1, keepdims=True), strict=True)
    assert runtime.batches == batches


@pytest.mark.parametrize("examples", [1, 4, 9])
def test_a_model_built_for_so_many_examples_at_a_time_gets_as_many(examples: int) -> None:
    runtime = _Sums()
    (spec,) = runtime.signature.inputs
    built = spec.model_copy(update={"shape": (4, 3)})
    runtime.signature = runtime.signature.model_copy(update={"inputs": (built,)})
    features = np.arange(3 * examples, dtype=np.float32).reshape(examples, 3)
    answers = answer_all(runtime, features)
    np.testing.assert_array_equal(answers, features.sum(axis=1, keepdims=True), strict=True)
    assert set(runtime.batches) == {4}


def test_a_usual_batch_has_256_examples() -> None:
    runtime = _Sums()
    answer_all(runtime, np.zeros((600, 3), np.float32))
    assert runtime.batches == [256, 256, 88]
