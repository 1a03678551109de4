"""TensorFlow Serving's predictions in rows, as arrays by output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.errors import InputError


def as_columns(predictions: list[Any], names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return TensorFlow Serving's row-format predictions by output.

    Raises:
        InputError: There are none.
    """
    if not predictions:
        raise InputError("The server answered no row.", "Send at least one.")
    if isinstance(predictions[0], dict):
        return {name: np.asarray([row[name] for row in predictions]) for name in predictions[0]}
    return {names[0]: np.asarray(predictions)}
