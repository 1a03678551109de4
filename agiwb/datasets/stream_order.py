"""In which order rows on disk are read, so that memory is bounded and neighbours are parted.

Rows on disk come in groups (row groups of Parquet, runs of records of TFRecord) that can only be
read from their beginning. A shuffled pass puts the groups into a random order, deals them into
rounds, and reads the groups of a round side by side: each block takes the same share of each of
them, and is shuffled in memory.

How well that shuffles: a block is a sample of clusters. Where the file is sorted by class and a
round has ``k`` of ``g`` groups, a class with share ``p`` has in a block a share that deviates from
``p`` by about ``sqrt(p (1 - p) / k * (g - k) / (g - 1))`` (Cochran 1977, Sampling Techniques,
chapter 9), and by next to nothing if a round has all groups. A file with a single group too large
for a block is the one case that stays as sorted as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sizes = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Rows ``start`` to ``stop`` of a group, ``stop`` not being one of them."""

    group: int
    start: int
    stop: int


@dataclass(frozen=True)
class Round:
    """Groups that are read side by side, with the number of rows of each."""

    groups: tuple[int, ...]
    sizes: tuple[int, ...]
    blocks: int

    def pieces(self) -> Iterator[list[Piece]]:
        """Yield the pieces of each block: the same share of every group, from front to back."""
        for block in range(self.blocks):
            yield [
                Piece(group, size * block // self.blocks, size * (block + 1) // self.blocks)
                for group, size in zip(self.groups, self.sizes, strict=True)
            ]


def rounds_in_order(sizes: Sizes, groups: list[int], block_rows: int) -> Iterator[Round]:
    """Yield ``groups`` in their order: small ones together, a large one in several blocks."""
    waiting: list[int] = []
    for group in groups:
        if waiting and sizes[[*waiting, group]].sum() > block_rows:
            yield _round(sizes, waiting, block_rows)
            waiting = []
        waiting.append(group)
    if waiting:
        yield _round(sizes, waiting, block_rows)


def shuffled_rounds(
    sizes: Sizes,
    groups: list[int],
    block_rows: int,
    readers: int,
    generator: np.random.Generator,
) -> Iterator[Round]:
    """Yield ``groups`` in random order, in rounds of nearly equal length.

    Args:
        sizes: Rows of every group.
        groups: The groups to read.
        block_rows: Most rows of a block.
        readers: How many large groups may be read at once; of small ones a round has as many as
            fill a block.
        generator: Decides the order.
    """
    order = generator.permutation(groups)
    total = int(sizes[order].sum())
    count = max(1, min(math.ceil(len(order) / readers), math.ceil(total / block_rows)))
    for part in np.array_split(order, count):
        if len(part):
            yield _round(sizes, part.tolist(), block_rows)


def groups_mixed(sizes: Sizes, block_rows: int, readers: int) -> int:
    """Return how many groups the rows of a shuffled block come from."""
    rounds = shuffled_rounds(
        sizes, list(range(len(sizes))), block_rows, readers, np.random.default_rng(0)
    )
    return min(len(each.groups) for each in rounds)


def _round(sizes: Sizes, groups: list[int], block_rows: int) -> Round:
    own = tuple(int(sizes[group]) for group in groups)
    return Round(tuple(groups), own, max(1, math.ceil(sum(own) / block_rows)))
