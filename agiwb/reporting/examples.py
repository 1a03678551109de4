"""Images with what a model says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.reporting.picture import Picture

_IMAGE_DIMENSIONS = 3


def plot_examples(
    features: NDArray[Any],
    captions: Sequence[str],
    columns: int = 8,
) -> Picture:
    """Return a grid of images, each with its caption.

    Args:
        features: Shape ``(images, height, width[, channels])``, any scale.
        captions: One for each image.
        columns: Images in a row.

    Raises:
        InputError: The features are not images.
    """
    if features.ndim < _IMAGE_DIMENSIONS:
        raise InputError(f"Examples of shape {features.shape[1:]} are not images.")
    rows = -(-len(features) // columns)
    images = "image" if len(features) == 1 else "images"
    about = f"{len(features)} {images}: {', '.join(captions)}"
    picture = Picture(1.15 * columns, 1.35 * rows, about)
    for index, (image, caption) in enumerate(zip(features, captions, strict=True)):
        axes = picture.add_subplot(rows, columns, index + 1)
        axes.imshow(image, cmap="gray_r")
        axes.set_title(caption, fontsize=8, parse_math=False)
        axes.set_axis_off()
    return picture
