"""Recordings in a folder for each class."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.folder import ClassFolders, find_files
from agiwb.datasets.source import Examples, Progress, Source, assemble, require_kind
from agiwb.errors import DatasetError

LONGEST_S = 10.0
"""Longer recordings are cut to this, unless the user gives ``seconds``."""

_FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31, "int64": 2.0**63}


def load_audio(description: SourceDescription, progress: Progress) -> Source:
    """Return the data set in ``class/*.wav``: mono float32 from -1 to 1, ``(samples,)``.

    Channels are averaged. Recordings are padded with silence at the end, or cut there, to
    ``seconds``; by default to the longest of them, at most ten seconds.

    Raises:
        DatasetError: There are no recordings, one cannot be read, or two differ in sample rate;
            the files are named.
    """
    require_kind(description, "audio")
    found = find_files(description.path, frozenset({".wav"}))
    recordings, rate = _read_all(found, description.seconds or LONGEST_S, progress)
    longest = max(len(samples) for samples in recordings)
    seconds = description.seconds or min(longest / rate, LONGEST_S)
    length = max(1, round(seconds * rate))
    features = np.zeros((len(recordings), length), np.float32)
    for row, samples in zip(features, recordings, strict=True):
        row[: len(samples)] = samples[:length]
    cut = sum(len(samples) > length for samples in recordings)
    note = f"{cut} of {len(recordings)} recordings are longer than {seconds:g} s and were cut."
    return assemble(
        description,
        Examples(
            kind="audio",
            features=features,
            labels=found.labels,
            place=found.place,
            own_split=found.own_split,
            scale=1.0,
            sample_rate_hz=rate,
            notes=(*found.notes, *([note] if cut else [])),
        ),
    )


def _read_all(
    found: ClassFolders, most_s: float, progress: Progress
) -> tuple[list[NDArray[np.float32]], int]:
    """Return the recordings and their rate in Hz; of longer ones one sample too many is kept."""
    recordings: list[NDArray[np.float32]] = []
    common_rate = 0
    for index, path in found.each("reading recordings", progress):
        samples, rate = _read(path)
        if index == 0:
            common_rate = rate
        elif rate != common_rate:
            raise DatasetError(
                f"Recordings differ in sample rate: {found.files[0]} has {common_rate} Hz and "
                f"{path} has {rate} Hz.",
                "Resample them to one rate.",
            )
        recordings.append(samples[: round(most_s * rate) + 1].copy())
    return recordings, common_rate


def _read(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return one recording's samples and its rate in Hz."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            rate, samples = wavfile.read(path)
    except Exception as error:  # noqa: BLE001  a broken header makes SciPy raise what it will
        raise _unreadable(path, str(error)) from None
    broken = [str(w.message) for w in heard if "prematurely" in str(w.message)]
    if broken:
        raise _unreadable(path, broken[0])
    if len(samples) == 0 or rate <= 0:
        raise _unreadable(path, "it is empty")
    return _mono(samples), int(rate)


def _mono(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype == np.uint8:  # the one unsigned format, with silence at 128
        values = (samples.astype(np.float32) - 128) / 128
    else:
        values = samples.astype(np.float64) / _FULL_SCALE.get(samples.dtype.name, 1.0)
    mono = values if values.ndim == 1 else values.mean(axis=1)
    return np.clip(np.nan_to_num(mono), -1, 1).astype(np.float32)


def _unreadable(path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"The recording {path} cannot be read: {reason.rstrip('.')}.", "Mend or remove it."
    )
