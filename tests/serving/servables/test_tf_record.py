"""TFRecord files: checksums by their published values, and damage."""

from __future__ import annotations

import pytest

from agiwb.errors import InputError
from agiwb.serving.servables.tf_record import crc32c, read_records, write_records


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, appendix B.4, and the usual check value
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_crc32c(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("length", [262_143, 262_144, 262_145, 700_001])
def test_long_data_has_the_same_checksum_lane_by_lane(length):
    reference = pytest.importorskip("google_crc32c")
    data = bytes(number * number % 251 for number in range(length))
    assert crc32c(data) == reference.value(data)


def test_the_frame_is_tensorflows(tmp_path):
    """The bytes that ``tf.io.TFRecordWriter`` writes for one record ``abc``."""
    write_records(tmp_path / "f", [b"abc"])
    assert (tmp_path / "f").read_bytes().hex() == "0300000000000000b099490e6162636e57f121"


@pytest.mark.parametrize("records", [[], [b""], [b"a", b"", b"x" * 300_000]])
def test_what_is_written_is_read(tmp_path, records):
    write_records(tmp_path / "f", records)
    assert list(read_records(tmp_path / "f")) == records


@pytest.mark.parametrize("damage", ["data", "length", "end", "head"])
def test_damage_is_told_with_the_record(tmp_path, damage):
    path = tmp_path / "f"
    write_records(path, [b"first", b"second"])
    content = bytearray(path.read_bytes())
    if damage == "end":
        content = content[:-1]
    elif damage == "head":
        content = content[: 5 + 16 + 3]
    else:
        content[5 + 16 + (12 if damage == "data" else 0)] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged at its record 2"):
        list(read_records(path))
