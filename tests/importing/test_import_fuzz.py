"""Mutated files are refused in words or taken: never a crash, another exception, or much memory."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from agiwb.artifacts.manifest import Format
from agiwb.errors import InputError
from agiwb.importing.inspect import inspect_file
from tests.importing.import_files import (
    DENSE,
    graph,
    node,
    onnx_model,
    sequential,
    tiny_h5,
    tiny_tflite,
    write_keras,
    write_saved_model,
)

_MOST_BYTES = 100 * 2**20


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return ``content`` with a few bytes changed, cut out, doubled or made extreme."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        if not changed:
            break
        place = dice.randrange(len(changed))
        size = min(dice.choice((1, 1, 2, 4, 8, 64)), len(changed) - place)
        match dice.randrange(5):
            case 0:
                changed[place] = dice.randrange(256)
            case 1:
                changed[place : place + size] = dice.choice((b"\xff", b"\0", b"\x7f")) * size
            case 2:
                del changed[place : place + size]
            case 3:
                changed[place:place] = changed[place : place + size]
            case _:
                del changed[dice.randrange(len(changed)) :]
    return bytes(changed)


def whole(kind: Format, folder: Path) -> bytes:
    if kind == "keras":
        return write_keras(folder / "whole.keras", sequential(DENSE)).read_bytes()
    if kind == "h5":
        return tiny_h5()
    if kind == "onnx":
        return bytes(onnx_model().SerializeToString())
    if kind == "litert":
        return tiny_tflite()
    body = graph(
        node("x", "Placeholder"), node("y", "Softmax", "x"), functions={"f": [node("z", "Neg")]}
    )
    if kind == "frozen_pb":
        return body
    return (write_saved_model(folder / "whole", body, output="y") / "saved_model.pb").read_bytes()


@pytest.mark.parametrize(
    ("kind", "name", "count"),
    [
        ("keras", "m.keras", 50),
        ("h5", "m.h5", 5),  # each takes a process
        ("saved_model", "saved_model.pb", 50),
        ("frozen_pb", "m.pb", 50),
        ("onnx", "m.onnx", 50),
        ("litert", "m.tflite", 50),
    ],
)
def test_mutated_files(tmp_path: Path, kind: Format, name: str, count: int) -> None:
    content = whole(kind, tmp_path)
    dice = random.Random(0)  # noqa: S311  mutations, no secrets
    folder = tmp_path / "mutated"
    folder.mkdir()
    path = folder / name
    outcomes = []
    tracemalloc.start()
    try:
        for _ in range(count):
            path.write_bytes(mutated(content, dice))
            try:
                inspect_file(folder if kind == "saved_model" else path, kind)
                outcomes.append("taken")
            except InputError:
                outcomes.append("refused")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcomes.count("refused") >= count // 5
    assert peak < _MOST_BYTES
    assert [file.name for file in folder.iterdir()] == [name]
