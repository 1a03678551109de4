"""What was found to be converted, as the converters take it: a Keras model, or an artifact."""

from __future__ import annotations

from typing import cast

from agiwb.artifacts.any_format import Found
from agiwb.artifacts.resolve import ModelSource
from agiwb.conversion.config import ConvertConfig
from agiwb.conversion.parity.questions import by_input
from agiwb.conversion.registry import CALIBRATED
from agiwb.conversion.source import ConversionSource, artifact_source, source_for
from agiwb.datasets.dataset import Dataset
from agiwb.models.loading import load_model_for
from agiwb.runtimes.keras import KerasRuntime
from agiwb.runtimes.runtime import Runtime, open_runtime


def known_dataset(found: Found) -> str | None:
    """Return the data set that a source was trained on, if that is known."""
    return found.dataset if isinstance(found, ModelSource) else found.artifact.dataset


def open_source(found: Found, data: Dataset, config: ConvertConfig) -> Runtime:
    """Return the runtime whose answers the artifacts are held to.

    Raises:
        NotFoundError: The file holds no model that can be loaded.
        ConfigError: The model does not fit the data.
    """
    if isinstance(found, ModelSource):
        return KerasRuntime(found.path, model=load_model_for(found.path, data, judged=config.score))
    return open_runtime(found.folder)


def read_source(
    found: Found, data: Dataset, config: ConvertConfig, runtime: Runtime
) -> ConversionSource:
    """Return what the converters take for the source that was found.

    It shares the model with ``runtime``, which is what ``open_source`` returned for it.

    Raises:
        InputError: The source's strings cannot be left to its callers.
    """
    wanted = config.calibration_samples if set(config.formats) & set(CALIBRATED) else 0
    samples = max(wanted, config.warm_up if "saved_model" in config.formats else 0)
    if isinstance(found, ModelSource):
        return source_for(
            cast("KerasRuntime", runtime).model,
            found,
            data,
            config.options,
            samples=samples,
            preprocessing=config.preprocessing,
            judged=config.score,
        )
    drawn = {}
    if samples:
        features = data.train.sample(samples).features
        drawn = by_input(features, runtime.signature, data.name)
    return artifact_source(found, config.options, drawn)
