"""Where a model lies that a user calls by its name, or by its path."""

from __future__ import annotations

from pathlib import Path

from agiwb.artifacts.manifest import FORMAT_OF_SUFFIX, Format


def path_of(reference: str, kind: Format | None = None) -> Path:
    """Return a path as it is given, else where the model lies that is called so.

    Args:
        reference: A model's file, an artifact's folder, or a model's name.
        kind: Which of a named model's artifacts; by default its Keras file, or what was imported.

    Raises:
        NotFoundError: No model is called so, or it has no such artifact.
    """
    path = Path(reference).expanduser()
    if path.exists() or path.suffix.lower() in FORMAT_OF_SUFFIX:
        return path
    from agiwb.artifacts.any_format import find_source
    from agiwb.artifacts.resolve import ModelSource, resolve_artifact
    from agiwb.runs.store import open_store

    if kind is not None:
        return resolve_artifact(reference, kind, open_store()).folder
    found = find_source(reference, open_store())
    return found.path if isinstance(found, ModelSource) else found.folder
