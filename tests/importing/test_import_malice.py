"""Files that an attacker would make are refused in a sentence, and nothing of them is run."""

from __future__ import annotations

import base64
import json
import marshal
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from onnx import helper

from agiwb.artifacts.manifest import Format
from agiwb.errors import InputError
from agiwb.importing.detection import detect_format, files_of_model
from agiwb.importing.inspect import inspect_file
from agiwb.importing.tensorflow_operators import denied
from tests.importing.import_files import (
    DENSE,
    calls,
    graph,
    node,
    onnx_model,
    part,
    sequential,
    tiny_h5,
    tiny_tflite,
    varint,
    with_external_data,
    write_keras,
    write_saved_model,
)


def refuse(path: Path, why: str, kind: Format | None = None) -> None:
    with pytest.raises(InputError, match=why):
        inspect_file(path, kind or detect_format(path))


def lambda_layer(canary: Path) -> dict[str, Any]:
    code = compile(f"open({str(canary)!r}, 'w').close()", "x", "exec")
    payload = base64.b64encode(marshal.dumps(code)).decode()
    value = {"class_name": "__lambda__", "config": {"value": [payload, None, None]}}
    return {"class_name": "Lambda", "config": {"name": "evil", "function": value}}


def test_a_lambda_is_refused_and_never_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    layer = lambda_layer(canary)
    refuse(write_keras(tmp_path / "a.keras", sequential(layer)), r"'evil'.*'Lambda'.*code")
    wrapped = {**DENSE, "config": {"activation": layer["config"]["function"]}}
    refuse(write_keras(tmp_path / "b.keras", sequential(wrapped)), "__lambda__")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"module": "os", "class_name": "system"}, "not Keras' own"),
        ({"module": "keras.utils", "class_name": "get_file"}, "not Keras' own"),
        ({"module": "keras.config", "class_name": "enable_unsafe_deserialization"}, "not Keras'"),
        ({"module": "keras.src.saving.saving_lib", "class_name": "load_model"}, "not Keras' own"),
        ({"module": None, "registered_name": "Custom>Evil"}, "custom_objects"),
        ({"registered_name": "Custom>Dense"}, "not Keras' own"),
        ({"class_name": "TFSMLayer"}, "another model on the disk"),
        ({"class_name": "TorchModuleWrapper"}, "pickled"),
        ({"registered_name": "Any>Lambda"}, "code"),
        ({"module": ["os"]}, "module"),
        ({"class_name": "function", "config": {"x": 1}}, "a function"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "etc/passwd"),
        ({"config": {"units": 2**40}}, "units"),
        ({"config": {"batch_shape": [None, 2**30, 2**30]}}, "shape"),
        ({"build_config": {"input_shape": [None, -7]}}, "shape"),
    ],
)
def test_what_is_smuggled_into_a_description(
    tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    hidden = {**DENSE, "config": {"kernel_initializer": {**DENSE, **changed}}}
    refuse(write_keras(tmp_path / "m.keras", sequential({**DENSE, **changed})), why)
    refuse(write_keras(tmp_path / "h.keras", sequential(hidden)), why)


def test_descriptions_that_are_none(tmp_path: Path) -> None:
    refuse(write_keras(tmp_path / "a.keras", "[" * 100_000), "no JSON")
    refuse(write_keras(tmp_path / "b.keras", "{"), "no JSON")
    refuse(write_keras(tmp_path / "c.keras", "[]"), "names no model")
    refuse(write_keras(tmp_path / "d.keras", "[" * 500 + "]" * 500), "200 levels")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.py", "outside its folder"),
        ("/evil.py", "outside its folder"),
        ("assets/../../evil.py", "outside its folder"),
        ("assets\\..\\evil.py", "outside its folder"),
        ("evil.py", "not of a Keras model"),
        ("model.weights.npz", "pickles"),
    ],
)
def test_what_an_archive_may_not_hold(tmp_path: Path, name: str, why: str) -> None:
    refuse(write_keras(tmp_path / "m.keras", sequential(DENSE), **{name: b"x"}), why)
    assert [path.name for path in tmp_path.rglob("*")] == ["m.keras"]


def test_a_zip_bomb_and_a_link_in_an_archive(tmp_path: Path) -> None:
    bomb = write_keras(tmp_path / "bomb.keras", sequential(DENSE))
    with (
        zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("model.weights.h5", "w") as stream,
    ):
        for _ in range(120):
            stream.write(bytes(2**20))
    refuse(bomb, "unpacks to")
    linked = write_keras(tmp_path / "linked.keras", sequential(DENSE))
    with zipfile.ZipFile(linked, "a") as archive:
        link = zipfile.ZipInfo("assets/secret")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    refuse(linked, "is a link")


def test_hdf5_that_points_outside(tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    path.write_bytes(tiny_h5())
    assert inspect_file(path, "h5").operators == {"InputLayer": 1, "Dense": 1, "Sequential": 1}
    with h5py.File(path, "a") as file:
        file["secret"] = h5py.ExternalLink("/etc/passwd", "/x")
    refuse(path, "in another file")
    path.write_bytes(tiny_h5())
    with h5py.File(path, "a") as file:
        file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])
    refuse(path, "in another file")
    path.write_bytes(tiny_h5()[:3000])
    refuse(path, "damaged")
    with h5py.File(path, "w") as file:
        file["model_weights/x"] = np.zeros(3)
    refuse(path, "weights only")


@pytest.mark.parametrize(
    "operator",
    ["ReadFile", "WriteFile", "PyFunc", "PyFuncStateless", "EagerPyFunc", "MatchingFiles",
     "PrintV2", "DebugIdentityV2", "ImmutableConst", "TFRecordDatasetV2", "RemoteCall", "RpcClient",
     "LoadAndRemapMatrix", "XlaCustomCallV2", "DecodeProtoV2", "TextLineReaderV2"],
)  # fmt: skip
def test_operators_that_reach_outside(tmp_path: Path, operator: str) -> None:
    assert denied(operator)
    hidden = graph(functions={"inner": [node("n", operator)]})
    refuse(write_saved_model(tmp_path / "m", hidden), f"operator {operator}")
    frozen = tmp_path / "f.pb"
    frozen.write_bytes(graph(node("n", operator)))
    refuse(frozen, f"operator {operator}")
    named = graph(node("n", "PartitionedCall", attributes=calls(operator)))
    refuse(write_saved_model(tmp_path / "named", named), f"operator {operator}")


def test_checkpoints_are_for_the_saver_only(tmp_path: Path) -> None:
    functions = {"f": [node("n", "SaveV2")]}
    call = node("call", "StatefulPartitionedCall", attributes=calls("f"))
    body = graph(node("out", "Identity", "call"), call, functions=functions)
    assert inspect_file(write_saved_model(tmp_path / "unused", body), "saved_model")
    refuse(write_saved_model(tmp_path / "used", body, output="out"), "comes? to SaveV2")
    restored = part(3, part(3, "call"))
    refuse(write_saved_model(tmp_path / "load", body, more=restored), "which writes")
    objects = part(7, part(2, part(1, "f") + part(2, b"")))
    refuse(write_saved_model(tmp_path / "object", body, more=objects), "SaveV2")
    frozen = tmp_path / "f.pb"
    frozen.write_bytes(body)
    refuse(frozen, "no use for SaveV2")


def test_files_that_a_saved_model_names(tmp_path: Path) -> None:
    value = part(5, part(1, "value") + part(2, part(8, part(8, "/etc/passwd"))))
    table = graph(
        node("name", "Const", attributes=value),
        node("fill", "InitializeTableFromTextFileV2", "name"),
    )
    refuse(write_saved_model(tmp_path / "table", table), "not of its assets")
    asset = part(6, part(1, part(1, "name:0")) + part(2, "vocabulary.txt"))
    assert inspect_file(write_saved_model(tmp_path / "own", table, more=asset), "saved_model")
    outside = part(6, part(1, part(1, "name:0")) + part(2, "../../etc/passwd"))
    refuse(write_saved_model(tmp_path / "outside", table, more=outside), "outside its folder")


def test_links_in_a_saved_model(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "m", graph(node("n", "Const")))
    (folder / "variables").mkdir()
    (folder / "variables" / "variables.index").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="is a link"):
        files_of_model(folder, "saved_model")
    (folder / "variables" / "variables.index").unlink()
    os.mkfifo(folder / "variables" / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        files_of_model(folder, "saved_model")


@pytest.mark.parametrize(
    ("location", "told", "why"),
    [
        ("../secret", {}, "outside its folder"),
        ("/etc/passwd", {}, "outside its folder"),
        ("*/_ORT_MEM_ADDR_/*", {"offset": "140000000", "length": "48"}, "missing"),
        ("linked", {}, "a link"),
        ("data", {"offset": "8", "length": "48"}, "end beyond"),
        ("data", {"offset": "-8", "length": "8"}, "end beyond"),
        ("data", {"offset": "x"}, "no number"),
        ("", {}, "outside its folder"),
        ("a\x00b", {}, "no file's name"),
    ],
)
def test_external_data_outside(
    tmp_path: Path, location: str, told: dict[str, str], why: str
) -> None:
    (tmp_path / "secret").write_bytes(bytes(48))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "data").write_bytes(bytes(48))
    (folder / "linked").symlink_to(tmp_path / "secret")
    path = folder / "m.onnx"
    path.write_bytes(with_external_data(location, **told))
    refuse(path, why)
    path.write_bytes(with_external_data("data"))
    assert inspect_file(path, "onnx").external_files == ("data",)


def test_onnx_operators_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = onnx_model()
    model.graph.node.append(helper.make_node("Run", ["scores"], ["x"], domain="evil.lib"))
    path.write_bytes(model.SerializeToString())
    refuse(path, "domain 'evil.lib'")
    model = onnx_model()
    hidden = helper.make_graph([helper.make_node("EPContext", [], ["x"], domain="com.microsoft")],
                               "inner", [], [])  # fmt: skip
    model.graph.node.append(helper.make_node("If", ["scores"], ["y"], then_branch=hidden))
    path.write_bytes(model.SerializeToString())
    refuse(path, "EPContext")
    model = onnx_model()
    model.graph.initializer[0].dims[:] = [2**40, 2**40]
    path.write_bytes(model.SerializeToString())
    refuse(path, "shape")


def test_flatbuffers_that_lie(tmp_path: Path) -> None:
    path, whole = tmp_path / "m.tflite", tiny_tflite()
    path.write_bytes(whole)
    assert inspect_file(path, "litert").operators == {"ADD": 1}
    for size in range(8, len(whole) - 16, 16):
        path.write_bytes(whole[:size])
        refuse(path, "damaged|early|no graph")
    for offset in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"):
        path.write_bytes(offset + whole[4:])
        refuse(path, "damaged|early|no graph|buffer")


def test_headers_that_lie(tmp_path: Path) -> None:
    huge = part(1, "x")[:1] + varint(2**62) + b"x"
    for name, kind in (("m.onnx", "onnx"), ("m.pb", "frozen_pb")):
        path = tmp_path / name
        path.write_bytes(huge)
        refuse(path, "ends too early", kind)  # type: ignore[arg-type]
        path.write_bytes(b"\xff" * 64)
        refuse(path, "no protobuf", kind)  # type: ignore[arg-type]
        path.write_bytes(b"")
        refuse(path, "empty", kind)  # type: ignore[arg-type]


def test_a_name_that_lies_about_the_content(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_tflite())
    with pytest.raises(InputError, match="its name says onnx, and its content is litert"):
        detect_format(path)
    (tmp_path / "m.bin").write_bytes(json.dumps({}).encode())
    with pytest.raises(InputError, match="no model of a known format"):
        detect_format(tmp_path / "m.bin")
