"""The manifest of an artifact that was just written."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from agiwb.artifacts.manifest import Artifact, Format, Lineage, list_model_files
from agiwb.artifacts.signature import Signature
from agiwb.conversion.contents import read_contents
from agiwb.conversion.source import ConversionSource

_TOOLS: tuple[str, ...] = ("keras", "tensorflow")
_MORE_TOOLS: dict[Format, tuple[str, ...]] = {
    "onnx": ("onnx", "tf2onnx"),
    "onnx_float16": ("onnx", "tf2onnx", "onnxruntime"),
    "openvino": ("onnx", "tf2onnx", "openvino"),
}


def describe(
    wanted: Format,
    folder: Path,
    signature: Signature,
    source: ConversionSource,
    lineage: Lineage,
    *,
    name: str,
    dataset: str,
    task: str | None,
) -> Artifact:
    """Return the manifest of the artifact in ``folder``.

    Args:
        wanted: Its format.
        folder: Where its files lie; they are read, not run.
        signature: As its runtime tells it.
        source: What it was made from.
        lineage: Where that came from.
        name: What the model is called.
        dataset: What it was trained on.
        task: What it predicts; None if that is not known.
    """
    contents = read_contents(wanted, folder, source.model)
    return Artifact(
        format=wanted,
        name=name,
        dataset=dataset,
        classes=source.classes,
        signature=signature,
        source_sha256=source.sha256,
        files=list_model_files(folder),
        task=task,
        opset=contents.opset,
        operators=contents.operators,
        custom_ops=contents.custom_ops,
        flex_ops=contents.flex_ops,
        quantization=contents.quantization,
        tool_versions=_versions([*_TOOLS, *_MORE_TOOLS.get(wanted, ())]),
        lineage=lineage,
        preprocessing=source.preprocessing,
        created=datetime.now(UTC),
    )


def _versions(packages: Sequence[str]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}
