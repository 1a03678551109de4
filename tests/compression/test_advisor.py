"""The advisor: what a processor's flags say, which scheme follows, and what it warns of."""

from __future__ import annotations

from pathlib import Path

import pytest

from agiwb.compression.advisor import (
    Processor,
    Scheme,
    advise,
    choose_scheme,
    parse_processor,
    read_processor,
)

HASWELL = "flags\t\t: fpu sse4_2 avx f16c fma avx2 bmi2\n"
CASCADE_LAKE = "flags\t\t: fpu avx2 avx512f avx512bw avx512_vnni\n"
ALDER_LAKE = "flags\t\t: fpu avx2 avx_vnni\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd crc32 asimddp sve i8mm\n"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "scheme"),
    [
        (HASWELL, "x86_64", "U8S8 + reduce_range"),
        (CASCADE_LAKE, "x86_64", "U8S8"),
        (ALDER_LAKE, "AMD64", "U8S8"),
        (GRAVITON, "aarch64", "S8S8"),
        ("", "arm64", "S8S8"),
        ("", "AMD64", "U8S8 + reduce_range"),
        ("", "riscv64", "U8S8 + reduce_range"),
    ],
)
def test_the_scheme_follows_from_the_flags(cpuinfo: str, machine: str, scheme: str):
    assert str(choose_scheme(parse_processor(cpuinfo, machine)).scheme) == scheme


def test_only_what_all_cores_can_do_counts():
    mixed = parse_processor(CASCADE_LAKE + HASWELL, "x86_64")
    assert not mixed.adds_in_32_bits
    assert parse_processor(CASCADE_LAKE * 4, "x86_64").adds_in_32_bits


def test_flags_are_words_and_not_parts_of_words():
    assert not parse_processor("flags : avx2 not_avx512_vnni_at_all\n", "x86_64").adds_in_32_bits
    assert not parse_processor("model name : avx_vnni\nflags : avx2\n", "x86_64").adds_in_32_bits


def test_a_machine_without_cpuinfo_is_treated_as_if_it_saturated(tmp_path: Path):
    found = read_processor(tmp_path / "missing", "x86_64")
    assert found == Processor("x86", frozenset())
    assert "may lack VNNI" in choose_scheme(found).reason
    written = tmp_path / "cpuinfo"
    written.write_text(HASWELL)
    assert "has no VNNI" in choose_scheme(read_processor(written, "x86_64")).reason


def test_this_machine_has_a_family_and_a_name():
    assert str(read_processor()).startswith(read_processor().family)
    assert str(parse_processor(ALDER_LAKE, "x86_64")) == "x86 (avx2, avx_vnni)"


@pytest.mark.parametrize(
    ("cpuinfo", "layers", "runtime", "numbers", "per_channel", "words"),
    [
        (CASCADE_LAKE, ["Conv2D", "Dense"], "litert", "int8", False, ["Small convolutions"]),
        (CASCADE_LAKE, ["Dense"], "litert", "int8", False, []),
        (CASCADE_LAKE, ["DepthwiseConv2D"], "onnx", "dynamic", False, ["ConvInteger"]),
        (CASCADE_LAKE, ["Conv2D"], "litert", "dynamic", False, []),
        (HASWELL, ["Dense"], "litert", "int16x8", False, ["reference kernels"]),
        (HASWELL, ["Dense"], "onnx", "float16", False, ["no faster"]),
        (HASWELL, ["Dense"], "onnx", "int8", True, ["saturation likelier"]),
        (CASCADE_LAKE, ["Dense"], "onnx", "int8", True, []),
    ],
)
def test_warnings_are_for_what_is_to_be_made(
    cpuinfo: str, layers: list[str], runtime: str, numbers: str, per_channel: bool, words: list[str]
):
    processor = parse_processor(cpuinfo, "x86_64")
    advice = advise(processor, layers, runtime, numbers, per_channel=per_channel)
    assert len(advice.warnings) == len(words)
    for warning, word in zip(advice.warnings, words, strict=True):
        assert word in warning
    assert advice.scheme.per_channel == per_channel


def test_small_convolutions_are_not_warned_of_on_arm():
    processor = parse_processor(GRAVITON, "aarch64")
    assert advise(processor, ["Conv2D"], "onnx", "int8").warnings == ()
    assert advise(processor, ["Conv2D"], "onnx", "int8").scheme == Scheme("int8", "int8", False)
