"""ONNX files made node by node: what a converter might write, and what it should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 3


def linear(path: Path, weights: NDArray[np.float32], batch: int | str = "n") -> Path:
    """Write ``softmax(features @ weights)``."""
    from onnx import TensorProto

    nodes = [("MatMul", ["features", "w"], ["logits"]), ("Softmax", ["logits"], ["probabilities"])]
    taken = ("features", TensorProto.FLOAT, [batch, weights.shape[0]])
    return _write(path, nodes, taken, [batch, weights.shape[1]], {"w": weights})


def tokens(path: Path, embeddings: NDArray[np.float32]) -> Path:
    """Write ``softmax(mean of the embeddings of four tokens)``, the tokens int64."""
    from onnx import TensorProto

    nodes = [
        ("Gather", ["w", "features"], ["looked_up"]),
        ("ReduceMean", ["looked_up", "axis"], ["logits"]),
        ("Softmax", ["logits"], ["probabilities"]),
    ]
    taken = ("features", TensorProto.INT64, ["n", 4])
    constants = {"w": embeddings, "axis": np.array([1])}
    return _write(path, nodes, taken, ["n", 1, embeddings.shape[1]], constants, keepdims=0)


def texts(path: Path, known: dict[str, float]) -> Path:
    """Write a file that gives a text its number and, as the other class, what is missing to 1."""
    from onnx import TensorProto

    nodes = [
        ("LabelEncoder", ["features"], ["number"]),
        ("Unsqueeze", ["number", "axis"], ["column"]),
        ("Sub", ["one", "column"], ["rest"]),
        ("Concat", ["column", "rest"], ["probabilities"]),
    ]
    taken = ("features", TensorProto.STRING, ["n"])
    constants = {"axis": np.array([1]), "one": np.ones((1, 1), np.float32)}
    return _write(path, nodes, taken, ["n", 2], constants, known=known)


def _write(
    path: Path,
    nodes: list[tuple[str, list[str], list[str]]],
    taken: tuple[str, int, list[int | str]],
    given: list[int | str],
    constants: dict[str, NDArray[Any]],
    known: dict[str, float] | None = None,
    keepdims: int | None = None,
) -> Path:
    import onnx
    from onnx import helper, numpy_helper

    attributes: dict[str, dict[str, Any]] = {"Concat": {"axis": 1}}
    if known:
        attributes["LabelEncoder"] = {
            "domain": "ai.onnx.ml",
            "keys_strings": list(known),
            "values_floats": list(known.values()),
        }
    if keepdims is not None:
        attributes["ReduceMean"] = {"keepdims": keepdims}
        given = [given[0], given[-1]]
    graph = helper.make_graph(
        [helper.make_node(*node, **attributes.get(node[0], {})) for node in nodes],
        "hand_made",
        [helper.make_tensor_value_info(*taken)],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, given)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
