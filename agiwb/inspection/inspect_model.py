"""Inspecting a model: by the path of its file, or of an artifact's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np

from agiwb.artifacts.manifest import (
    FORMAT_OF_SUFFIX,
    MANIFEST_FILE,
    MODEL_FILES,
    Artifact,
    Format,
    format_of,
)
from agiwb.errors import AgiwbError, InputError, NotFoundError
from agiwb.inspection.contents import Contents, Weight
from agiwb.inspection.inspection import (
    Inspection,
    LayerSummary,
    Spread,
    TensorSummary,
    sparsity_of,
)
from agiwb.runs.files import list_files, sha256_of_tree
from agiwb.trust.encryption import decrypt_folder, is_encrypted

BINS = 32

_MOST_COUNTED = 1 << 22
"""Values of which it is counted how many differ; sorting more takes seconds."""

_READERS = {
    "model.keras": "keras_file:read_keras",
    "model.h5": "keras_file:read_h5",
    "saved_model.pb": "tensorflow_graph:read_saved_model",
    "frozen.pb": "tensorflow_graph:read_frozen",
    "model.onnx": "onnx_file:read",
    "model.tflite": "litert_file:read",
}


def inspect_model(path: Path | str) -> Inspection:
    """Return what is in a model's file, found without running any code of the model.

    Args:
        path: A ``.keras``, ``.h5``, ``.onnx``, ``.tflite`` or ``.pb`` file, a SavedModel's folder,
            or an artifact's, which may be encrypted.

    Raises:
        NotFoundError: There is no such file, or no model in the folder.
        InputError: The file is damaged, or of a format that is not inspected.
    """
    with opened(Path(path)) as (kind, file):
        contents = read_contents(kind, file)
        root = file.parent if kind == "saved_model" or Path(path).is_dir() else file
        manifest = file.parent / MANIFEST_FILE
        signature = contents.signature
        if Path(path).is_dir() and not signature.outputs and manifest.is_file():
            signature = Artifact.model_validate_json(manifest.read_bytes()).signature
        tensors = tuple(_summary(weight) for weight in contents.weights)
        return Inspection(
            path=str(path),
            format=kind,
            size_bytes=sum(one.size_bytes for one in list_files(root))
            if root.is_dir()
            else root.stat().st_size,
            sha256=sha256_of_tree(root),
            signature=signature,
            operators=dict(contents.operators),
            custom_operators=contents.custom_operators,
            layers=_layers(contents.weights, tensors),
            tensors=tensors,
            nodes=tuple(contents.nodes),
            details={name: value for name, value in contents.details.items() if value},
        )


@contextmanager
def opened(path: Path) -> Iterator[tuple[Format, Path]]:
    """Yield the format and the model's file at ``path``; what is encrypted is decrypted meanwhile.

    Raises:
        NotFoundError: There is no such file, or no model in the folder.
        InputError: The file is of no known format.
    """
    if path.is_dir() and is_encrypted(path):
        private = decrypt_folder(path)
        try:
            kind = format_of(private.path)
            yield kind, private.path / MODEL_FILES[kind]
        finally:
            private.close()
        return
    if path.is_dir():
        kind = format_of(path)
        yield kind, path / MODEL_FILES[kind]
        return
    if not path.is_file():
        raise NotFoundError(f"There is no {path}.", "Give a model's file, or an artifact's folder.")
    if path.name == MODEL_FILES["saved_model"]:
        yield "saved_model", path
        return
    known = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if known is None:
        raise InputError(
            f"The file {path} is of no format that is inspected.",
            f"Those are: {', '.join(FORMAT_OF_SUFFIX)}, and the folder of a SavedModel.",
        )
    yield known, path


def read_contents(kind: Format, file: Path) -> Contents:
    """Return what is in a model's file of a known format.

    Raises:
        InputError: It cannot be read as one, or the format is not inspected.
    """
    home = _READERS.get(MODEL_FILES[kind])
    if home is None:
        raise InputError(f"Models in the format {kind} are not inspected.", f"{file} is one.")
    module, _, name = home.partition(":")
    read: Callable[[Path], Contents] = getattr(
        import_module(f"agiwb.inspection.readers.{module}"), name
    )
    try:
        return read(file)
    except (AgiwbError, MemoryError):
        raise
    # A damaged file makes each library raise errors of its own.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"The file {file} cannot be read as {kind}: it is damaged, ends too early or is "
            f"something else ({reason or type(error).__name__}).",
            "Get or make it again.",
        ) from error


def _summary(weight: Weight) -> TensorSummary:
    count = int(np.prod(weight.shape, dtype=np.int64))
    return TensorSummary(
        name=weight.name,
        layer=weight.layer,
        dtype=weight.dtype,
        shape=weight.shape,
        parameters=count,
        size_bytes=weight.size_bytes,
        quantization=weight.quantization,
        spread=_spread(weight),
    )


def _spread(weight: Weight) -> Spread | None:
    real = weight.real()
    if real is None:
        return None
    finite = real[np.isfinite(real)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    with np.errstate(over="ignore"):
        mean, deviation = float(finite.mean()), float(finite.std())
    # Bins narrower than the numbers' own steps cannot be made.
    flat = not (high - low) / BINS > np.spacing(max(abs(low), abs(high)))
    counts = [finite.size, *[0] * (BINS - 1)]
    if not flat and np.isfinite(high - low):
        counts = np.histogram(finite, BINS, (low, high))[0].tolist()
    return Spread(
        zeros=int(np.count_nonzero(finite == 0)),
        distinct=len(np.unique(finite)) if finite.size <= _MOST_COUNTED else None,
        minimum=low,
        maximum=high,
        mean=mean,
        deviation=deviation,
        histogram=tuple(counts),
        not_finite=real.size - finite.size,
    )


def _layers(weights: list[Weight], tensors: tuple[TensorSummary, ...]) -> tuple[LayerSummary, ...]:
    of_layer: dict[str, list[TensorSummary]] = {}
    operators: dict[str, str] = {}
    for weight, tensor in zip(weights, tensors, strict=True):
        of_layer.setdefault(tensor.layer, []).append(tensor)
        operators.setdefault(tensor.layer, weight.operator)
    return tuple(
        LayerSummary(
            name=name,
            operator=operators[name],
            parameters=sum(tensor.parameters for tensor in own),
            size_bytes=sum(tensor.size_bytes for tensor in own),
            sparsity=sparsity_of(own),
            dtypes=tuple(dict.fromkeys(tensor.dtype for tensor in own)),
        )
        for name, own in of_layer.items()
    )
