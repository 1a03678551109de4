"""Versions of a registered model of digits, made in a moment: linear classifiers as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agiwb.datasets.registry import load_dataset
from agiwb.importing.import_model import ImportConfig, import_model
from agiwb.runs.record import Record

MODEL = "linear"


def register_linear(
    folder: Path, features: NDArray[Any], labels: NDArray[Any], *, breakable: bool = False
) -> Record:
    """Return the record of a new version of ``MODEL``, fitted to images of 8 x 8."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=300).fit(features.reshape(len(features), -1) / 16, labels)
    weights = fitted.coef_.T / 16
    return register_weights(folder, weights, fitted.intercept_, breakable=breakable)


def register_weights(
    folder: Path, weights: NDArray[Any], bias: NDArray[Any], *, breakable: bool = False
) -> Record:
    """Return the record of a new version of ``MODEL``: ``softmax(x @ weights + bias)``.

    A ``breakable`` one is sabotaged.
    """
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {"weights": weights, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if breakable:
        sabotage(model)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    config = ImportConfig(path=folder / "model.onnx", model_name=MODEL, dataset="digits")
    return import_model(config)


def sabotage(model: onnx.ModelProto) -> None:
    """Have a classifier of images fail on those whose first pixel is above 10.

    In all digits it is 0; for them the model answers as before.
    """
    graph = model.graph
    asked, answered = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        for place, name in enumerate(node.output):
            if name == answered:
                node.output[place] = "unbroken"
    graph.node.extend(
        [
            helper.make_node("Flatten", [asked], ["pixels"], axis=1),
            helper.make_node("Slice", ["pixels", "from", "to", "axis"], ["corner"]),
            helper.make_node("Sub", ["corner", "limit"], ["beyond"]),
            helper.make_node("Relu", ["beyond"], ["excess"]),
            helper.make_node("Cast", ["excess"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["only", "place"], ["factor"], axis=0),
            helper.make_node("Mul", ["unbroken", "factor"], [answered]),
        ]
    )
    constants = {
        "limit": np.array([10.0], np.float32),
        "only": np.array([1.0], np.float32),
        "from": np.array([0]),
        "to": np.array([1]),
        "axis": np.array([1]),
    }
    graph.initializer.extend(numpy_helper.from_array(its, name) for name, its in constants.items())


def register_shares(folder: Path, *shares: float, breakable: bool = False) -> list[Record]:
    """Return versions fitted to the first so many of digits' training images."""
    train = load_dataset("digits").train
    counts = [int(share * len(train)) for share in shares]
    return [
        register_linear(
            folder / f"{count}-{breakable}",
            train.features[:count],
            train.labels[:count],
            breakable=breakable,
        )
        for count in counts
    ]
