"""A machine's kind: what its latencies may be compared with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pydantic import TypeAdapter

from agiwb.compression.hardware import Hardware, read_hardware

CASCADE_LAKE = "model name : Xeon Gold\nflags : avx2 avx512f avx512_vnni\n"
HASWELL = "model name : Core i5\nflags : avx2\n"


def kind(folder: Path, cpuinfo: str) -> Hardware:
    path = folder / "cpuinfo"
    path.write_text(cpuinfo)
    return read_hardware(path)


def test_kinds_are_told_apart_by_processor_abilities_and_cores(tmp_path: Path):
    one = kind(tmp_path, CASCADE_LAKE)
    assert one == kind(tmp_path, CASCADE_LAKE)
    others = [
        kind(tmp_path, HASWELL),
        kind(tmp_path, CASCADE_LAKE.replace(" avx512_vnni", "")),
        dataclasses.replace(one, cores=(one.cores[0], one.cores[1] + 1)),
    ]
    assert len({each.fingerprint for each in [one, *others]}) == 4
    assert str(one).startswith("Xeon Gold, ")
    assert one.processor.flags == {"avx2", "avx512f", "avx512_vnni"}


def test_it_is_stored_and_read_again():
    adapter = TypeAdapter(Hardware)
    here = read_hardware()
    again = adapter.validate_json(adapter.dump_json(here))
    assert again == here
    assert again.fingerprint == here.fingerprint
