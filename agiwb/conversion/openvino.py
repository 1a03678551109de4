"""Writing OpenVINO's intermediate representation: ``model.xml`` with ``model.bin`` beside it."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.conversion.onnx import write_onnx
from agiwb.conversion.source import ConversionSource
from agiwb.errors import InputError
from agiwb.native_chatter import held_back


def write_openvino(source: ConversionSource, folder: Path) -> None:
    """Write ``model.xml`` and ``model.bin`` into ``folder``, in 32-bit floats, by way of ONNX.

    Raises:
        InputError: The package openvino is not installed.
        WorkError: The model needs an operator that ONNX does not have.
    """
    if importlib.util.find_spec("openvino") is None:
        raise InputError(
            "The format openvino needs the package openvino, which is not installed.",
            "Install the extra: `pip install 'agiwb[openvino]'`.",
        )
    import openvino

    with tempfile.TemporaryDirectory(prefix="agiwb-") as temporary:
        if source.format == "onnx" and source.folder is not None:
            file = source.folder / MODEL_FILES["onnx"]
        else:
            write_onnx(source, Path(temporary))
            file = Path(temporary) / MODEL_FILES["onnx"]
        with held_back():
            model = openvino.convert_model(str(file))
            openvino.save_model(
                model, str(folder / MODEL_FILES["openvino"]), compress_to_fp16=False
            )
