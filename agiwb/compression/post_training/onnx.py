"""ONNX in smaller numbers, made with ONNX Runtime's own tools.

The input is the float model that ``agiwb.conversion.onnx`` writes: from ``features`` with a free
batch to ``probabilities``. Both keep their names and stay float32 in every variant.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.manifest import MODEL_FILES
from agiwb.artifacts.signature import INPUT_NAME
from agiwb.compression.advisor import Scheme
from agiwb.conversion.onnx_float16 import halve
from agiwb.errors import InputError

__all__ = ["export_onnx", "halve", "quantize_dynamic", "quantize_static"]

if TYPE_CHECKING:
    import keras

Calibration = Literal["minmax", "entropy", "percentile"]
"""How an activation's range is found: its extremes; the range whose 8-bit histogram is nearest to
the true one (Kullback-Leibler); the range that leaves out one value in 100,000."""

_PRODUCTS = ("MatMul", "Gemm")


def export_onnx(
    model: keras.Model, classes: tuple[str, ...], folder: Path, source_sha256: str = ""
) -> Path:
    """Write ``model`` as ``model.onnx`` into ``folder`` and return its path.

    Args:
        model: One input, one output.
        classes: What the outputs stand for, in order; they go into the metadata.
        folder: An existing folder.
        source_sha256: Digest of the file the model was read from, for the metadata.
    """
    from agiwb.compression.keras_model import rebuild
    from agiwb.conversion.onnx import write_onnx
    from agiwb.conversion.source import source_of

    write_onnx(source_of(rebuild(model), classes, source_sha256), folder)
    return folder / MODEL_FILES["onnx"]


def quantize_dynamic(
    model: Path, target: Path, scheme: Scheme, *, convolutions: bool = False
) -> None:
    """Write ``model`` with 8-bit weights; activations get their ranges anew with each batch.

    Args:
        model: The float model.
        target: The file to write.
        scheme: What suits the processor; the weights' type and range are taken from it.
        convolutions: Also quantize convolutions. ONNX Runtime's operator for them, ConvInteger,
            is several times slower than floats, so they are left out otherwise.
    """
    from onnxruntime.quantization import quantize_dynamic

    with _prepared(model) as prepared:
        quantize_dynamic(
            prepared,
            target,
            op_types_to_quantize=[*_PRODUCTS, *(["Conv"] if convolutions else [])],
            weight_type=_type(scheme.weights),
            per_channel=scheme.per_channel,
            reduce_range=scheme.reduce_range,
        )
    _finish(model, target)


def quantize_static(
    model: Path,
    target: Path,
    scheme: Scheme,
    samples: NDArray[np.float32],
    calibration: Calibration = "minmax",
) -> None:
    """Write ``model`` with 8-bit weights and activations, as QuantizeLinear/DequantizeLinear pairs.

    Args:
        model: The float model.
        target: The file to write.
        scheme: What suits the processor; see ``agiwb.compression.advisor``.
        samples: Real training examples, float32 ``(samples, *feature_shape)``, from which the
            activations' ranges are learnt; some hundred do.
        calibration: See ``Calibration``.

    Raises:
        InputError: There are no samples.
    """
    if not len(samples):
        raise InputError(
            "There are no samples from which the activations' ranges could be learnt.",
            "Give some hundred training examples.",
        )
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, quantize_static

    methods = {
        "minmax": CalibrationMethod.MinMax,
        "entropy": CalibrationMethod.Entropy,
        "percentile": CalibrationMethod.Percentile,
    }
    with _prepared(model) as prepared:
        quantize_static(
            prepared,
            target,
            _reader(samples),
            quant_format=QuantFormat.QDQ,
            per_channel=scheme.per_channel,
            reduce_range=scheme.reduce_range,
            activation_type=_type(scheme.activations),
            weight_type=_type(scheme.weights),
            calibrate_method=methods[calibration],
        )
    _finish(model, target)


@contextlib.contextmanager
def _prepared(model: Path) -> Iterator[Path]:
    """Yield ``model`` with its shapes inferred and its batch normalisation folded.

    Symbolic inference needs sympy and is for transformers above all; without sympy the plain one
    has to do.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _held_back_in_python():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(
            model, prepared, skip_symbolic_shape=importlib.util.find_spec("sympy") is None
        )
        yield prepared


@contextlib.contextmanager
def _held_back_in_python() -> Iterator[None]:
    """Keep the quantizer's advice to itself: it logs to the root logger, and prints."""
    logger = logging.getLogger()
    former = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(former)


def _reader(samples: NDArray[np.float32]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        """The samples, one by one: histograms of batches of different sizes do not go together."""

        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            """Return the next sample by input name, None after the last."""
            sample = next(self._left, None)
            return None if sample is None else {INPUT_NAME: sample[np.newaxis]}

    return Samples()


def _type(name: Literal["int8", "uint8"]) -> Any:
    from onnxruntime.quantization import QuantType

    return {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}[name]


def _finish(model: Path, target: Path) -> None:
    """Give ``target`` the metadata of ``model``, which the tools drop, and check it."""
    import onnx

    written = onnx.load(target)
    known = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    del written.metadata_props[:]
    onnx.helper.set_model_props(written, known)
    onnx.checker.check_model(written)
    onnx.save(written, target)
