"""Binary tensors: their bytes on the wire, whatever the array's own order is."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.serving.rest_json.oip_binary import read_binary, write_binary

ROWS = np.arange(6, dtype=np.int32).reshape(2, 3)


@pytest.mark.parametrize(
    "array",
    [ROWS, ROWS.astype(">i4"), np.asfortranarray(ROWS), np.repeat(ROWS, 2, axis=1)[:, ::2]],
    ids=["native", "big-endian", "columns first", "strided"],
)
def test_numbers_are_written_little_endian_and_row_by_row(array):
    raw = write_binary(array)
    assert raw == b"".join(bytes([value, 0, 0, 0]) for value in range(6))
    np.testing.assert_array_equal(read_binary(memoryview(raw), "int32", (2, 3), "x"), ROWS)
