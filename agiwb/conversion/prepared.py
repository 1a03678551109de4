"""A data set's examples as an artifact takes them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from agiwb.artifacts.resolve import ArtifactSource, resolve_model
from agiwb.artifacts.signature import Signature
from agiwb.conversion.parity.questions import by_input
from agiwb.errors import InputError, NotFoundError
from agiwb.runs.store import open_store
from agiwb.runtimes.runtime import Tensors


def prepared_inputs(
    found: ArtifactSource, signature: Signature, features: NDArray[Any], whose: str
) -> Tensors:
    """Return examples as arrays by the names of the artifact's inputs.

    For an artifact that begins after the layers that read strings, those layers of the Keras model
    that it was made from are run first.

    Args:
        found: The artifact.
        signature: Its own, as its runtime tells it.
        features: Raw examples, ``(examples, ...)``.
        whose: Name of their data set, for errors.

    Raises:
        ConfigError: The features do not fit the model's inputs.
        InputError: Such an artifact's Keras model is not in the workspace.
    """
    if found.artifact.preprocessing is None:
        return by_input(features, signature, whose)
    from agiwb.conversion.source import source_of
    from agiwb.models.loading import load_keras_model
    from agiwb.runtimes.keras import model_signature

    origin = found.artifact.lineage.source_run
    try:
        model_file = resolve_model(origin or "", open_store()).path
    except NotFoundError as error:
        raise InputError(
            f"The {found.artifact.format} artifact of {found.artifact.name!r} takes numbers in "
            f"place of strings, and the model with the layers that make them is not here: {error}",
            "Use it in the workspace where it was converted, or convert the model again.",
        ) from error
    model = load_keras_model(model_file)
    source = source_of(
        model, found.artifact.classes, found.fingerprint, contract=False, preprocessing=False
    )
    return source.prepared(by_input(features, model_signature(model, model_file), whose))
