"""What data sets that Keras downloads have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.datasets.splitting import VALIDATION_SHARE
from agiwb.errors import DatasetError

Pair = tuple[NDArray[Any], NDArray[Any]]


def fetch(name: str, instead: str, **options: Any) -> tuple[Pair, Pair]:
    """Return Keras' own train and test splits, each of features and labels.

    Args:
        name: Module of ``keras.datasets``.
        instead: Data sets of the kind that need no network, for the message.
        options: Passed on to ``load_data``.

    Raises:
        DatasetError: The download failed.
    """
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data(**options)
    except Exception as error:  # Keras raises bare Exception for a failed download
        raise download_error(name, instead, error) from error
    return train, test


def download_error(name: str, instead: str, error: Exception) -> DatasetError:
    """Return what to tell the user about a failed download."""
    return DatasetError(
        f"The data set {name} could not be downloaded: {error}.",
        f"Connect this machine once, or use {instead}.",
    )


def with_validation(whole: Split) -> tuple[Split, Split]:
    """Return train and a validation split drawn from it at random."""
    count = round(len(whole) * VALIDATION_SHARE)
    order = np.random.default_rng(0).permutation(len(whole))
    return whole.take(order[count:]), whole.take(order[:count])
