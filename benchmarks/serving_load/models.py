"""The models that are served under load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES, HIDDEN, CLASSES = 64, 128, 10
TABLE_ROWS = 1_000_000


def write_mlp(folder: Path) -> Path:
    """Return the path of a softmax classifier with random weights."""
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(0, FEATURES**-0.5, (FEATURES, HIDDEN)),
        "w2": random.normal(0, HIDDEN**-0.5, (HIDDEN, CLASSES)),
    }
    nodes = [
        helper.make_node("MatMul", ["features", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["c"]),
        helper.make_node("Softmax", ["c"], ["probabilities"]),
    ]
    return _write(folder, nodes, ("features", FEATURES), ("probabilities", CLASSES), weights)


def write_addend(folder: Path, addend: float) -> Path:
    """Return the path of a model that gives ``y = x / 2 + addend`` for x of shape (batch, 1).

    ``addend`` tells from any answer which model it is from. It comes out of a table of 4 MB, so
    that a version whose memory is not returned is noticed.
    """
    nodes = [
        helper.make_node("Mul", ["x", "half"], ["halved"]),
        helper.make_node("Mul", ["x", "zero"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["addend"]),
        helper.make_node("Add", ["halved", "addend"], ["y"]),
    ]
    constants = {
        "half": np.array(0.5),
        "zero": np.array(0.0),
        "table": np.full(TABLE_ROWS, addend),
    }
    return _write(folder, nodes, ("x", 1), ("y", 1), constants)


def _write(
    folder: Path,
    nodes: list[onnx.NodeProto],
    takes: tuple[str, int],
    gives: tuple[str, int],
    constants: dict[str, np.ndarray],
) -> Path:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "model",
        [info(takes[0], TensorProto.FLOAT, ["batch", takes[1]])],
        [info(gives[0], TensorProto.FLOAT, ["batch", gives[1]])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in constants.items()],
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path
