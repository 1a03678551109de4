"""Images in a folder for each class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.folder import ClassFolders, find_files
from agiwb.datasets.source import Examples, Progress, Source, assemble, require_kind
from agiwb.errors import DatasetError

if TYPE_CHECKING:
    from PIL import Image

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"})
_GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "F"})
_DEEP_MODES = frozenset({"I", "I;16", "I;16B"})
_LEVELS_OF_DEEP = 257
"""65535 / 255: what brings 16 bits to 8."""


def load_images(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in ``class/*.png|jpg|jpeg|bmp|gif``.

    Examples are ``(height, width)`` if all images are grey, else RGB ``(height, width, 3)``,
    float32 from 0 to 255. Transparency is dropped, and of an animation the first frame is taken.

    Raises:
        DatasetError: There are no images, one cannot be read, or two differ in size and no
            ``image_size`` is given; the files are named.
    """
    require_kind(description, "image")
    found = find_files(description.path, _SUFFIXES)
    (width, height), is_grey = _common_look(found, description.image_size, progress)
    shape = (height, width) if is_grey else (height, width, 3)
    images = np.empty((len(found.files), *shape), np.float32)
    for index, path in found.each("reading images", progress):
        with _opened(path) as image:
            images[index] = _pixels(image, (width, height), is_grey=is_grey)
    return assemble(
        description,
        Examples(
            kind="image",
            features=images,
            labels=found.labels,
            place=found.place,
            own_split=found.own_split,
            scale=255.0,
            notes=found.notes,
        ),
    )


def _common_look(
    found: ClassFolders, image_size: tuple[int, int] | None, progress: Progress
) -> tuple[tuple[int, int], bool]:
    """Return the width and height of all images, and whether all are grey."""
    first, is_grey = (0, 0), True
    for index, path in found.each("looking at images", progress):
        with _opened(path) as image:
            is_grey = is_grey and _is_grey(image)
            if index == 0:
                first = image.size
            elif image.size != first and image_size is None:
                raise DatasetError(
                    f"Images differ in size: {found.files[0]} is {_size(first)} and {path} is "
                    f"{_size(image.size)} pixels (height x width).",
                    "Give `image_size` as height and width to resize all of them.",
                )
    return ((image_size[1], image_size[0]) if image_size else first), is_grey


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; whatever is wrong with it until it is closed becomes a DatasetError."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(
            f"The image {path} cannot be read: {error}.", "Mend or remove it."
        ) from None


def _is_grey(image: Image.Image) -> bool:
    if image.mode != "P":
        return image.mode in _GREY_MODES
    colours = np.array(image.getpalette() or []).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _pixels(image: Image.Image, size: tuple[int, int], *, is_grey: bool) -> NDArray[Any]:
    """Return values from 0 to 255, ``(height, width)`` or with three channels."""
    from PIL import Image

    if image.mode in _DEEP_MODES:
        deep = np.clip(np.asarray(image, np.float32) / _LEVELS_OF_DEEP, 0, 255)
        image = Image.fromarray(deep.round().astype(np.uint8))
    image = image.convert("L" if is_grey else "RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image)


def _size(size: tuple[int, int]) -> str:
    width, height = size
    return f"{height} x {width}"
