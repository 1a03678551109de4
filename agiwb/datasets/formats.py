"""The formats data may come in: where each is read, what tells it, and which options it takes."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agiwb.datasets.description import Format, SourceDescription
from agiwb.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    from agiwb.datasets.source import Progress, Source

_TABLE = frozenset(
    {"label", "features", "text", "user", "item", "negatives", "split", "slices"}
)  # fmt: skip
_ALWAYS = frozenset({"name", "path", "format", "task", "kind", "classes", "seed"})
_SNIFFED_FILES = 1000
_SHARD = re.compile(r"-\d+-of-\d+$")


@dataclass(frozen=True)
class FormatEntry:
    """Where a format is read (``module:function``), the suffixes that tell it, and its options."""

    loader: str
    suffixes: frozenset[str]
    place: Literal["file", "folder", "file or folder"] = "file"
    options: frozenset[str] = frozenset()

    def fits(self, path: Path) -> bool:
        """Return whether the format can be what is at ``path``: a file, or a folder."""
        return ("folder" if path.is_dir() else "file") in self.place


FORMATS: dict[Format, FormatEntry] = {
    "npz": FormatEntry("npz:load_npz", frozenset({".npz"})),
    "csv": FormatEntry("delimited:load_csv", frozenset({".csv"}), options=_TABLE),
    "tsv": FormatEntry("delimited:load_tsv", frozenset({".tsv"}), options=_TABLE),
    "jsonl": FormatEntry(
        "json_lines:load_json_lines", frozenset({".jsonl", ".ndjson"}), options=_TABLE
    ),
    "parquet": FormatEntry(
        "parquet:load_parquet",
        frozenset({".parquet", ".pq"}),
        place="file or folder",
        options=_TABLE | {"stream"},
    ),
    "tfrecord": FormatEntry(
        "tfrecord:load_tfrecord",
        frozenset({".tfrecord", ".tfrecords", ".tfrec"}),
        place="file or folder",
        options=_TABLE | {"stream", "feature_spec"},
    ),
    "images": FormatEntry(
        "image_folder:load_images",
        frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif"}),
        place="folder",
        options=frozenset({"image_size"}),
    ),
    "audio": FormatEntry(
        "audio_folder:load_audio",
        frozenset({".wav"}),
        place="folder",
        options=frozenset({"seconds"}),
    ),
    "texts": FormatEntry("text_folder:load_texts", frozenset({".txt"}), place="folder"),
}


def is_data_file(reference: str) -> bool:
    """Return whether ``reference`` ends as the files of a format do."""
    suffix = _suffix(Path(reference))
    return any(suffix in entry.suffixes for entry in FORMATS.values() if "file" in entry.place)


def load_source(description: SourceDescription, progress: Progress) -> Source:
    """Return what a source holds.

    Raises:
        DatasetError: There is no such file or folder, or its content cannot be used.
        ConfigError: An option means nothing to the format.
    """
    name = format_of(description)
    entry = FORMATS[name]
    idle = description.model_fields_set - entry.options - _ALWAYS
    for option in sorted(idle):
        if getattr(description, option) != type(description).model_fields[option].default:
            takers = [name for name, other in FORMATS.items() if option in other.options]
            raise ConfigError(
                f"`{option}` means nothing to {description.path}, whose format is {name}.",
                f"It is for {', '.join(takers)}. Leave it away.",
            )
    module, _, function = entry.loader.partition(":")
    loader: Callable[[SourceDescription, Progress], Source] = getattr(
        importlib.import_module(f"agiwb.datasets.{module}"), function
    )
    return loader(description, progress)


def format_of(description: SourceDescription) -> Format:
    """Return the format the user gave, or that the suffixes tell.

    Raises:
        DatasetError: There is nothing at the path, or its format cannot be told.
    """
    path, given = description.path, description.format
    require_existing(path)
    if given is not None:
        if not FORMATS[given].fits(path):
            raise DatasetError(
                f"The format {given} is a {FORMATS[given].place}, and {path} is not.",
                "Check `path` and `format`.",
            )
        return given
    suffixes = _suffixes_below(path) if path.is_dir() else Counter([_suffix(path)])
    fitting: Counter[Format] = Counter()
    for name, entry in FORMATS.items():
        if entry.fits(path):
            fitting[name] = sum(suffixes[suffix] for suffix in entry.suffixes)
    found = [name for name, count in fitting.items() if count]
    if len(found) == 1:
        return found[0]
    if found:
        held = " and ".join(f"{fitting[name]} {name}" for name in found)
        raise DatasetError(f"The folder {path} holds {held}.", "Say which with `format`.")
    what = "folder" if path.is_dir() else "file"
    known = sorted(s for e in FORMATS.values() if e.fits(path) for s in e.suffixes)
    raise DatasetError(
        f"The {what} {path} is of no known format.",
        f"Known suffixes: {', '.join(known)}"
        + (", in a folder for each class." if path.is_dir() else "; or say which with `format`."),
    )


def require_existing(path: Path) -> None:
    """Raise DatasetError if there is nothing at ``path``."""
    if not path.exists():
        what = "file" if path.suffix else "file or folder"
        raise DatasetError(f"There is no {what} {path}.", "Check the path.")


def _suffixes_below(folder: Path) -> Counter[str]:
    """Count the suffixes of the first files below a folder, which are enough to tell."""
    return Counter(_suffix(path) for path in _first_files(folder))


def _suffix(path: Path) -> str:
    """Return the suffix that tells the format: ``.tfrecord`` of ``x.tfrecord-0-of-2.gz`` too."""
    sharded = _SHARD.sub("", path.name.lower())
    return Path(sharded.removesuffix(".gz")).suffix


def _first_files(folder: Path) -> Iterator[Path]:
    seen = 0
    for path in folder.rglob("*"):
        if path.is_file():
            yield path
            seen += 1
        if seen == _SNIFFED_FILES:
            return
