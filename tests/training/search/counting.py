"""A builder of models that says how often it was asked."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write_counting(folder: Path, then: str) -> Path:
    """Return a module whose ``build`` notes each model in ``built.txt``.

    Args:
        folder: Takes both.
        then: A statement that follows the note.
    """
    path = folder / "counting.py"
    path.write_text(
        textwrap.dedent(f"""
        import os
        import time
        import keras

        def build(spec):
            with open({str(folder / "built.txt")!r}, "a") as built:
                built.write(f"{{spec.size.units}}\\n")
            {then}
            layers = keras.layers
            return keras.Sequential([
                keras.Input(spec.feature_shape),
                layers.Flatten(),
                layers.Dense(spec.size.units, activation="relu"),
                layers.Dense(spec.outputs, activation="softmax"),
            ])
        """)
    )
    return path


def built(path: Path) -> list[str]:
    """Return the units of each model that the builder in ``path`` has built so far."""
    log = path.with_name("built.txt")
    return log.read_text().split() if log.is_file() else []
