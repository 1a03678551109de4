"""Writing a SavedModel, as TensorFlow Serving takes it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from agiwb.conversion.example_signatures import add_methods, example_endpoints
from agiwb.conversion.exported import export_named
from agiwb.conversion.source import ConversionSource
from agiwb.serving.servables.warm_up import write_warm_up


def write_saved_model(source: ConversionSource, folder: Path) -> None:
    """Write ``saved_model.pb`` and its variables into ``folder``.

    Its signature ``serving_default`` has the names of the source's inputs and outputs, with a free
    batch dimension. With ``example_signatures`` it has ``classify`` or ``regress`` as well, and
    with ``warm_up`` that many recorded requests of one example each.

    Raises:
        InputError: A signature over ``tf.Example`` is wanted of a model that cannot have one.
    """
    wanted = source.options.example_signatures
    if source.saved_model is not None and (source.named is None or not wanted):
        shutil.copytree(source.saved_model, folder, dirs_exist_ok=True)
    else:
        named = source.named_model
        endpoints = example_endpoints(named, source.classes) if wanted else {}
        export_named(named, folder, endpoints)
        add_methods(folder, endpoints)
    if requests := _requests(source):
        write_warm_up(folder, requests)


def _requests(source: ConversionSource) -> list[dict[str, Any]]:
    """Return the inputs of the warm-up requests: one training example each."""
    rows = min((len(values) for values in source.samples.values()), default=0)
    return [
        {name: values[row : row + 1] for name, values in source.samples.items()}
        for row in range(min(source.options.warm_up, rows))
    ]
