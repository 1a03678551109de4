"""What only a library can say of a model: its signature. For a fresh process, after the checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.artifacts.manifest import MODEL_FILES, Format
from agiwb.conversion.contents import read_contents
from agiwb.errors import AgiwbError
from agiwb.importing.refusal import refused
from agiwb.importing.tensorflow_operators import unknown_operators
from agiwb.models.loading import import_custom_objects, load_keras_model
from agiwb.runtimes.runtime import open_runtime
from agiwb.tensorflow_quietly import import_tensorflow

_LONGEST_REASON = 300


def describe(
    folder: str, kind: Format, operators: list[str], custom_objects: str | None
) -> dict[str, Any]:
    """Return the signature of the model in ``folder``, and what is quantized, as JSON holds them.

    Raises:
        InputError: Its library cannot load it, or it has operators that the library here lacks.
    """
    place = Path(folder)
    path = place / MODEL_FILES[kind]
    if kind in {"saved_model", "frozen_pb"} and (unknown := unknown_operators(operators)):
        raise refused(
            path,
            f"it holds operators that are not known to be mere computation: {', '.join(unknown)}",
            "Export it without them.",
        )
    if kind == "keras" and custom_objects:
        import_custom_objects(custom_objects)
    try:
        signature = open_runtime(place).signature
    except Exception as error:  # noqa: BLE001  each library has its own
        # What is damaged in a way that the checks do not see fails anywhere in native code.
        raise refused(path, f"it cannot be loaded ({_reason(error, path)})") from None
    if not signature.outputs:
        raise refused(path, "it has no output")
    quantization = read_contents(kind, place).quantization if kind == "litert" else ()
    return {
        "signature": signature.model_dump(mode="json"),
        "quantization": [tensor.model_dump(mode="json") for tensor in quantization],
    }


def resave(path: str, target: str, custom_objects: str | None) -> None:
    """Write the Keras model of the file ``path`` as Keras writes it today, without its optimiser.

    Raises:
        NotFoundError: It cannot be loaded.
        InputError: A class in it is not Keras'.
    """
    import_tensorflow()
    if custom_objects:
        import_custom_objects(custom_objects)
    load_keras_model(Path(path)).save(target)


def _reason(error: Exception, path: Path) -> str:
    """Return an engine's own words, without where our copy lies."""
    said = error.problem if isinstance(error, AgiwbError) else f"{error}"
    for place in (path, path.parent):
        said = said.replace(str(place), path.name)
    return " ".join(said.split())[:_LONGEST_REASON].rstrip(".")
