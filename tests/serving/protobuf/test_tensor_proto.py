from __future__ import annotations

import contextlib

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agiwb.errors import InputError
from agiwb.serving.protobuf.messages import enum_numbers, message_class
from agiwb.serving.protobuf.tensor_proto import data_type, read_tensor, write_tensor

FLOATS = ("float32", "float64", "float16", "complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*FLOATS, *INTEGERS, "bool")
TensorProto = message_class("tensorflow.TensorProto")
NUMBERS = enum_numbers("tensorflow.DataType")


def proto(dtype="DT_FLOAT", shape=None, **fields):
    message = TensorProto(dtype=NUMBERS[dtype], **fields)
    for size in shape or ():
        message.tensor_shape.dim.add().size = size
    return message


def through_the_wire(array, as_content):
    message = TensorProto()
    write_tensor(array, message, as_content)
    return read_tensor(TensorProto.FromString(message.SerializeToString()), "x")


@pytest.mark.parametrize("as_content", [True, False])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_numbers_survive_the_wire(as_content, data):
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = data.draw(arrays.arrays(dtype, shape))
    again = through_the_wire(array, as_content)
    assert again.dtype is np.dtype(dtype)  # runtimes recognize NumPy's own object at once
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize("as_content", [True, False])
def test_text_becomes_text_and_other_bytes_stay_bytes(as_content):
    text = through_the_wire(np.array([["a", "é"]], object), as_content)
    assert text.tolist() == [["a", "é"]]
    raw = through_the_wire(np.array([b"\xff", b""], object), as_content)
    assert raw.tolist() == [b"\xff", b""]


def test_content_is_read_without_a_copy():
    array = read_tensor(proto(shape=[2], tensor_content=np.float32([1, 2]).tobytes()))
    assert not array.flags.writeable
    assert not array.flags.owndata


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [([7.0], [[7, 7], [7, 7]]), ([1.0, 2.0], [[1, 2], [2, 2]]), ([], [[0, 0], [0, 0]])],
)
def test_the_last_value_fills_the_shape(given_values, expected):
    assert read_tensor(proto(shape=[2, 2], float_val=given_values)).tolist() == expected


def test_no_shape_is_a_scalar():
    scalar = read_tensor(proto("DT_INT64", int64_val=[5]))
    assert scalar.shape == ()
    assert scalar == 5


def test_halves_and_bfloat16_are_bits():
    assert read_tensor(proto("DT_HALF", [1], half_val=[0x3C00])).tolist() == [1.0]
    brain = read_tensor(proto("DT_BFLOAT16", [2], half_val=[0x3F80, 0xC000]))
    assert brain.dtype == np.float32
    assert brain.tolist() == [1.0, -2.0]
    content = np.array([0x3F80], "<u2").tobytes()
    assert read_tensor(proto("DT_BFLOAT16", [1], tensor_content=content)).tolist() == [1.0]


def test_any_byte_but_zero_is_true():
    truths = read_tensor(proto("DT_BOOL", [3], tensor_content=b"\x00\x01\x07"))
    assert truths.tolist() == [False, True, True]
    assert truths.view(np.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (proto(shape=[2], tensor_content=b"1234567"), "7 bytes of tensor_content"),
        (proto(shape=[2], float_val=[1, 2, 3]), r"holds 3 values, but its shape \(2\)"),
        (proto(float_val=[1, 2]), r"its shape \(\) has room for 1"),
        (proto(shape=[-1], float_val=[1]), "sizes, none of them negative"),
        (proto(shape=[2], double_val=[1, 2]), "is of DT_FLOAT, but its values are in double_val"),
        (proto("DT_INT8", [1], int_val=[128]), "a value that int8 cannot hold"),
        (proto("DT_HALF", [1], half_val=[-1]), "a value that uint16 cannot hold"),
        (proto("DT_COMPLEX64", [1], scomplex_val=[1.0]), "parts of complex numbers"),
        (proto("DT_RESOURCE", [1]), "DT_RESOURCE, which this server does not carry"),
        (proto("DT_INVALID", [1]), "DT_INVALID"),
        (proto(shape=[1 << 40], float_val=[1]), "more than 67108864 bytes"),
        (proto(shape=[1 << 62, 1 << 62], tensor_content=b"1234"), "fits in a memory"),
        (proto("DT_STRING", [2], tensor_content=b"\x05\x01ab"), "are not 2 strings"),
        (proto("DT_STRING", [1], tensor_content=b"\xff" * 20), "are not 1 strings"),
        (proto("DT_STRING", [1 << 40], tensor_content=b"\x01a"), "strings"),
    ],
)
def test_what_contradicts_itself_is_refused(message, problem):
    with pytest.raises(InputError, match=problem):
        read_tensor(message, "x")


def test_an_unknown_rank_is_refused():
    message = proto(float_val=[1.0])
    message.tensor_shape.unknown_rank = True
    with pytest.raises(InputError, match="unknown number of dimensions"):
        read_tensor(message)


def test_a_type_that_tensorflow_lacks_is_refused():
    with pytest.raises(InputError, match="datetime64"):
        data_type("datetime64[s]")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_message_is_an_array_or_an_input_error(data):
    try:
        message = TensorProto.FromString(data)
    except DecodeError:
        return
    # Nothing but an InputError, which is the client's.
    with contextlib.suppress(InputError):
        assert read_tensor(message, "x").dtype.kind in "OUbiufc"


@pytest.mark.slow
@pytest.mark.parametrize("as_content", [True, False])
def test_tensorflow_reads_what_is_written_and_the_other_way_round(as_content):
    import tensorflow as tf

    real = type(tf.make_tensor_proto(0))
    for dtype in DTYPES:
        array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
        message = TensorProto()
        write_tensor(array, message, as_content)
        read = tf.make_ndarray(real.FromString(message.SerializeToString()))
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
        made = tf.make_tensor_proto(array).SerializeToString()
        np.testing.assert_array_equal(read_tensor(TensorProto.FromString(made)), array)
    brain = tf.make_tensor_proto(tf.constant([1.5, -2.0], tf.bfloat16)).SerializeToString()
    assert read_tensor(TensorProto.FromString(brain)).tolist() == [1.5, -2.0]
