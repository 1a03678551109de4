"""What a feature is called that has no name of its own."""

from __future__ import annotations

import numpy as np

from agiwb.datasets.dataset import Dataset


def feature_name(data: Dataset, shape: tuple[int, ...], index: int) -> str:
    """Return the name of the feature at ``index`` of a flattened example of ``shape``."""
    place = np.unravel_index(index, shape)
    if data.kind == "image" and len(shape) >= 2:
        channel = f", channel {place[2]}" if len(shape) > 2 else ""
        return f"pixel {place[0]}, {place[1]}{channel}"
    if data.kind == "sequence" and len(shape) == 2:
        return f"step {place[0]}, channel {place[1]}"
    if data.kind == "audio" and data.sample_rate_hz:
        return f"{place[0] / data.sample_rate_hz:.4f} s"
    return "feature " + ", ".join(str(number) for number in place)
