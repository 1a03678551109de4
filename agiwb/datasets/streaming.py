"""Data larger than memory: a split whose examples stay on disk and come in blocks.

What stays in memory: 9 bytes a row for the label and the split it is in (for multilabel 4 bytes a
label), one or two for each slice column, a block or two, and what the files' readers hold, which is
bounded as the block is. Row numbers of a split, 8 bytes each, come and go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Split
from agiwb.datasets.file_digest import digest_of_files
from agiwb.datasets.stream_order import (
    Piece,
    Round,
    Sizes,
    groups_mixed,
    rounds_in_order,
    shuffled_rounds,
)
from agiwb.errors import DatasetError

BLOCK_BYTES = 32 << 20
"""Size of a block. While one is consumed the next is made, and the readers hold another's worth."""

_SAMPLED_GROUPS = 32

Features = NDArray[Any]


class StoredRows(Protocol):
    """Rows on disk, in groups each of which is read from its beginning.

    Attributes:
        files: The files, sorted.
        sizes: Rows of each group.
        readers: How many groups may be read at once with bounded memory.
        example: One row's features as ``Split`` has them: shape ``(1, ...)``.
        row_bytes: Memory that a row's features take, roughly.
        about: Decides, together with the bytes of the files, what is read.
    """

    files: tuple[Path, ...]
    sizes: Sizes
    readers: int
    example: Features
    row_bytes: int
    about: str

    def read(self, group: int, batch_rows: int) -> Iterator[Features]:
        """Yield the features of a group from front to back, about ``batch_rows`` at a time.

        Raises:
            DatasetError: They cannot be read, or a value does not fit; file and row are named.
        """
        ...


@dataclass(frozen=True)
class InMemory:
    """What is kept of every row in memory.

    Attributes:
        labels: As in ``Split.labels``, for the rows of all splits.
        owner: uint8 ``(rows,)``, the number of the split that a row is in.
        slices: For each slice column the names of its values, and the value of each row.
    """

    labels: NDArray[Any]
    owner: NDArray[np.uint8]
    slices: dict[str, tuple[NDArray[np.str_], NDArray[Any]]] = field(default_factory=dict)

    def slices_of(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the slice columns of ``rows``, as in ``Split.slices``."""
        return {name: names[codes[rows]] for name, (names, codes) in self.slices.items()}


class StreamedSplit(Split):
    """Examples that stay on disk; ``blocks``, ``sample`` and ``take`` bring some into memory.

    Attributes:
        block_rows: The most examples that are brought into memory at once.
    """

    def __init__(self, stored: StoredRows, kept: InMemory, number: int) -> None:
        self._stored = stored
        self._kept = kept
        self._number = number
        self._starts = np.concatenate([[0], np.cumsum(stored.sizes)])
        self.block_rows = max(1, BLOCK_BYTES // max(1, stored.row_bytes))
        own = [len(self._own_rows(group)) for group in range(len(stored.sizes))]
        self._groups = np.flatnonzero(own)
        self._count = sum(own)

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"StreamedSplit({self._count} examples in {len(self._stored.files)} files)"

    def __len__(self) -> int:
        return self._count

    @property
    def features(self) -> Features:
        """Raise DatasetError: they are larger than memory."""
        size = self._count * self._stored.row_bytes / 1e9
        raise DatasetError(
            f"The examples of {self._stored.files[0]} (about {size:.1f} GB) stay on disk, and "
            "this step needs them in memory.",
            "Give it a sample of the data, or a file that fits: `stream: never` reads all of it.",
        )

    @property
    def labels(self) -> NDArray[Any]:
        """The labels of all examples, which are in memory: see ``Split.labels``."""
        labels: NDArray[Any] = self._kept.labels[self._kept.owner == self._number]
        return labels

    @property
    def slices(self) -> dict[str, NDArray[Any]]:
        """Columns to slice metrics by; see ``Split.slices``."""
        return self._kept.slices_of(self._all_rows())

    def take(self, index: NDArray[np.intp]) -> Split:
        """Return the examples at ``index``, in that order.

        Raises:
            DatasetError: These are more than a block of them.
        """
        if len(index) > self.block_rows:
            raise DatasetError(
                f"At most {self.block_rows} examples of {self._stored.files[0]} fit into a "
                f"block of memory; {len(index)} were asked for.",
                "Take fewer at a time, or go through the blocks.",
            )
        ordered, position = np.unique(self._all_rows()[index], return_inverse=True)
        return self._read_rows(ordered).take(position)

    def sample(self, count: int) -> Split:
        """Return at most ``count`` examples, and at most a block, spread evenly over the split.

        They come from at most 32 groups, which are spread evenly themselves.
        """
        groups = self._groups
        if len(groups) > _SAMPLED_GROUPS:
            groups = groups[np.linspace(0, len(groups) - 1, _SAMPLED_GROUPS).round().astype(int)]
        rows = np.concatenate(
            [self._starts[group] + self._own_rows(group) for group in groups.tolist()]
        )
        count = min(count, self.block_rows, len(rows))
        return self._read_rows(rows[np.linspace(0, len(rows) - 1, count).round().astype(int)])

    def blocks(self, seed: tuple[int, ...] | None = None) -> Iterator[Split]:
        """Yield all examples in pieces that fit into memory, shuffled if there is a seed.

        ``stream_order`` says how well.
        """
        groups, sizes = self._groups.tolist(), self._stored.sizes
        if seed is None:
            for each in rounds_in_order(sizes, groups, self.block_rows):
                yield from self._blocks_of(each, None)
            return
        generator = np.random.default_rng(seed)
        readers = self._stored.readers
        for each in shuffled_rounds(sizes, groups, self.block_rows, readers, generator):
            yield from self._blocks_of(each, generator)

    def groups_mixed(self) -> tuple[int, int]:
        """Return how many groups the rows of a shuffled block come from, and the largest's rows."""
        sizes = self._stored.sizes
        return groups_mixed(sizes, self.block_rows, self._stored.readers), int(sizes.max())

    def digest(self) -> str:
        """Return the SHA-256 of the files' bytes, of how they are read, and of which rows."""
        digest = hashlib.sha256(digest_of_files(self._stored.files).encode())
        digest.update(self._stored.about.encode())
        digest.update(np.packbits(self._kept.owner == self._number).tobytes())
        return digest.hexdigest()

    def _all_rows(self) -> NDArray[np.int64]:
        """Return the rows of this split, counted over all files."""
        return np.flatnonzero(self._kept.owner == self._number)

    def _own_rows(self, group: int, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Return which rows of a group's part are in this split, counted from its first."""
        first = int(self._starts[group])
        last = int(self._starts[group + 1]) if stop is None else first + stop
        return np.flatnonzero(self._kept.owner[first + start : last] == self._number)

    def _blocks_of(self, each: Round, generator: np.random.Generator | None) -> Iterator[Split]:
        batch_rows = max(1, self.block_rows // len(each.groups))
        readers = {group: _Reader(self._stored.read(group, batch_rows)) for group in each.groups}
        for pieces in each.pieces():
            block = self._block(pieces, readers, generator)
            if len(block):
                yield block

    def _block(
        self,
        pieces: list[Piece],
        readers: dict[int, _Reader],
        generator: np.random.Generator | None,
    ) -> Split:
        """Return the own rows of ``pieces``, put into their shuffled places as they are read."""
        owns = [self._own_rows(piece.group, piece.start, piece.stop) for piece in pieces]
        count = sum(len(own) for own in owns)
        places = np.arange(count) if generator is None else generator.permutation(count)
        features = _empty_like(self._stored.example, count)
        rows = np.empty(count, np.int64)
        done = 0
        for piece, own in zip(pieces, owns, strict=True):
            first = self._starts[piece.group] + piece.start
            rows[places[done : done + len(own)]] = first + own
            start = 0
            for part in readers[piece.group].next_rows(piece.stop - piece.start):
                inside = own[(own >= start) & (own < start + len(part))] - start
                features[places[done : done + len(inside)]] = part[inside]
                done, start = done + len(inside), start + len(part)
        return Split(features, self._kept.labels[rows], self._kept.slices_of(rows))

    def _read_rows(self, rows: NDArray[np.int64]) -> Split:
        """Return rows, counted over all files and ascending, reading only the groups they are in.

        A group is read up to the last of its rows.
        """
        features = _empty_like(self._stored.example, len(rows))
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups):
            places = np.flatnonzero(groups == group)
            wanted = rows[places] - self._starts[group]
            reader = _Reader(self._stored.read(int(group), min(self.block_rows, 4096)))
            start = 0
            for part in reader.next_rows(int(wanted[-1]) + 1):
                inside = (wanted >= start) & (wanted < start + len(part))
                features[places[inside]] = part[wanted[inside] - start]
                start += len(part)
            reader.close()
        return Split(features, self._kept.labels[rows], self._kept.slices_of(rows))


def in_memory(split: Split) -> Split:
    """Return all examples of a split as one that is in memory."""
    blocks = list(split.blocks())
    return Split(
        np.concatenate([block.features for block in blocks]),
        np.concatenate([block.labels for block in blocks]),
        {
            name: np.concatenate([block.slices[name] for block in blocks])
            for name in blocks[0].slices
        },
    )


class _Reader:
    """One group being read: hands out its next rows, however its batches are cut."""

    def __init__(self, batches: Iterator[Features]) -> None:
        self._batches = batches
        self._rest: Features | None = None

    def next_rows(self, count: int) -> Iterator[Features]:
        while count:
            batch = next(self._batches, None) if self._rest is None else self._rest
            if batch is None:
                raise DatasetError(
                    f"{count} rows have vanished since the data set was loaded.",
                    "Leave the files as they are while they are used.",
                )
            part = batch[:count]
            self._rest = batch[count:] if len(batch) > count else None
            count -= len(part)
            yield part

    def close(self) -> None:
        getattr(self._batches, "close", lambda: None)()


def _empty_like(example: Features, count: int) -> Features:
    return np.empty((count, *example.shape[1:]), example.dtype)
