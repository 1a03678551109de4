"""What is to be served of one model, and under which labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agiwb.artifacts.manifest import check_served_name
from agiwb.serving.servables.policy import Latest, VersionPolicy
from agiwb.serving.status import Code, Refusal

_LABEL = r"[^/:]+"
"""What TensorFlow Serving's URLs allow for a label."""


@dataclass(frozen=True)
class ModelConfig:
    """One model: ``base_path`` holds its numbered version folders; ``labels`` name versions."""

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=dict)


def check_models(models: Iterable[ModelConfig]) -> None:
    """Raise unless ``models`` can be served together.

    Raises:
        InputError: A name does not fit in a URL.
        Refusal: A name is there twice, or a label cannot be one.
    """
    names: set[str] = set()
    for model in models:
        check_served_name(model.name)
        if model.name in names:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"Illegal to list model {model.name} multiple times in config list",
                "Give each model a name of its own.",
            )
        names.add(model.name)
        for label in model.labels:
            check_label(label)


def check_label(label: str) -> None:
    """Raise Refusal if ``label`` does not fit in a URL."""
    if not re.fullmatch(_LABEL, label):
        raise Refusal(
            Code.INVALID_ARGUMENT,
            f"The label {label!r} does not fit in a URL.",
            "Use letters, digits, _ and -.",
        )


def check_assignment(
    model: str,
    label: str,
    version: int,
    *,
    present: Mapping[str, int],
    available: Iterable[int],
    allow_unavailable: bool,
) -> None:
    """Raise unless ``label`` may point at ``version``; the rule is TensorFlow Serving's.

    A label points at a version that is available. With ``allow_unavailable`` a label that is new,
    or already points there, may also point at one that is not (yet).

    Raises:
        Refusal: FAILED_PRECONDITION, in TensorFlow Serving's words.
    """
    moves = present.get(label, version) != version
    if version in available or (allow_unavailable and not moves):
        return
    raise Refusal(
        Code.FAILED_PRECONDITION,
        f"Request to assign label to version {version} of model {model}, "
        "which is not currently available for inference",
        "Wait until its status is AVAILABLE.",
    )
