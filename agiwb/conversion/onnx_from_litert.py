"""A LiteRT file as an ONNX graph: what is left to whoever has no other file of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.signature import TensorSpec
from agiwb.conversion.contents import read_contents
from agiwb.conversion.translated import translated
from agiwb.errors import WorkError
from agiwb.runtimes.litert import LiteRTRuntime, names_in_graph

if TYPE_CHECKING:
    import onnx

_NOT_IN_ONNX = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "DENSIFY"})
"""State that is kept between calls, and weights that are stored sparse: tf2onnx fails on them."""
_FIX = "Go back to what the LiteRT file was made from."


def onnx_from_litert(folder: Path, opset: int) -> onnx.ModelProto:
    """Return the graph of the LiteRT file in ``folder``, asked and answering as its runtime is.

    Operators that ONNX lacks are left in. Free sizes stay free, and fixed ones fixed.

    Raises:
        WorkError: The model keeps a state between its calls, has weights that are stored sparse, or
            takes or gives quantized integers.
    """
    path = folder / MODEL_FILES["litert"]
    if missing := sorted(_NOT_IN_ONNX & read_contents("litert", folder).operators.keys()):
        raise WorkError(f"ONNX has no operator for LiteRT's {', '.join(missing)}.", _FIX)
    signature = LiteRTRuntime(path).signature
    named = names_in_graph(path)
    model = translated(
        None,
        tflite_path=str(path),
        opset=opset,
        input_names=[named[spec.name] for spec in signature.inputs],
        output_names=[named[spec.name] for spec in signature.outputs],
        tensors_to_rename={name: ours for ours, name in named.items()},
    )
    for values, specs in (
        (model.graph.input, signature.inputs),
        (model.graph.output, signature.outputs),
    ):
        by_name = {value.name: value for value in values}
        ordered = [by_name[spec.name] for spec in specs]
        for value, spec in zip(ordered, specs, strict=True):
            _require_type(value, spec)
            _take_sizes(value, spec)
        del values[:]
        values.extend(ordered)
    return model


def _require_type(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    """Raise WorkError unless ONNX has the type by which the file is asked."""
    import onnx

    stored = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    if stored != np.dtype(spec.dtype):
        raise WorkError(
            f"The LiteRT file has `{spec.name}` in integers of {stored.name}, and ONNX no scale "
            "for what goes in or comes out.",
            _FIX,
        )


def _take_sizes(value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    """Give a tensor the sizes of the signature; what is free gets its name later."""
    shape = value.type.tensor_type.shape
    del shape.dim[:]
    for size in spec.shape:
        shape.dim.add(**({} if size is None else {"dim_value": size}))
