"""Inspecting HDF5 files: nothing in them may point outside, or unpack to more than there is.

For a fresh process: the HDF5 library is asked for the structure only, never for values, except the
model's description.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agiwb.errors import InputError
from agiwb.importing.limits import FREE_RATIO, HIGHEST_RATIO, LARGEST_CONFIG, LARGEST_TOTAL
from agiwb.importing.refusal import quoted, refused

_MOST_OBJECTS = 200_000
_FILTERS = frozenset({1, 2, 3})
"""HDF5's own: deflate, shuffle, Fletcher32. Any other is a library that HDF5 would look for."""


def inspect_hdf5(path: str) -> dict[str, Any]:
    """Return ``config`` and ``keras_version`` of the HDF5 file ``path``, None where it has none.

    Raises:
        InputError: It is damaged, or it points outside itself.
    """
    import h5py

    file = Path(path)
    try:
        with h5py.File(file, "r", libver="latest", locking=False) as opened:
            _check(opened, file, h5py)
            return {
                "config": _attribute(opened, "model_config", file),
                "keras_version": _attribute(opened, "keras_version", file)
                or _version_of_weights(opened, file),
            }
    except InputError:
        raise
    except Exception:  # noqa: BLE001  a damaged file fails in any way, and where is of no use
        raise refused(file, "it is no HDF5 file, or a damaged one") from None


def _check(opened: Any, file: Path, h5py: Any) -> None:
    waiting, seen, total = [opened], set[Any](), 0
    count = 0
    while waiting:
        group = waiting.pop()
        for name in group:
            count += 1
            if count > _MOST_OBJECTS:
                raise refused(file, f"it holds more than {_MOST_OBJECTS:,} parts")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise refused(file, f"its part {quoted(name)} is in another file")
            if not isinstance(link, h5py.HardLink):
                raise refused(file, f"its part {quoted(name)} is a link")
            part = group[name]
            address = h5py.h5o.get_info(part.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(part, h5py.Group):
                waiting.append(part)
            elif isinstance(part, h5py.Dataset):
                total += _check_dataset(part, name, file)
    if total > LARGEST_TOTAL:
        raise refused(file, f"it would unpack to {total:,} bytes")


def _check_dataset(dataset: Any, name: str, file: Path) -> int:
    """Return a dataset's unpacked bytes."""
    if dataset.is_virtual or dataset.external:
        raise refused(file, f"its part {quoted(name)} is in another file")
    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        if properties.get_filter(index)[0] not in _FILTERS:
            raise refused(file, f"its part {quoted(name)} is packed in an unusual way")
    size, stored = int(dataset.nbytes), max(int(dataset.id.get_storage_size()), 1)
    if size > FREE_RATIO and size / stored > HIGHEST_RATIO:
        raise refused(file, f"its part {quoted(name)} unpacks to {size:,} bytes")
    return size


def _attribute(opened: Any, name: str, file: Path) -> str | None:
    value = opened.attrs.get(name)
    if value is None:
        return None
    text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
    if len(text) > LARGEST_CONFIG:
        raise refused(file, f"its {name} has {len(text):,} characters")
    return text


def _version_of_weights(opened: Any, file: Path) -> str | None:
    weights = opened.get("model_weights")
    return _attribute(weights, "keras_version", file) if weights is not None else None
