"""Writing ONNX with weights and arithmetic in 16-bit floats."""

from __future__ import annotations

import tempfile
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.onnx import write_onnx
from agiwb.conversion.source import ConversionSource


def write_onnx_float16(source: ConversionSource, folder: Path) -> None:
    """Write ``model.onnx`` into ``folder``: inputs and outputs stay as they are.

    Raises:
        WorkError: The model needs an operator that ONNX does not have.
    """
    target = folder / MODEL_FILES["onnx_float16"]
    if source.format == "onnx" and source.folder is not None:
        halve(source.folder / MODEL_FILES["onnx"], target)
        return
    with tempfile.TemporaryDirectory(prefix="agiwb-") as temporary:
        write_onnx(source, Path(temporary))
        halve(Path(temporary) / MODEL_FILES["onnx"], target)


def halve(model: Path, target: Path) -> None:
    """Write ``model`` with weights and arithmetic in 16-bit floats; input and output stay float32.

    Weights beyond what 16 bits hold (65,504) are clipped, and those below become zero.
    """
    import onnx
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    whole = onnx.load(model)
    known = {entry.key: entry.value for entry in whole.metadata_props}
    halved = ONNXModel(convert_float_to_float16(whole, keep_io_types=True))
    halved.topological_sort()  # the converter appends its casts at the end, which is not valid
    del halved.model.metadata_props[:]
    onnx.helper.set_model_props(halved.model, known)
    onnx.checker.check_model(halved.model)
    onnx.save(halved.model, target)
