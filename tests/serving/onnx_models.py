"""Small ONNX models with known answers, built node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agiwb.artifacts.manifest import Artifact, list_model_files, write_artifact
from agiwb.runtimes.onnx import OnnxRuntime


def write_half_plus_two(folder: Path, addend: float = 2.0) -> Path:
    """Return ``folder`` with a ``model.onnx`` that gives ``y = x / 2 + addend`` for shape (?,)."""
    halve = helper.make_node("Mul", ["x", "half"], ["halved"])
    add = helper.make_node("Add", ["halved", "addend"], ["y"])
    return _write(
        folder,
        [halve, add],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
        {"half": np.float32(0.5), "addend": np.float32(addend)},
    )


def write_mlp(folder: Path, features: int = 64, hidden: int = 128, classes: int = 10) -> Path:
    """Return ``folder`` with a softmax classifier of random weights as ``model.onnx``."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["features", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["c"]),
        helper.make_node("Softmax", ["c"], ["probabilities"]),
    ]
    return _write(
        folder,
        nodes,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])],
        {
            "w1": random.normal(0, features**-0.5, (features, hidden)).astype(np.float32),
            "w2": random.normal(0, hidden**-0.5, (hidden, classes)).astype(np.float32),
        },
    )


def write_two_by_two(folder: Path) -> Path:
    """Return ``folder`` with a model of ``a`` float and ``b`` int64 to ``sum`` and ``b_twice``."""
    nodes = [
        helper.make_node("Cast", ["b"], ["b_float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "b_float"], ["sum"]),
        helper.make_node("Add", ["b", "b"], ["b_twice"]),
    ]
    return _write(
        folder,
        nodes,
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("b", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("b_twice", TensorProto.INT64, ["batch"]),
        ],
        {},
    )


def write_lookup(folder: Path) -> Path:
    """Return ``folder`` with a model that looks an index up in a table of three rows."""
    return _write(
        folder,
        [helper.make_node("Gather", ["table", "index"], ["row"])],
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", 2])],
        {"table": np.arange(6, dtype=np.float32).reshape(3, 2)},
    )


def write_one_at_a_time(folder: Path) -> Path:
    """Return ``folder`` with a model that flattens ``x`` (?, 2, 2), and fails for two of them."""
    return _write(
        folder,
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        {"shape": np.array([1, 4])},
    )


def write_convolution(folder: Path) -> Path:
    """Return ``folder`` with a model that sums each 3 x 3 window of ``image`` (?, 1, ?, ?)."""
    return _write(
        folder,
        [helper.make_node("Conv", ["image", "kernel"], ["sums"])],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, "h", "w"])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["batch", 1, None, None])],
        {"kernel": np.ones((1, 1, 3, 3), np.float32)},
    )


def write_sequence(folder: Path) -> Path:
    """Return ``folder`` with a model that doubles sequences ``x`` (?, ?) of any length."""
    return _write(
        folder,
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "steps"])],
        {},
    )


def write_echo(folder: Path) -> Path:
    """Return ``folder`` with a model that gives the strings it takes."""
    return _write(
        folder,
        [helper.make_node("Identity", ["text"], ["same"])],
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["batch"])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["batch"])],
        {},
    )


def make_artifact(folder: Path, name: str = "half_plus_two", addend: float = 2.0) -> Path:
    """Return ``folder`` as an artifact, with its manifest."""
    write_half_plus_two(folder, addend)
    artifact = Artifact(
        format="onnx",
        name=name,
        dataset=None,
        classes=("y",),
        signature=OnnxRuntime(folder / "model.onnx").signature,
        source_sha256="0" * 64,
        files=list_model_files(folder),
    )
    write_artifact(folder, artifact)
    return folder


def _write(folder, nodes, inputs, outputs, constants) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    return folder


def write_centred(folder: Path, kind: int = TensorProto.FLOAT, scale: float = 1.0) -> Path:
    """Return ``folder`` with a model that takes the mean of its batch from ``x`` (?,)."""
    nodes = [
        helper.make_node("Cast", ["x"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["number", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["number", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["y"]),
    ]
    return _write(
        folder,
        nodes,
        [helper.make_tensor_value_info("x", kind, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])],
        {"axes": np.array([0]), "scale": np.float32(scale)},
    )


def write_one_hot(folder: Path) -> Path:
    """Return ``folder`` with a model whose answer is as wide as the largest index of the batch."""
    nodes = [
        helper.make_node("ReduceMax", ["index"], ["largest"], keepdims=0),
        helper.make_node("Add", ["largest", "one"], ["depth"]),
        helper.make_node("OneHot", ["index", "depth", "values"], ["hot"]),
    ]
    return _write(
        folder,
        nodes,
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("hot", TensorProto.FLOAT, ["batch", None])],
        {"one": np.array(1), "values": np.array([0, 1], np.float32)},
    )


def write_pair_sum(folder: Path) -> Path:
    """Return ``folder`` with a model that adds the two rows of ``x`` (2, 3)."""
    return _write(
        folder,
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        {"axes": np.array([0])},
    )


def write_loop(folder: Path) -> Path:
    """Return ``folder`` with a model that counts to ``n`` (?,) one by one: any time one likes."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, []),
        ],
    )
    return _write(
        folder,
        [
            helper.make_node("ReduceMax", ["n"], ["most"], keepdims=0),
            helper.make_node("Loop", ["most", "always", "zero"], ["counted"], body=body),
            helper.make_node("Sub", ["n", "n"], ["zeros"]),
            helper.make_node("Add", ["zeros", "counted"], ["y"]),
        ],
        [helper.make_tensor_value_info("n", TensorProto.INT64, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["batch"])],
        {"always": np.array(True), "zero": np.array(0), "one": np.array(1)},
    )
