"""The packed container: arrays come back exactly, and damaged files end in a sentence."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from agiwb.compression.packed import rans
from agiwb.compression.packed.byte_reader import ByteReader, varint
from agiwb.compression.packed.container import describe, pack_arrays, read_architecture, unpack
from agiwb.compression.packed.mask import decode_mask, encode_mask
from agiwb.compression.packed.symbols import decode_symbols, encode_symbols, entropy_bits
from agiwb.compression.packed.tensor import DTYPES
from agiwb.compression.packed.text import DICTIONARY, LONGEST_BYTES, deflate, inflate
from agiwb.errors import InputError

HEADER = 16
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pruned_kernel(rows: int, columns: int) -> np.ndarray:
    """A kernel with some dead inputs, nine of ten weights zero and seven values."""
    rng = np.random.default_rng(0)
    values = rng.choice(np.linspace(-1, 1, 7).astype(np.float32), (rows, columns))
    kept = rng.random((rows, columns)) < np.where(np.arange(rows) % 3, 0.15, 0)[:, np.newaxis]
    return np.where(kept, values, np.float32(0))


@pytest.fixture(scope="module")
def content() -> bytes:
    """A small file, since it is read a thousand times, with a tensor of each kind of layout."""
    rng = np.random.default_rng(1)
    arrays = {
        "kernel": pruned_kernel(24, 10),
        "bias": rng.normal(size=20).astype(np.float32),
        "half": rng.normal(size=9).astype(np.float16).astype(np.float32),
        "zeros": np.zeros(30, np.float32),
    }
    packed = pack_arrays(arrays, '{"class_name": "Sequential"}')
    layouts = [tensor.layout for tensor in describe(packed).tensors]
    assert layouts == ["codebook", "plain", "float16", "mask + plain"]
    return packed


def identical(left: np.ndarray, right: np.ndarray) -> bool:
    same = left.dtype == right.dtype and left.shape == right.shape
    return same and left.tobytes() == right.tobytes()


@UNHURRIED
@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays_of.arrays(
            dtype, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12)
        )
    )
)
def test_any_array_comes_back_bit_for_bit(values: np.ndarray):
    back = unpack(pack_arrays({"values": values}))
    assert identical(back["values"], values)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_infinities_odd_nans_and_denormals_survive(dtype: str):
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    bits = np.random.default_rng(2).integers(
        0, np.iinfo(unsigned).max, 999, unsigned, endpoint=True
    )
    values = np.concatenate((bits.view(dtype), np.array([np.nan, np.inf, -0.0, 0.0], dtype)))
    assert identical(unpack(pack_arrays({"a": values}))["a"], values)


def test_big_endian_and_strided_arrays_come_back_as_values():
    values = np.arange(24, dtype=">f4").reshape(4, 6)[::2, ::-1]
    assert np.array_equal(unpack(pack_arrays({"a": values}))["a"], values)


def test_names_order_and_architecture_are_kept():
    names = ["b", "a", "ä/κ", ""]
    content = pack_arrays({name: np.ones(2, np.float32) for name in names}, "Schloß {}")
    assert list(unpack(content)) == names
    assert read_architecture(content) == "Schloß {}"
    assert read_architecture(pack_arrays({})) == ""


def test_only_zeros_lose_their_sign_and_only_when_allowed():
    values = np.array([-0.0, 0.0, -1.5, np.nan], np.float32)
    content = pack_arrays({"a": values}, keep_zero_signs=False)
    assert np.signbit(unpack(content)["a"]).tolist() == [False, False, True, False]
    assert not describe(content).zero_signs_kept
    assert identical(unpack(pack_arrays({"a": values}))["a"], values)


def test_each_tensor_takes_the_smallest_layout():
    rng = np.random.default_rng(3)
    normal = rng.normal(size=(40, 50)).astype(np.float32)
    kept = rng.random((40, 50)) < np.where(np.arange(40) % 2, 0.2, 0)[:, np.newaxis]
    arrays = {
        "plain": normal,
        "float16": normal.astype(np.float16).astype(np.float32),
        "codebook": np.sign(normal),
        "mask + plain": normal * kept + np.float32(0),
        "mask + float16": (normal * kept).astype(np.float16).astype(np.float32) + np.float32(0),
        "mask + codebook": np.sign(normal) * kept + np.float32(0),
    }
    found = describe(pack_arrays(arrays))
    assert {tensor.name: tensor.layout for tensor in found.tensors} == {n: n for n in arrays}
    for tensor in found.tensors:
        assert tensor.packed_bytes < tensor.bound_bytes + 60
        assert tensor.zeros == np.count_nonzero(arrays[tensor.name] == 0)


def test_codes_are_within_a_percent_of_the_entropy():
    rng = np.random.default_rng(4)
    for alphabet, skew in ((2, 0.05), (16, 0.6), (300, 2.0)):
        symbols = np.minimum(rng.gamma(skew, alphabet / 8, 60_000).astype(int), alphabet - 1)
        code = encode_symbols(symbols, alphabet)
        reader = ByteReader(code)
        assert np.array_equal(decode_symbols(reader, len(symbols), alphabet), symbols)
        assert reader.left == 0
        bound = entropy_bits(np.bincount(symbols)) / 8
        assert bound <= len(code) < 1.01 * bound + 2 * alphabet + 40


def test_a_mask_with_dead_rows_takes_less_than_its_plain_entropy():
    rng = np.random.default_rng(5)
    density = np.repeat([0.0, 0.02, 0.3], 100)[:, np.newaxis] * rng.choice([0.2, 1.0], 200)
    mask = rng.random((300, 200)) < density
    code = encode_mask(mask)
    assert np.array_equal(decode_mask(ByteReader(code), *mask.shape), mask)
    plain = entropy_bits(np.bincount(mask.ravel().astype(int))) / 8
    assert len(code) < 0.8 * plain


def test_unequal_contexts_and_an_unfinished_last_step_come_back():
    rng = np.random.default_rng(6)
    table = np.array([[rans.WHOLE - 5, 5], [1, rans.WHOLE - 1], [8192, 8192]])
    contexts = rng.integers(0, 3, 3 * rans.SYMBOLS_PER_CODER + 17)
    chances = table[contexts, 1] / rans.WHOLE
    symbols = (rng.random(len(contexts)) < chances).astype(int)
    code = rans.encode(symbols, table, contexts)
    back = rans.decode(ByteReader(code), len(symbols), table, contexts)
    assert np.array_equal(back, symbols)


def test_what_cannot_be_packed_is_refused_by_name():
    with pytest.raises(InputError, match="tensor words has the dtype"):
        pack_arrays({"words": np.array(["a"])})
    with pytest.raises(InputError, match="complex64"):
        pack_arrays({"a": np.ones(2, np.complex64)})
    with pytest.raises(InputError, match="too long"):
        pack_arrays({"a" * 5000: np.ones(2)})


def test_other_files_and_later_versions_are_told_apart(content: bytes):
    with pytest.raises(InputError, match="no packed model"):
        unpack(b"PK\x03\x04 something else")
    with pytest.raises(InputError, match="no packed model"):
        unpack(b"")
    later = bytearray(content)
    later[4] = 2
    later[12:16] = struct.pack("<I", zlib.crc32(later[:12]))
    with pytest.raises(InputError, match="version 2"):
        unpack(bytes(later))


@UNHURRIED
@given(st.data())
def test_every_flipped_bit_is_noticed(content: bytes, data: st.DataObject):
    place = data.draw(st.integers(0, 8 * len(content) - 1))
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises(InputError):
        unpack(bytes(changed))


def test_every_truncation_and_every_tail_is_noticed(content: bytes):
    for length in range(len(content)):
        with pytest.raises(InputError):
            unpack(content[:length])
    with pytest.raises(InputError, match="too many"):
        unpack(content + b"\0")


def resealed(content: bytes, section: int, payload: bytes) -> bytes:
    """Return the file with another payload in a section, all checksums right."""
    pieces, position, number = [content[:HEADER]], HEADER, 0
    while position < len(content):
        (length,) = struct.unpack_from("<I", content, position)
        body = content[position + 8 : position + 8 + length]
        if number == section:
            body = payload
        size = struct.pack("<I", len(body))
        pieces += [size, struct.pack("<I", zlib.crc32(body, zlib.crc32(size))), body]
        position, number = position + 8 + length, number + 1
    return b"".join(pieces)


def payload_of(content: bytes, section: int) -> bytes:
    position = HEADER
    for _ in range(section):
        position += 8 + struct.unpack_from("<I", content, position)[0]
    (length,) = struct.unpack_from("<I", content, position)
    return content[position + 8 : position + 8 + length]


@settings(UNHURRIED, max_examples=600)
@given(st.data())
def test_a_forged_section_ends_in_arrays_or_in_a_sentence(content: bytes, data: st.DataObject):
    """Checksums do not help against a forger: no lie may end in anything but InputError."""
    section = data.draw(st.integers(0, 4))
    payload = bytearray(payload_of(content, section))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload)))
        piece = data.draw(
            st.binary(max_size=6) | st.integers(0, 2**63 - 1).map(varint) | st.just(b"\xff" * 10)
        )
        payload[place : place + data.draw(st.integers(0, 8))] = piece
    assert_read_or_refused(resealed(content, section, bytes(payload)))


@UNHURRIED
@given(st.binary(max_size=200), st.integers(0, 4))
def test_a_section_of_noise_ends_in_arrays_or_in_a_sentence(
    content: bytes, noise: bytes, section: int
):
    assert_read_or_refused(resealed(content, section, noise))


def assert_read_or_refused(forged: bytes) -> None:
    """Any exception but InputError goes through and fails the test."""
    try:
        arrays = unpack(forged)
        read_architecture(forged)
        found = describe(forged)
    except InputError as error:
        refusal = error
        arrays, found = {}, None
    else:
        refusal = None
    if found is None:
        assert refusal is not None
        assert refusal.problem.endswith((".", ":"))
        assert refusal.fix
    else:
        assert [tensor.shape for tensor in found.tensors] == [a.shape for a in arrays.values()]


@pytest.mark.parametrize(
    "shape",
    [(2**62,), (2**40, 2), (2**31, 2**31), (0, 2**62), (2**26, 1), (1, 2**26), (2**63 - 1,) * 32],
)
@pytest.mark.parametrize("layout", [bytes([0, 0]), bytes([0, 2, 1, 0, 0, 0, 0]), b"\1\0\1\1\0\0"])
def test_huge_declared_sizes_are_refused_before_memory_is_taken(
    content: bytes, shape: tuple[int, ...], layout: bytes
):
    head = varint(1) + b"a" + bytes([0, len(shape)]) + b"".join(map(varint, shape))
    with pytest.raises(InputError, match="claims the shape"):
        unpack(resealed(content, 1, head + layout))


def test_many_sections_that_are_not_there_are_refused(content: bytes):
    header = struct.pack("<4sHHI", b"AGWP", 1, 0, 2**32 - 1)
    lying = header + struct.pack("<I", zlib.crc32(header)) + content[HEADER:]
    with pytest.raises(InputError, match="should follow"):
        unpack(lying)


def test_two_tensors_of_one_name_are_refused(content: bytes):
    with pytest.raises(InputError, match="two tensors"):
        unpack(resealed(content, 2, payload_of(content, 1)))


def test_the_dictionary_is_the_one_that_version_1_was_written_with():
    assert (f"{zlib.crc32(DICTIONARY):08x}", len(DICTIONARY)) == ("3c61f47a", 3072)


def test_a_text_that_unfolds_without_end_is_refused():
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = b"".join(bomb.compress(bytes(2**20)) for _ in range(LONGEST_BYTES // 2**20 + 1))
    with pytest.raises(InputError, match="does not end"):
        inflate(content + bomb.flush())
    assert inflate(deflate("ab" * 1000)) == "ab" * 1000


def test_layers_of_nothing_but_zeros_that_no_reader_would_believe_are_not_written():
    with pytest.raises(InputError, match="2000 times larger"):
        pack_arrays({"a": np.zeros((4096, 4200), np.float32)})
