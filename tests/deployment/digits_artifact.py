"""A classifier of digits, small enough to be written node by node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from agiwb.artifacts.manifest import Artifact, list_model_files, write_artifact
from agiwb.datasets.registry import load_dataset
from agiwb.runtimes.onnx import OnnxRuntime


def write_digits_artifact(folder: Path, seed: int = 0) -> Path:
    """Return ``folder`` with an ONNX classifier of digits of random weights, and its manifest."""
    weights = np.random.default_rng(seed).normal(0, 1, (64, 10)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["features"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "digits",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    artifact = Artifact(
        format="onnx",
        name="Digits_small",
        dataset="digits",
        classes=load_dataset("digits").classes,
        signature=OnnxRuntime(folder / "model.onnx").signature,
        source_sha256=f"{seed}" * 64,
        files=list_model_files(folder),
    )
    write_artifact(folder, artifact)
    return folder
