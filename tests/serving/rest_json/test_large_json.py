"""Large bodies: read in pieces, and with the tokens that JSON has not."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agiwb.errors import InputError
from agiwb.serving.rest_json import large_json
from agiwb.serving.rest_json.json_text import dump_array, dump_json, load_json
from agiwb.serving.rest_json.large_json import LARGE, dump_in_pieces, load_large

NUMBERS = st.integers(-100, 100) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    NUMBERS | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)
ROWS = st.integers(0, 3).flatmap(
    lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width))
)


@pytest.fixture
def small_pieces(monkeypatch):
    """Cut after a byte, so that a few rows are several pieces."""
    cuts = []
    load_piece = large_json._load_piece
    monkeypatch.setattr(large_json, "_PIECE_BYTES", 1)
    monkeypatch.setattr(
        large_json, "_load_piece", lambda piece: (cuts.append(piece), load_piece(piece))[1]
    )
    return cuts


@pytest.fixture(scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "_PIECE_BYTES", 1)
        yield


@given(
    rows=ROWS | st.lists(VALUES),
    key=st.sampled_from(["instances", "inputs", "other"]),
    named=st.booleans(),
    more=st.none() | VALUES,
    indent=st.none() | st.integers(0, 2),
)
@pytest.mark.usefixtures("tiny")
def test_pieces_hold_what_the_whole_holds(rows, key, named, more, indent):
    document = {"signature_name": "s"} if named else {}
    document |= {key: rows} | ({} if more is None else {"more": more})
    text = json.dumps(document, indent=indent).encode()
    assert load_large(text) == document


@given(text=st.text(alphabet='[]{},:"1a \\', max_size=60))
@pytest.mark.usefixtures("tiny")
def test_what_is_not_json_is_none_in_pieces_either(text):
    body = b'{"instances": [' + text.encode()
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        with pytest.raises(orjson.JSONDecodeError):
            load_large(body)
    else:
        assert load_large(body) == expected


@pytest.mark.parametrize("rows", [b"11,22,", b"[1],[2],", b"1,,2", b",", b"1 2,33", b"[11],[22]]"])
def test_a_comma_too_many_is_not_json_wherever_it_is_cut(monkeypatch, rows):
    body = b'{"instances": [%b]}' % rows
    for size in range(1, 8):
        monkeypatch.setattr(large_json, "_PIECE_BYTES", size)
        with pytest.raises(orjson.JSONDecodeError):
            load_large(body)


def test_rows_are_cut_between_them(small_pieces):
    text = b'{ "signature_name": "s", "instances": [ [[1, 2], [3, 4]] , [[5, 6], [7, 8]]] }'
    assert load_large(text) == json.loads(text)
    assert small_pieces == [b"[[[1, 2], [3, 4]] ]", b"[ [[5, 6], [7, 8]]]"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"instances": [[1], [2]], "instances": 5}',
        b'{"instances": [[1], [2]], "instances": [[3]]}',
        b'{"instances": [[1], [2]], "inputs": [[3], [4]]}',
        b'{"instances": ["],[", "a"], "x": "]"}',
        b'{"instances": []}',
        b"[1, 2]",
    ],
)
def test_whatever_follows_the_list_is_read_as_ever(small_pieces, text):
    assert load_large(text) == json.loads(text)
    assert all(isinstance(piece, bytes) for piece in small_pieces)


def test_a_nan_costs_only_its_piece_more(small_pieces):
    loaded = load_large(b'{"inputs": [[1, NaN], [-Inf, 2], [3, Infinity]]}')["inputs"]
    assert math.isnan(loaded[0][1])
    assert loaded[1:] == [[-math.inf, 2], [3, math.inf]]
    assert len(small_pieces) == 3
    with pytest.raises(orjson.JSONDecodeError):
        load_large(b'{"inputs": [[1, NaN], [2]], [3]]}')


def test_millions_of_brackets_are_refused_in_linear_time():
    body = b'{"instances": [' + b"[" * (1 << 20) + b"]" * (1 << 20) + b"]}"
    start = time.perf_counter()
    with pytest.raises(InputError, match="nested"):
        load_json(body)
    assert time.perf_counter() - start < 300  # a look at every pair of them takes an hour


def test_a_large_body_with_nan_is_read():
    rows = np.arange(LARGE // 2, dtype=np.float32).reshape(-1, 8)
    rows[5, 3] = np.nan
    body = json.dumps({"instances": rows.tolist()}).encode()
    assert len(body) > LARGE
    read = np.array(load_json(body)["instances"], np.float32)
    assert np.array_equal(read, rows, equal_nan=True)


SPECIAL = st.sampled_from([math.nan, math.inf, -math.inf]) | st.floats(width=32)


@given(
    st.lists(SPECIAL, max_size=6),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from(["", "null", "nullnull"]),
)
def test_what_json_has_no_number_for_is_written_where_it_was(values, dtype, word):
    with np.errstate(over="ignore"):
        array = np.array(values, dtype)
    document = {"a": array, word: [array[::2], {"b": array.reshape(1, -1)}], "c": 0.5}
    read = json.loads(dump_json(document))
    for written, kept in (
        (read["a"], array),
        (read[word][0], array[::2]),
        (read[word][1]["b"], array.reshape(1, -1)),
    ):
        assert np.array_equal(np.array(written, dtype).reshape(kept.shape), kept, equal_nan=True)
    assert b"null" not in dump_json({"a": array})


@pytest.mark.parametrize("shape", [(), (0,), (3,), (1, 2, 3), (4, 3), (2, 0), (5, 1, 2)])
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "bool", "object"])
def test_an_array_in_pieces_is_written_as_the_whole_is(monkeypatch, shape, kind):
    monkeypatch.setattr(large_json, "_PIECE_BYTES", 8)
    array = np.arange(math.prod(shape)).reshape(shape).astype("float64")
    if kind.startswith("float") and array.size:
        array.flat[0] = np.nan
    array = array.astype(str).astype(object) if kind == "object" else array.astype(kind)
    assert dump_array(array) == dump_json(array)


def test_no_piece_of_a_large_array_is_large():
    sizes = []

    def dump(piece):
        sizes.append(piece.nbytes)
        return dump_json(piece)

    image = np.linspace(0, 1, 300_000, dtype=np.float32).reshape(1, 500, 600)
    assert json.loads(dump_in_pieces(image, dump)) == json.loads(dump_json(image))
    assert sum(sizes) == image.nbytes
    assert max(sizes) < LARGE
    assert len(sizes) > 4
