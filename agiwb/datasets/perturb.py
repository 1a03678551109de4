"""Real examples made to look as a tired camera or a crooked scan would give them.

For demonstrations of drift: what happens to a served model when its input changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import DatasetError

Features = NDArray[np.float32]


def rotate(features: Features, degrees: float) -> Features:
    """Return the images turned counter-clockwise, same shape, corners filled with zeros.

    Args:
        features: float32, shape ``(examples, height, width)`` or with channels last.
        degrees: Angle; negative turns clockwise.

    Raises:
        DatasetError: The features are not images.
    """
    from scipy.ndimage import rotate as turn

    _require_images(features)
    turned: Features = turn(features, degrees, axes=(2, 1), reshape=False, order=1)
    return turned


def blur(features: Features, sigma: float) -> Features:
    """Return the images out of focus: a Gaussian of ``sigma`` pixels over height and width.

    Args:
        features: float32, shape ``(examples, height, width)`` or with channels last.
        sigma: Standard deviation in pixels; 0 changes nothing.

    Raises:
        DatasetError: The features are not images.
    """
    from scipy.ndimage import gaussian_filter

    _require_images(features)
    blurred: Features = gaussian_filter(features, sigma, axes=(1, 2))
    return blurred


def add_noise(features: Features, share_of_scale: float, seed: int = 0) -> Features:
    """Return the features with Gaussian noise, kept within the range they had.

    Args:
        features: float32, shape ``(examples, ...)``, at least one example.
        share_of_scale: Standard deviation of the noise, as a share of the largest absolute value.
        seed: Equal seeds give equal noise.
    """
    scale = float(np.abs(features).max())
    noise = np.random.default_rng(seed).normal(0, share_of_scale * scale, features.shape)
    return np.clip(features + noise, features.min(), features.max()).astype(np.float32)


def _require_images(features: Features) -> None:
    if features.ndim not in {3, 4}:
        raise DatasetError(
            f"Examples of shape {features.shape[1:]} are not images.",
            "Give images of shape (height, width) or (height, width, channels).",
        )
