"""Which models answer each row by itself, found by asking them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from agiwb.serving.row_wise import Prepared, find_row_wise, may_merge, merge_key
from tests.serving.engines import load, load_composite
from tests.serving.onnx_models import (
    write_centred,
    write_convolution,
    write_echo,
    write_half_plus_two,
    write_lookup,
    write_mlp,
    write_one_at_a_time,
    write_one_hot,
    write_pair_sum,
    write_two_by_two,
)


@pytest.mark.parametrize(
    "write",
    [
        write_half_plus_two, write_mlp, write_two_by_two, write_lookup, write_echo,
        write_convolution,  # whose window is larger than the smallest picture
    ],
)  # fmt: skip
def test_rows_that_do_not_see_each_other_are_found(tmp_path, write):
    assert find_row_wise(load(write(tmp_path / "1"))) == {"serving_default"}


@pytest.mark.parametrize(
    "write",
    [
        write_centred,
        # Rows of whole numbers must differ, or their mean is each of them.
        lambda folder: write_centred(folder, TensorProto.INT64),
        lambda folder: write_centred(folder, TensorProto.UINT8, 1 / 255),
        # Small answers differ by little.
        lambda folder: write_centred(folder, scale=1e-5),
        write_one_hot,  # answers that do not even join
        write_pair_sum,  # a fixed number of rows
        write_one_at_a_time,
    ],
    ids=["mean", "mean-int", "mean-picture", "mean-small", "one-hot", "fixed", "one-at-a-time"],
)
def test_rows_that_depend_on_their_batch_are_not_merged(tmp_path, write):
    prepared = Prepared(load(write(tmp_path / "1")))
    assert prepared.row_wise == frozenset()
    names = prepared.input_names("serving_default")
    assert not may_merge(prepared, "serving_default", {name: np.zeros(2) for name in names})


def test_only_whole_requests_of_a_known_signature_merge(tmp_path):
    prepared = Prepared(load_composite(tmp_path))
    pair = {"a": np.zeros(2, np.float32), "b": np.zeros(2, np.int64)}
    assert may_merge(prepared, "serving_default", pair)
    assert not may_merge(prepared, "no_such", pair)
    assert not may_merge(prepared, "serving_default", {"a": pair["a"]})
    assert not may_merge(prepared, "serving_default", {**pair, "c": pair["a"]})
    assert not may_merge(prepared, "serving_default", {**pair, "b": np.zeros(3, np.int64)})
    assert not may_merge(prepared, "serving_default", {"a": np.float32(1), "b": np.int64(1)})


def test_requests_share_a_key_if_all_but_their_rows_agree(tmp_path):
    prepared = Prepared(load(write_convolution(tmp_path / "1")))

    def key(shape, dtype=np.float32, outputs=(), *, evens_out=False):
        inputs = {"image": np.zeros(shape, dtype)}
        return merge_key(prepared, "serving_default", inputs, outputs, evens_out=evens_out)

    assert key((1, 1, 3, 3)) == key((5, 1, 3, 3))
    assert key((1, 1, 3, 3)) != key((1, 1, 3, 4))
    assert key((1, 1, 3, 3)) != key((1, 1, 3, 3), np.float64)
    assert key((1, 1, 3, 3)) != key((1, 1, 3, 3), outputs=("sums",))
    assert key((1, 1, 3, 3), evens_out=True) == key((1, 1, 3, 4), evens_out=True)
    assert key((1, 1, 3, 3), evens_out=True) != key((1, 2, 3, 3), evens_out=True)
    assert key((1, 1, 3, 3), evens_out=True) != key((1, 1, 3), evens_out=True)


def test_a_prepared_model_answers_and_closes_as_the_model(tmp_path):
    prepared = Prepared(load(write_half_plus_two(tmp_path / "1")))
    assert prepared.run({"x": np.float32([4])})["y"].tolist() == [4.0]
    assert prepared.inline
    assert 0 < prepared.run_time.seconds(1) < 1
    prepared.close()
    with pytest.raises(Exception, match="unloaded"):
        prepared.run({"x": np.float32([4])})
