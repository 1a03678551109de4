from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agiwb.errors import InputError
from agiwb.serving.rest_json.json_text import load_json
from agiwb.serving.rest_json.limits import Limits, check_limits


def depth_of(value) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text('[]{}"\\ab'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\ab'), inner),
)


@given(DOCUMENTS, st.integers(1, 5))
def test_a_document_is_refused_if_and_only_if_it_is_too_deep(document, levels):
    text = json.dumps(document).encode()
    if depth_of(document) <= levels:
        check_limits(text, Limits(levels=levels))
    else:
        with pytest.raises(InputError, match=f"more than {levels} levels deep"):
            check_limits(text, Limits(levels=levels))


@given(st.binary(), st.integers(1, 3))
def test_any_bytes_can_be_checked(text, levels):
    try:
        check_limits(text, Limits(levels=levels, values=levels))
    except InputError as error:
        assert "levels" in str(error) or "values" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 2_000_000,
        b'{"a":' * 400_000,
        b'[NaN,"' + b"\\" * 1_999_999,
        b'{"x": NaN, "a": ' + b"[" * 1_000_000,
        b'"' + b"a" * 2_000_000,
    ],
)
@pytest.mark.parametrize("limits", [Limits(), Limits(levels=20)])
@pytest.mark.timeout(20)
def test_hostile_bodies_are_refused(text, limits):
    with pytest.raises(InputError):
        load_json(text, limits)


def test_values_are_limited():
    text = json.dumps([0] * 100, separators=(",", ":")).encode()
    assert len(load_json(text, Limits(values=100))) == 100
    with pytest.raises(InputError, match="holds more than 99 values"):
        load_json(text, Limits(values=99))


def test_the_default_is_the_parsers_own_limit():
    assert len(load_json(b"[" * 900 + b"]" * 900)) == 1
    for text in (b"[" * 1100 + b"]" * 1100, b"[NaN," + b"[" * 1100 + b"]" * 1101):
        with pytest.raises(InputError, match="nested more than 1024 levels deep"):
            load_json(text)
