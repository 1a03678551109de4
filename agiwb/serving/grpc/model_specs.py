"""TensorFlow Serving's ``ModelSpec``: which model a request asks, and which one answered."""

from __future__ import annotations

from typing import Any

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import LoadedVersion
from agiwb.serving.status import Code, Refusal


def read_model_spec(request: Any) -> ModelSpec:
    """Return which model a request with a ``model_spec`` asks; its signature is never "".

    Raises:
        Refusal: It names none.
    """
    if not request.HasField("model_spec"):
        raise Refusal(Code.INVALID_ARGUMENT, "Missing ModelSpec")
    spec = request.model_spec
    if not spec.name:
        raise Refusal(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    return ModelSpec(
        spec.name,
        version=spec.version.value if choice == "version" else None,
        label=spec.version_label if choice == "version_label" else None,
        signature_name=spec.signature_name or SIGNATURE_NAME,
    )


def write_model_spec(spec: Any, version: LoadedVersion, signature_name: str) -> None:
    """Say in the message ``spec`` which version and signature answered."""
    spec.name = version.name
    spec.version.value = version.number
    spec.signature_name = signature_name
