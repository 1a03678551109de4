"""What a person draws, uploads or types, as a row that a served model takes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError

InputKind = Literal["image", "text", "table", "numbers"]

_MOST_PIXELS = 50_000_000
_SMALLEST_SIDE = 4
"""What is shorter is an array, not an image."""
_CHANNELS = (1, 3, 4)
_INK = 24
"""Of 255; fainter strokes are the paper's."""


def input_kind(signature: Signature) -> InputKind:
    """Return how a person can give a model its input."""
    if len(signature.inputs) != 1:
        return "table"
    spec = signature.inputs[0]
    if np.dtype(spec.dtype).kind == "O":
        return "text"
    return "image" if image_shape(spec) is not None else "numbers"


def image_shape(spec: TensorSpec) -> tuple[int, int, int] | None:
    """Return height, width and channels if the input is an image; None if it is not."""
    sizes = spec.shape[1:]
    channels = sizes[2] if len(sizes) == 3 else 1
    if len(sizes) not in {2, 3} or channels not in _CHANNELS:
        return None
    height, width = sizes[0], sizes[1]
    if height is None or width is None or min(height, width) < _SMALLEST_SIDE:
        return None
    return height, width, channels


def row_of_image(encoded: bytes, spec: TensorSpec, white: float) -> NDArray[np.float32]:
    """Return an image file as the model takes it: resized as a whole, white being ``white``.

    Raises:
        InputError: The bytes are no image that can be read, or the model takes none.
    """
    return _fitted(_opened(encoded), spec, white)


def row_of_drawing(encoded: bytes, spec: TensorSpec, white: float) -> NDArray[np.float32]:
    """Return a drawing in white on black as the model takes it, its strokes in the middle.

    What was drawn is cut out, centred in a square with a margin of a tenth, and averaged down, as
    scanned digits are before they become a data set (LeCun et al. 1998, section III).

    Raises:
        InputError: Nothing was drawn.
    """
    from PIL import Image

    drawn = _opened(encoded).convert("L")
    box = drawn.point(lambda value: 255 * (value > _INK)).getbbox()
    if box is None:
        raise InputError("Nothing was drawn.", "Draw on the pad first.")
    cut = drawn.crop(box)
    side = round(max(cut.size) * 1.2)
    square = Image.new("L", (side, side))
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return _fitted(square, spec, white)


def row_of_numbers(text: str, spec: TensorSpec) -> NDArray[Any]:
    """Return numbers, separated by commas or blanks, in the shape of the input.

    Raises:
        InputError: They are not numbers, or not as many as the model takes.
    """
    words = text.replace(",", " ").split()
    sizes = [size or 1 for size in spec.shape[1:]]
    needed = int(np.prod(sizes))
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"Not all of these are numbers: {error}.", "Give numbers only.") from None
    if len(values) != needed:
        raise InputError(f"The model takes {needed} numbers, and these are {len(values)}.", "")
    return values.astype(spec.dtype).reshape(sizes)


def row_of_columns(values: Mapping[str, str], signature: Signature) -> dict[str, Any]:
    """Return the columns of a table's row, each as its input's type; "" is a gap.

    Raises:
        InputError: A number is none.
    """
    return {spec.name: _cell(values.get(spec.name, ""), spec) for spec in signature.inputs}


def _cell(text: str, spec: TensorSpec) -> Any:
    """Return one value in the shape that the input has after the batch: ``()`` or ``(1,)``."""
    kind = np.dtype(spec.dtype).kind
    value: Any = text
    if kind != "O":
        try:
            value = float(text) if text.strip() else float("nan")
            value = value if kind == "f" else int(value)
        except ValueError:
            raise InputError(
                f"`{spec.name}`: {text!r} is not a number.", "Give a number."
            ) from None
    return [value] if len(spec.shape) > 1 else value


def _opened(encoded: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(encoded))
        if image.width * image.height > _MOST_PIXELS:
            raise InputError("The image has more than 50 million pixels.", "Give a smaller one.")
        return image.convert("RGB")
    except (UnidentifiedImageError, OSError):
        raise InputError("This is no image that can be read.", "Give a PNG or JPEG.") from None


def _fitted(image: Any, spec: TensorSpec, white: float) -> NDArray[np.float32]:
    from PIL import Image

    shape = image_shape(spec)
    if shape is None:
        raise InputError(f"The model takes {spec}, which is no image.", "Give it as numbers.")
    height, width, channels = shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    resized = image.convert(mode).resize((width, height), Image.Resampling.BOX)
    pixels = np.asarray(resized, np.float32) * (white / 255.0)
    return pixels.reshape([size or 1 for size in spec.shape[1:]])
