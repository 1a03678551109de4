"""Texts, sounds and pictures that hold nothing, or not what they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.quality.report import ShareBySplit

SILENT = 1e-3
"""Of full scale: -60 dB, below the noise of a quiet room in most recordings."""

CLIPPED_SHARE = 1e-3
"""A recording is clipped if so many of its samples are at the end of the scale."""

_AT_THE_END = 0.999


def measure_media(data: Dataset, looked_at: dict[str, Split]) -> dict[str, ShareBySplit]:
    """Return measures of texts, sounds, pictures and sequences in each split, by their names.

    ``empty``, ``silent``, ``clipped``, ``blank``, ``out of range`` and ``not finite`` are shares of
    the examples; ``words, median`` and ``words, longest`` are numbers of words.
    """
    measures: dict[str, Callable[[NDArray[Any]], float]] = {}
    if data.kind == "text":
        measures = {
            "empty": lambda texts: float(np.mean([not text.strip() for text in texts])),
            "words, median": lambda texts: float(np.median(_words(texts))),
            "words, longest": lambda texts: float(_words(texts).max()),
        }
    elif data.kind == "audio":
        measures = {
            "silent": lambda sounds: float((_peaks(sounds) < SILENT * data.scale).mean()),
            "clipped": lambda sounds: float((_at_the_end(sounds, data) >= CLIPPED_SHARE).mean()),
            "not finite": _not_finite,
        }
    elif data.kind in {"image", "sequence"}:
        measures = {"blank": _blank, "not finite": _not_finite}
        if data.kind == "image":
            measures["out of range"] = lambda images: _out_of_range(images, data.scale)
    return {
        name: {split: measure(part.features) for split, part in looked_at.items()}
        for name, measure in measures.items()
    }


def _words(texts: NDArray[Any]) -> NDArray[np.int64]:
    return np.array([len(text.split()) for text in texts])


def _flat(features: NDArray[Any]) -> NDArray[Any]:
    return features.reshape(len(features), -1)


def _peaks(sounds: NDArray[Any]) -> NDArray[Any]:
    flat = _flat(sounds)
    peaks: NDArray[Any] = np.maximum(flat.max(axis=1), -flat.min(axis=1))
    return peaks


def _at_the_end(sounds: NDArray[Any], data: Dataset) -> NDArray[Any]:
    shares: NDArray[Any] = (np.abs(_flat(sounds)) >= _AT_THE_END * data.scale).mean(axis=1)
    return shares


def _blank(features: NDArray[Any]) -> float:
    flat = _flat(features)
    return float((flat.max(axis=1) == flat.min(axis=1)).mean())


def _not_finite(features: NDArray[Any]) -> float:
    return float((~np.isfinite(_flat(features))).any(axis=1).mean())


def _out_of_range(images: NDArray[Any], scale: float) -> float:
    flat = _flat(images)
    return float(((flat.min(axis=1) < 0) | (flat.max(axis=1) > scale)).mean())
