"""The names of the model families, and which one suits which data."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from agiwb.datasets.dataset import Kind, Task

if TYPE_CHECKING:
    import keras

    from agiwb.models.specification import ModelSpec

Family = Literal[
    "mlp", "cnn", "resnet", "rnn", "text", "tabular", "audio", "two_tower",
    "lenet_300_100", "lenet_5", "mnist_mlp",
]  # fmt: skip

Builder = Callable[["ModelSpec"], "keras.Model"]
"""Makes an untrained, uncompiled model that takes the data's raw input."""

FAMILIES: dict[str, str] = {
    "mlp": "agiwb.models.mlp:build_mlp",
    "cnn": "agiwb.models.cnn:build_cnn",
    "resnet": "agiwb.models.resnet:build_resnet",
    "rnn": "agiwb.models.rnn:build_rnn",
    "text": "agiwb.models.text:build_text",
    "tabular": "agiwb.models.tabular:build_tabular",
    "audio": "agiwb.models.audio:build_audio",
    "two_tower": "agiwb.models.two_tower:build_two_tower",
    "lenet_300_100": "agiwb.models.lenet:build_lenet_300_100",
    "lenet_5": "agiwb.models.lenet:build_lenet_5",
    "mnist_mlp": "agiwb.models.mnist_mlp:build_mnist_mlp",
}
"""Where each family's builder is; imported when it is first asked for."""

_FAMILY_OF_KIND: dict[Kind, Family] = {
    "image": "cnn",
    "array": "mlp",
    "sequence": "rnn",
    "text": "text",
    "table": "tabular",
    "audio": "audio",
    "pairs": "two_tower",
}


def load_family(name: str) -> Builder:
    """Return the builder of the family ``name``."""
    module, _, attribute = FAMILIES[name].partition(":")
    builder: Builder = getattr(importlib.import_module(module), attribute)
    return builder


def default_family(kind: Kind, task: Task) -> Family:
    """Return the family to begin with for examples of ``kind``, whatever the ``task``.

    Every family answers every task its kind of data can have, so that only the kind decides.
    """
    return _FAMILY_OF_KIND[kind]
