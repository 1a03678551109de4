"""Texts in a folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.folder import find_files
from agiwb.datasets.source import Examples, Progress, Source, assemble, require_kind
from agiwb.errors import DatasetError


def load_texts(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in ``class/*.txt``, each file one text in UTF-8.

    Raises:
        DatasetError: There are no texts, or one is not UTF-8; its file and byte are named.
    """
    require_kind(description, "text")
    found = find_files(description.path, frozenset({".txt"}))
    texts = np.empty(len(found.files), dtype=object)
    for index, path in found.each("reading texts", progress):
        texts[index] = _read(path)
    return assemble(
        description,
        Examples(
            kind="text",
            features=texts,
            labels=found.labels,
            place=found.place,
            own_split=found.own_split,
            scale=1.0,
            notes=found.notes,
        ),
    )


def _read(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"The file {path} is not UTF-8: byte 0x{data[error.start]:02x} at offset "
            f"{error.start}.",
            "Save it as UTF-8.",
        ) from None
