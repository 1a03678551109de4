"""Giving an ``.h5`` file another description. For a fresh process."""

from __future__ import annotations

import shutil


def rewrite_hdf5(path: str, target: str, config: str) -> None:
    """Write ``target``: the file ``path`` with ``config``, JSON, as its model's description."""
    import h5py

    shutil.copyfile(path, target)
    with h5py.File(target, "r+", locking=False) as opened:
        opened.attrs["model_config"] = config
        # Written by a Keras 2; what it was trained by is not needed, and names old classes.
        opened.attrs.pop("training_config", None)
