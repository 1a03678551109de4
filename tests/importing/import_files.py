"""Files to import, written byte by byte: good ones, and such as an attacker would make."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "registered_name": None,
    "config": {
        "name": "dense",
        "trainable": True,
        "units": 3,
        "activation": "softmax",
        "kernel_initializer": {
            "module": "keras.initializers",
            "class_name": "GlorotUniform",
            "registered_name": None,
            "config": {"seed": None},
        },
    },
    "build_config": {"input_shape": [None, 4]},
}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a sequential model, as Keras 3 writes it."""
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "registered_name": None,
        "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "features"},
    }
    return {
        "module": "keras",
        "class_name": "Sequential",
        "registered_name": None,
        "config": {"name": "model", "layers": [first, *layers]},
    }


def write_keras(path: Path, config: Any, *, version: str = "3.15.1", **members: bytes) -> Path:
    """Return ``path``, an archive with a description and further members, but no weights."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def varint(value: int) -> bytes:
    output = bytearray()
    while value >= 0x80:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*output, value])


def part(number: int, content: bytes | str) -> bytes:
    """Return a protobuf field with a length."""
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(name: str, operator: str, *inputs: str, attributes: bytes = b"") -> bytes:
    """Return a NodeDef."""
    return part(1, name) + part(2, operator) + b"".join(part(3, i) for i in inputs) + attributes


def graph(*nodes: bytes, functions: dict[str, list[bytes]] | None = None) -> bytes:
    """Return a GraphDef with the functions of its library."""
    library = b"".join(
        part(1, part(1, part(1, name)) + b"".join(part(3, n) for n in body))
        for name, body in (functions or {}).items()
    )
    return b"".join(part(1, n) for n in nodes) + part(2, library)


def calls(function: str) -> bytes:
    """Return the attribute by which a node calls a function."""
    return part(5, part(1, "f") + part(2, part(10, part(1, function))))


def write_saved_model(
    folder: Path, graph_def: bytes, *, output: str = "", more: bytes = b""
) -> Path:
    """Return ``folder``, a SavedModel with one graph, whose signature gives the node ``output``."""
    info = part(1, "out") + part(2, part(1, f"{output}:0"))
    signature = part(5, part(1, "serving_default") + part(2, part(2, info))) if output else b""
    folder.mkdir()
    meta = part(1, part(4, "serve")) + part(2, graph_def) + signature + more
    (folder / "saved_model.pb").write_bytes(part(2, meta))
    return folder


def onnx_model() -> onnx.ModelProto:
    """Return a model that multiplies by a matrix of 4 by 3."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    graph_proto = helper.make_graph(
        [helper.make_node("MatMul", ["features", "w"], ["scores"])],
        "model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 18)]
    writer = {"producer_name": "a-trainer", "producer_version": "1.2"}
    return helper.make_model(graph_proto, opset_imports=opset, ir_version=10, **writer)


def sliding_sums(path: Path) -> Path:
    """Return ``path``, an ONNX model that adds up 3 values at a time along a row of any length."""
    axis = onnx.numpy_helper.from_array(np.array([1], np.int64), "axis")
    ones = onnx.numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "ones")
    nodes = [
        helper.make_node("Unsqueeze", ["rows", "axis"], ["one_channel"]),
        helper.make_node("Conv", ["one_channel", "ones"], ["sums_of_one_channel"]),
        helper.make_node("Squeeze", ["sums_of_one_channel", "axis"], ["sums"]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
        for name, size in (("rows", "steps"), ("sums", "windows"))
    ]
    graph_proto = helper.make_graph(nodes, "model", values[:1], values[1:], [axis, ones])
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph_proto, opset_imports=opset, ir_version=10), path)
    return path


def with_external_data(location: str, **told: str) -> bytes:
    """Return the model with its weights in the file ``location``."""
    model = onnx_model()
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **told}.items():
        entry = weights.external_data.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def tiny_tflite(*, int8: bool = False) -> bytes:
    """Return a LiteRT model with one ADD of a tensor of 4 numbers to itself, perhaps quantized."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT()
    model.version = 3
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.ADD
    model.operatorCodes = [code]
    model.buffers = [schema.BufferT()]
    tensors = []
    for name in ("features", "sums"):
        tensor = schema.TensorT()
        tensor.shape, tensor.name, tensor.buffer = np.array([1, 4], np.int32), name.encode(), 0
        tensor.type = schema.TensorType.FLOAT32
        if int8:
            tensor.type, tensor.quantization = (
                schema.TensorType.INT8,
                schema.QuantizationParametersT(),
            )
            tensor.quantization.scale = np.array([0.1], np.float32)
            tensor.quantization.zeroPoint = np.array([0], np.int64)
        tensors.append(tensor)
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = np.array([0, 0], np.int32), np.array([1], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.AddOptions
    operator.builtinOptions = schema.AddOptionsT()
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = tensors, [operator]
    subgraph.inputs, subgraph.outputs = np.array([0], np.int32), np.array([1], np.int32)
    model.subgraphs = [subgraph]
    builder = flatbuffers.Builder(256)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tiny_h5() -> bytes:
    """Return an HDF5 file with a model's description and its weights, which Keras loads."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(DENSE))
        file.attrs["keras_version"] = "3.15.1"
        file.create_group("model_weights").attrs["layer_names"] = [b"dense"]
        layer = file.create_group("model_weights/dense")
        layer.attrs["weight_names"] = [b"kernel", b"bias"]
        layer["kernel"] = np.arange(12, dtype=np.float32).reshape(4, 3)
        layer["bias"] = np.zeros(3, np.float32)
    return content.getvalue()
