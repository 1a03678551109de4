"""What a search goes by: validation error and bytes after gzip; never the test split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.produce import Failure, Product
from agiwb.compression.trials.study import Score


def scored_on(labels: NDArray[Any]) -> Score:
    """Return the score of products on the validation split, whose classes are ``labels``."""

    def score(product: Product) -> tuple[float, float] | None:
        if isinstance(product.file, Failure) or not product.answers or not product.file_size:
            return None
        with np.load(product.answers, allow_pickle=False) as answers:
            classes = answers["validation"].argmax(axis=1)
        return float(np.mean(classes != labels)), float(product.file_size.gzip_bytes)

    return score
