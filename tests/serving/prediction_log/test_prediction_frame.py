from __future__ import annotations

import contextlib
import struct
import zlib

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from agiwb.serving.prediction_log.frame import encode_frame, read_frames, read_frames_backwards
from agiwb.serving.prediction_log.payload import decode_prediction, encode_prediction
from tests.serving.prediction_log.logged_predictions import assert_same, prediction

NUMBERS = [np.dtype(code) for code in "?bhilBHILefdFD"]
NAMES = st.text(st.characters(codec="utf-8"), max_size=12)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
TENSORS = st.dictionaries(
    NAMES,
    st.one_of(
        st.sampled_from(NUMBERS).flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)),
        arrays.arrays(object, SHAPES, elements=NAMES),
        arrays.arrays(object, SHAPES, elements=st.binary(max_size=5)),
    ),
    max_size=3,
)


def frames_of(content, read=read_frames):
    damage = []
    found = [
        (offset, decode_prediction(payload))
        for offset, payload in read(memoryview(content), lambda *place: damage.append(place))
    ]
    return found, damage


def times_of(content, read=read_frames):
    found, damage = frames_of(content, read)
    return [entry.time for _, entry in found], damage


def test_a_frame_is_what_its_layout_says():
    entry = prediction(1.5, variant="challenger", signature_name="s")
    entry.outputs.clear()
    values = entry.inputs["features"]
    payload = struct.pack("<BBHHHHHHddq", 1, 0, 1, 0, 4, 1, 10, 1, 1.5, 0.5, 1)
    payload += b"r1.5" + b"m" + b"challenger" + b"s"
    payload += struct.pack("<HBBQQQ", 8, 11, 2, 8, 1, 2) + b"features" + values.tobytes()
    head = b"\xf1PL\n" + struct.pack("<II", len(payload), zlib.crc32(payload))
    assert encode_frame(entry) == head + payload + struct.pack("<I", len(payload) + 16)


@given(TENSORS, TENSORS, NAMES, st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=80, deadline=None)
def test_what_goes_into_a_frame_comes_out(inputs, outputs, text, time, version):
    entry = prediction(
        time,
        version=version,
        model=text,
        inputs=inputs,
        outputs=outputs,
        request_id=text,
        variant=text,
        signature_name=text,
    )
    [(offset, found)], damage = frames_of(encode_frame(entry))
    assert (offset, damage) == (0, [])
    assert_same(found, entry)


@pytest.mark.parametrize(
    ("given_array", "expected"),
    [
        (np.array([1, 2], ">i4"), np.array([1, 2], "<i4")),
        (np.array([1.5, np.nan], ml_dtypes.bfloat16), np.float32([1.5, np.nan])),
        (np.arange(6.0).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T),
        (np.array(["a", "bc"]), np.array(["a", "bc"], object)),
        (np.array([b"a", b"bc"]), np.array([b"a", b"bc"], object)),
        (np.array(["\ud800"], object), np.array(["?"], object)),
    ],
)
def test_unusual_arrays_keep_their_values(given_array, expected):
    entry = prediction(1, inputs={"x": given_array})
    found = decode_prediction(encode_prediction(entry)).inputs["x"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["2020-01-01"], "M8[s]")])
def test_what_is_neither_number_nor_text_is_refused(array):
    with pytest.raises((TypeError, ValueError)):
        encode_frame(prediction(1, inputs={"x": array}))


@pytest.mark.parametrize("read", [read_frames, read_frames_backwards])
def test_a_torn_end_is_skipped_quietly(read):
    whole = [encode_frame(prediction(time)) for time in (1, 2, 3)]
    content = b"".join(whole)
    ends = np.cumsum([len(frame) for frame in whole])
    for size in range(len(content)):
        times, damage = times_of(content[:size], read)
        assert sorted(times) == [1, 2, 3][: np.searchsorted(ends, size, "right")]
        assert damage == []


@pytest.mark.parametrize("read", [read_frames, read_frames_backwards])
@given(st.data())
@settings(max_examples=80, deadline=None)
def test_damage_costs_only_the_frames_it_hits(read, data):
    whole = [encode_frame(prediction(time)) for time in range(5)]
    starts = np.cumsum([0, *map(len, whole)])
    content = bytearray(b"".join(whole))
    places = data.draw(st.sets(st.integers(0, len(content) - 1), min_size=1, max_size=4))
    for place in places:
        content[place] ^= data.draw(st.integers(1, 255))
    hit = {int(np.searchsorted(starts, place, "right")) - 1 for place in places}
    times, damage = times_of(bytes(content), read)
    assert sorted(times) == [time for time in range(5) if time not in hit]
    # Of damage that reaches the end nothing is said: it may be a write that goes on.
    inside = [one for one in hit if any(after not in hit for after in range(one, 5))]
    covered = {which for which in range(5) for a, b in damage if a <= starts[which] < b}
    assert covered == set(inside)


@pytest.mark.parametrize("read", [read_frames, read_frames_backwards])
def test_bytes_in_between_are_told_where_they_are(read):
    first, second = encode_frame(prediction(1)), encode_frame(prediction(2))
    junk = b"\xf1PL\n" + bytes(70_000)
    times, damage = times_of(first + junk + second, read)
    assert sorted(times) == [1, 2]
    assert damage == [(len(first), len(first) + len(junk))]


@given(st.binary(max_size=300))
def test_no_bytes_are_mistaken_for_a_frame(content):
    assert times_of(content) == ([], [])
    assert times_of(content, read_frames_backwards) == ([], [])


@pytest.mark.parametrize("read", [read_frames, read_frames_backwards])
def test_a_frame_within_a_request_is_not_taken_for_one(read):
    forged = np.frombuffer(encode_frame(prediction(666)), np.uint8)
    whole = encode_frame(prediction(1, outputs={"echo": forged}))
    assert times_of(whole * 2, read) == ([1, 1], [])


@given(st.binary(max_size=120))
def test_a_payload_of_anything_is_a_value_error_or_a_prediction(content):
    with pytest.raises(ValueError, match=r"."):
        decode_prediction(b"\x02" + content)
    with contextlib.suppress(ValueError):
        assert decode_prediction(b"\x01" + content).request_id is not None
