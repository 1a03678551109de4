"""TensorFlow Serving's ``ModelServerConfig`` message, to and from what is to be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.serving.servables.model_config import ModelConfig, check_models
from agiwb.serving.servables.policy import All, Latest, Specific, VersionPolicy
from agiwb.serving.status import Code, Refusal

_PLATFORM = "tensorflow"
"""What TensorFlow Serving demands as ``model_platform``; the files tell what a model really is."""


def models_of(message: Any) -> tuple[ModelConfig, ...]:
    """Return the models that a ``ModelServerConfig`` lists.

    Raises:
        InputError: A name does not fit in a URL.
        Refusal: INVALID_ARGUMENT; the message holds no list, lists a name twice, or gives a model
            no absolute path on this machine.
    """
    kind = message.WhichOneof("config")
    if kind not in {None, "model_config_list"}:
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"The field {kind} of ModelServerConfig is not supported.",
            "Give a model_config_list.",
        )
    models = tuple(model_of(entry) for entry in message.model_config_list.config)
    check_models(models)
    return models


def model_of(entry: Any) -> ModelConfig:
    """Return what one ``ModelConfig`` message describes.

    Raises:
        Refusal: INVALID_ARGUMENT; the base path is not an absolute path on this machine.
    """
    base_path = Path(entry.base_path)
    if not base_path.is_absolute():
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"Expected model {entry.name} to have an absolute path or URI; "
            f"got base_path()={entry.base_path}",
            "Give the absolute path of a folder on this machine.",
        )
    policy = _policy_of(entry.model_version_policy)
    return ModelConfig(entry.name, base_path, policy, dict(entry.version_labels))


def fill_entry(entry: Any, model: ModelConfig) -> None:
    """Make a ``ModelConfig`` message describe ``model``; fields it does not know stay."""
    entry.name = model.name
    entry.base_path = str(model.base_path)
    entry.model_platform = entry.model_platform or _PLATFORM
    entry.ClearField("model_version_policy")
    match model.policy:
        case All():
            entry.model_version_policy.all.SetInParent()
        case Specific(versions):
            entry.model_version_policy.specific.versions.extend(versions)
            entry.model_version_policy.specific.SetInParent()
        case Latest(1):
            pass  # the default
        case Latest(number):
            entry.model_version_policy.latest.num_versions = number
    entry.ClearField("version_labels")
    entry.version_labels.update(model.labels)


def _policy_of(message: Any) -> VersionPolicy:
    match message.WhichOneof("policy_choice"):
        case "all":
            return All()
        case "specific":
            return Specific(tuple(message.specific.versions))
        case _:
            return Latest(max(message.latest.num_versions, 1))
