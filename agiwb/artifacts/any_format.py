"""Finding a model in whatever format there is of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import model_validator

from agiwb.artifacts.manifest import FORMATS, Format, format_of
from agiwb.artifacts.resolve import (
    ArtifactSource,
    ModelSource,
    own_format,
    resolve_artifact,
    resolve_model,
)
from agiwb.config import Config, choices
from agiwb.errors import NotFoundError
from agiwb.runs.store import RunStore

Found = ModelSource | ArtifactSource


def find_source(reference: str, store: RunStore) -> Found:
    """Return the Keras model that ``reference`` names, else the artifact that it names.

    Raises:
        NotFoundError: There is neither.
    """
    try:
        return resolve_model(reference, store)
    except NotFoundError as error:
        missing = error
    # Its own format before those that were made of it, or that its run wrote beside it.
    own = own_format(reference, store) or Path(reference).resolve().name
    for kind in sorted(FORMATS, key=lambda kind: kind != own):
        try:
            return resolve_artifact(reference, kind, store)
        except NotFoundError:
            continue
    raise missing


def format_of_folder(reference: str) -> Format | None:
    """Return the format of the artifact whose folder is ``reference``; None if that is no folder.

    What is encrypted does not tell its format.
    """
    try:
        return format_of(Path(reference))
    except NotFoundError:
        return None


class OneArtifactConfig(Config):
    """A config with the fields ``model`` and ``format``: an artifact's folder brings its format.

    One in a format that the config does not take leaves ``format`` at its default.
    """

    @model_validator(mode="before")
    @classmethod
    def _folder_tells_format(cls, given: Any) -> Any:
        if isinstance(given, dict) and "format" not in given:
            kind = format_of_folder(str(given.get("model", "")))
            if kind in choices(cls.model_fields["format"]):
                return {**given, "format": kind}
        return given


C = TypeVar("C", bound=OneArtifactConfig)


def with_own_format(config: C, store: RunStore) -> C:
    """Return the config, with the format of the imported model that it names if it gives none.

    A model of which Keras has a file is none such: it keeps the default, as does one in a format
    that the config does not take.
    """
    if "format" in config.model_fields_set:
        return config
    kind = own_format(str(getattr(config, "model", "")), store)
    if kind not in choices(type(config).model_fields["format"]):
        return config
    return config.model_copy(update={"format": kind})
