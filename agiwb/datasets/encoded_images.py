"""Images given as the bytes of PNG or JPEG files, decoded to arrays of one size."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.source import Place
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    from PIL import Image

GREY, COLOURED = 1, 3


def look_of(data: bytes, where: str) -> tuple[int, int, int]:
    """Return height, width and channels (1 for grey, 3 for colour) of an image.

    Raises:
        DatasetError: It is none.
    """
    with _opened(data, where) as image:
        return image.height, image.width, GREY if image.mode in {"1", "L", "LA"} else COLOURED


def decoded_images(
    encoded: NDArray[Any], size: tuple[int, int], channels: int, place: Place, *, resize: bool
) -> NDArray[np.float32]:
    """Return float32 ``(images, height, width[, 3])`` from 0 to 255.

    Transparency is dropped.

    Args:
        encoded: The bytes of each image's file, ``(images,)``.
        size: Height and width that all have.
        channels: 1 to turn all to grey, or 3 to turn all to RGB.
        place: Says where an image came from.
        resize: Whether images of another size are resized, and not refused.

    Raises:
        DatasetError: One cannot be decoded or is of another size.
    """
    from PIL import Image

    height, width = size
    shape = (height, width) if channels == GREY else (height, width, COLOURED)
    images = np.empty((len(encoded), *shape), np.float32)
    for row, data in enumerate(encoded):
        with _opened(data, place(row)) as opened:
            image = opened.convert("L" if channels == GREY else "RGB")
            if image.size != (width, height):
                if not resize:
                    raise DatasetError(
                        f"In {place(row)}, the image is {image.height} x {image.width} pixels, and "
                        f"others are {height} x {width}.",
                        "Give `image_size` as height and width to resize all of them.",
                    )
                image = image.resize((width, height), Image.Resampling.BILINEAR)
            images[row] = np.asarray(image)
    return images


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"In {where}, the image cannot be read: {error}.", "Mend it.") from None
