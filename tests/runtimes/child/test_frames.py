"""Messages over a real socket pair."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from agiwb.runtimes.child.frames import receive, send

ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a scalar": np.float64(3.5).reshape(()),
    "truths": np.array([True, False, True]),
    "halves": np.array([0.5, -2], np.float16),
    "complex": np.array([1 + 2j]),
    "integers": np.array([[2**63 - 1], [-(2**63)]]),
    "nothing": np.zeros((0, 4), np.float32),
    "strided": np.arange(20, dtype=np.int32)[::3],
}


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def _through(pair, header, tensors):
    sender = threading.Thread(target=send, args=(pair[0], header, tensors))
    sender.start()
    received = receive(pair[1])
    sender.join()
    return received


def test_arrays_arrive_as_they_were_sent(pair):
    header, tensors = _through(pair, {"id": 7}, ARRAYS)
    assert header == {"id": 7}
    assert list(tensors) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(tensors[name], array)
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape)
        assert tensors[name].flags.writeable
        assert tensors[name].flags.aligned


def test_texts_arrive_as_bytes(pair):
    texts = {
        "objects": np.array([["é", b"\xff\x00"], ["", "x" * 300]], object),
        "strings": np.array(["a", "bc"]),
        "none": np.zeros((0, 2), object),
    }
    _, found = _through(pair, {}, texts)
    assert found["objects"].tolist() == [["é".encode(), b"\xff\x00"], [b"", b"x" * 300]]
    assert found["strings"].tolist() == [b"a", b"bc"]
    assert found["none"].shape == (0, 2)


def test_large_and_many_arrays_do_not_fit_one_system_call(pair):
    many = {str(i): np.full(3, i) for i in range(200)}
    many["large"] = np.arange(2_000_000, dtype=np.float64)
    _, found = _through(pair, {}, many)
    np.testing.assert_array_equal(found["large"], many["large"])
    assert all(found[str(i)].tolist() == [i] * 3 for i in range(200))


def test_the_end_is_none_even_within_a_frame(pair):
    pair[0].sendall(b"\x05\x00")
    pair[0].shutdown(socket.SHUT_WR)
    assert receive(pair[1]) is None
