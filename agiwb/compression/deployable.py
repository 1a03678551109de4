"""From a Keras model to the file that is deployed: LiteRT or ONNX, in the numbers of the recipe."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.recipe import Conversion, Recipe

if TYPE_CHECKING:
    import keras

    from agiwb.compression.advisor import Scheme


def write_deployable(
    model: keras.Model,
    recipe: Recipe,
    samples: NDArray[np.float32],
    folder: Path,
    classes: Sequence[str],
    scheme: Scheme | None = None,
) -> Path:
    """Write ``model`` into ``folder`` as the file ``recipe.file_name`` and return its path.

    It maps ``features``, float32 ``(batch, *feature_shape)``, to ``probabilities``, float32
    ``(batch, classes)``, in whatever numbers it computes. Of a model with trained ranges (the
    stage ``qat``) an ``int8`` LiteRT file has exactly these; every other form takes the kernels as
    they were rounded, and ``onnx_int8`` learns the activations' ranges from the samples.

    Args:
        model: What the recipe's stages that train have made of the model.
        recipe: Its last stage decides the file's form.
        samples: Real training examples, float32 ``(samples, *feature_shape)``, from which 8-bit
            forms learn the activations' ranges; the others do not look at them.
        folder: An existing folder.
        classes: What the outputs stand for, in order; ONNX files say it in their metadata.
        scheme: How ONNX files compute in 8 bits; by default as suits this processor.

    Raises:
        InputError: There are no samples to learn ranges from.
        WorkError: A layer has no version in these numbers.
    """
    from agiwb.compression.techniques.integer_file import has_trained_ranges, plain_model

    trained_ranges = has_trained_ranges(model)
    plain = plain_model(model) if trained_ranges else model
    file = folder / recipe.file_name
    if recipe.runtime == "onnx":
        _write_onnx(plain, recipe, samples, file, tuple(classes), scheme)
    elif trained_ranges and recipe.precision == "int8":
        from agiwb.compression.techniques.integer_file import convert_trained

        file.write_bytes(convert_trained(model))
    else:
        from agiwb.compression.post_training.litert import quantize_litert
        from agiwb.compression.quantization import export_saved_model

        with tempfile.TemporaryDirectory() as temporary:
            export_saved_model(plain, Path(temporary))
            file.write_bytes(quantize_litert(Path(temporary), recipe.precision, samples))
    return file


def _write_onnx(
    model: keras.Model,
    recipe: Recipe,
    samples: NDArray[np.float32],
    file: Path,
    classes: tuple[str, ...],
    scheme: Scheme | None,
) -> None:
    """Write the ONNX ``file``; see ``write_deployable``."""
    from agiwb.compression.advisor import choose_scheme, read_processor
    from agiwb.compression.post_training import onnx

    form = recipe.conversion or Conversion(form="onnx")
    scheme = scheme or choose_scheme(read_processor()).scheme
    scheme = replace(scheme, per_channel=form.per_channel)
    with tempfile.TemporaryDirectory() as temporary:
        source = onnx.export_onnx(model, classes, Path(temporary))
        if form.precision == "float16":
            onnx.halve(source, file)
        elif form.precision == "dynamic":
            onnx.quantize_dynamic(source, file, scheme)
        elif form.precision == "int8":
            onnx.quantize_static(source, file, scheme, samples, form.calibration)
        else:
            shutil.copyfile(source, file)
