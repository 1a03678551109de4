"""The network for sounds: a mel spectrogram, read like an image."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import ConfigError
from agiwb.models.convolution import convolution_blocks
from agiwb.models.families import default_family
from agiwb.models.head import head
from agiwb.models.hidden import hidden_layers
from agiwb.models.preprocessing import moments, raw_features
from agiwb.models.specification import ModelSpec

if TYPE_CHECKING:
    import keras

_WINDOW_S = 0.025  # the usual window and step for speech
_STEP_S = 0.010
_MEL_BANDS = 40
_QUIETEST = 1e-6  # power added before the logarithm: digital silence has none
_BLOCKS = 3
_ADAPTING_EXAMPLES = 1000
_BATCH = 32


def build_audio(spec: ModelSpec) -> keras.Model:
    """Return log-mel spectrogram → convolution blocks → maximum over time → dense → answer.

    The spectrogram has 40 mel bands of windows of 25 ms every 10 ms; each band is standardised
    over the sample. Input ``features``: float32 ``(batch, samples)`` in the data's own units.
    Output: see ``head``. Of the size, ``units``, ``layers`` (3 convolution blocks by default),
    ``dropout``, ``l1``, ``l2`` and ``batch_norm`` (of the dense layer; the blocks have it) count.

    Raises:
        ConfigError: The examples are not sounds of a known sample rate, or too short.
    """
    import keras
    from keras import layers, ops

    rate_hz = _sample_rate_hz(spec)
    blocks = spec.size.layers or _BLOCKS
    _require_length(spec, rate_hz, blocks)
    features = raw_features(spec)
    x = _log_mel(spec, features, rate_hz)
    mean, variance = moments(_seen(spec, keras.Model(features, x)), axes=(1,))
    x = layers.Normalization(
        axis=1, mean=mean, variance=variance, dtype="float32", name="standardize"
    )(x)
    x = convolution_blocks(spec.size, ops.expand_dims(x, 3), blocks)
    x = layers.Flatten(name="flatten")(ops.max(x, axis=2))  # whenever it sounds
    x = hidden_layers(replace(spec.size, layers=None), x)
    return keras.Model(features, head(spec, x), name="audio")


def _log_mel(spec: ModelSpec, features: keras.KerasTensor, rate_hz: int) -> keras.KerasTensor:
    """Return the logarithm of the power in each mel band and window: ``(batch, bands, windows)``.

    The layer's own decibels are not used: it cuts them off below the loudest of the whole batch,
    and an answer must not depend on what else is asked at the same time.
    """
    from keras import layers, ops

    window = max(2, round(_WINDOW_S * rate_hz))
    x = layers.Rescaling(1 / spec.scale, dtype="float32", name="rescale")(features)
    x = layers.MelSpectrogram(
        fft_length=2 ** math.ceil(math.log2(window)),
        sequence_length=window,
        sequence_stride=_step(rate_hz),
        sampling_rate=rate_hz,
        num_mel_bins=_MEL_BANDS,
        power_to_db=False,
        dtype="float32",
        name="mel_spectrogram",
    )(x)
    return ops.log(x + _QUIETEST)


def _seen(spec: ModelSpec, spectrogram: keras.Model) -> NDArray[np.float32]:
    """Return the spectrograms of some of the sample: ``(examples, bands, windows)``."""
    sounds = spec.sample.sample(_ADAPTING_EXAMPLES).features
    batches = range(0, len(sounds), _BATCH)
    return np.concatenate([np.asarray(spectrogram(sounds[i : i + _BATCH])) for i in batches])


def _sample_rate_hz(spec: ModelSpec) -> int:
    spec.require(
        "audio",
        spec.kind == "audio" and len(spec.feature_shape) == 1,
        "sounds of one channel",
        default_family(spec.kind, spec.task),
    )
    if spec.sample_rate_hz is None:
        raise ConfigError(
            "`architecture` audio needs the sample rate, and the data set does not tell it.",
            "Give the data set's `sample_rate_hz`.",
        )
    return spec.sample_rate_hz


def _require_length(spec: ModelSpec, rate_hz: int, blocks: int) -> None:
    """Raise ConfigError unless a spectrogram can be halved once a block in both directions."""
    windows = 1 + spec.feature_shape[0] // _step(rate_hz)
    most = int(math.log2(min(windows, _MEL_BANDS)))
    if blocks <= most:
        return
    raise ConfigError(
        f"`architecture` audio with {blocks} layers needs {2**blocks} windows and {2**blocks} "
        f"mel bands; these sounds have {windows} windows of {1000 * _STEP_S:.0f} ms, and there "
        f"are {_MEL_BANDS} bands.",
        f"Give `layers: {most}` or fewer." if most else "Give longer sounds.",
    )


def _step(rate_hz: int) -> int:
    return max(1, round(_STEP_S * rate_hz))
