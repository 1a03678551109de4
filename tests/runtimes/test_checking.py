from __future__ import annotations

import re

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.checking import check_inputs


def signature(*inputs: TensorSpec) -> Signature:
    return Signature(inputs=inputs, outputs=(TensorSpec(name="y", dtype="float32", shape=(None,)),))


def spec(name: str, dtype: str, *shape: int | None) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", "float32"),
        ("float64", "float32"),
        ("float16", "float32"),
        ("int64", "float32"),
        ("uint8", "float32"),
        ("int64", "int32"),
        ("int64", "uint8"),
        ("uint8", "int64"),
        ("bool", "bool"),
    ],
)
def test_values_are_cast_to_the_signatures_dtype(given, expected):
    array = np.array([[0, 1]], given)
    cast = check_inputs(signature(spec("x", expected, None, 2)), {"x": array})["x"]
    assert cast.dtype == expected
    assert cast.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float32", "int32"),
        ("float64", "int8"),
        ("bool", "float32"),
        ("int64", "bool"),
        ("str", "float32"),
        ("object", "float32"),
        ("complex64", "float32"),
        ("datetime64[s]", "int64"),
    ],
)
def test_an_unsafe_dtype_is_refused(given, expected):
    array = np.zeros((1, 2), given)
    said = "string" if array.dtype.kind in "OU" else given
    with pytest.raises(InputError, match=re.escape(f"x: {expected} (?, 2), but got x: {said} (1")):
        check_inputs(signature(spec("x", expected, None, 2)), {"x": array})


@pytest.mark.parametrize(("value", "dtype"), [(128, "int8"), (-1, "uint8"), (2**31, "int32")])
def test_an_integer_that_does_not_fit_is_refused(value, dtype):
    with pytest.raises(InputError, match="outside what"):
        check_inputs(signature(spec("x", dtype, None)), {"x": np.array([0, value])})


def test_the_largest_unsigned_value_is_compared_exactly():
    array = np.array([2**64 - 1], "uint64")
    with pytest.raises(InputError, match="outside what int64 holds"):
        check_inputs(signature(spec("x", "int64", None)), {"x": array})


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 4, 1), (4,), ()])
def test_a_wrong_shape_names_both_shapes(shape):
    with pytest.raises(InputError) as caught:
        check_inputs(signature(spec("x", "float32", None, 4)), {"x": np.zeros(shape)})
    assert "x: float32 (?, 4)" in str(caught.value)
    assert f"float64 ({', '.join(map(str, shape))})" in str(caught.value)


def test_an_empty_batch_fits():
    tensors = check_inputs(signature(spec("x", "int8", None, 2)), {"x": np.zeros((0, 2), int)})
    assert tensors["x"].shape == (0, 2)


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b", "c"), ("a", "c")])
def test_missing_and_extra_names_are_refused(names):
    expected = signature(spec("a", "float32", None), spec("b", "int64", None))
    with pytest.raises(InputError, match=r"a: float32 \(\?\); b: int64 \(\?\), but got"):
        check_inputs(expected, {name: np.zeros(1, int) for name in names})


def test_inputs_come_back_in_the_signatures_order():
    expected = signature(spec("a", "float32", None), spec("b", "float32", None))
    assert list(check_inputs(expected, {"b": np.ones(2), "a": np.ones(2)})) == ["a", "b"]


def test_different_batch_sizes_are_refused():
    expected = signature(spec("a", "float32", None), spec("b", "float32", None))
    with pytest.raises(InputError, match="a: 2, b: 3"):
        check_inputs(expected, {"a": np.ones(2), "b": np.ones(3)})


def test_a_double_beyond_float32_becomes_infinite_without_a_warning(recwarn):
    tensors = check_inputs(signature(spec("x", "float32", None)), {"x": np.array([1e300])})
    assert np.isinf(tensors["x"][0])
    assert not recwarn
