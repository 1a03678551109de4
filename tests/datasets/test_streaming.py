"""Splits that stay on disk, over real Parquet files small enough to know every row of."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from agiwb.datasets import file_digest, streaming
from agiwb.datasets.dataset import Dataset
from agiwb.datasets.description import SourceDescription
from agiwb.datasets.parquet import load_parquet
from agiwb.datasets.source import Source, say_nothing
from agiwb.datasets.stream_order import groups_mixed
from agiwb.datasets.streaming import StreamedSplit, in_memory
from agiwb.errors import DatasetError

ROWS, GROUP_ROWS = 4000, 100


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 8 * 640)  # 640 rows of two float32
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))


def written(path: Path, group_rows: int = GROUP_ROWS, **columns: Any) -> Path:
    """Write rows sorted by class, whose feature ``number`` is 2 * row + label / 8."""
    row = np.arange(ROWS)
    label = row * 4 // ROWS
    table = {
        "number": 2.0 * row + label / 8,
        "noise": np.random.default_rng(0).normal(size=ROWS),
        "label": np.array(["a", "b", "c", "d"])[label],
        **columns,
    }
    parquet.write_table(pa.table(table), path, row_group_size=group_rows)
    return path


def loaded(path: Path, **options: Any) -> Source:
    description = SourceDescription(name="streamed", path=path, stream="always", **options)
    return load_parquet(description, say_nothing)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return loaded(written(tmp_path / "rows.parquet")).data


def rows_of(split: Any) -> list[int]:
    """Return the rows of a block, sure that each has its own label."""
    numbers = split.features["number"].astype(np.float64)
    assert np.array_equal(numbers % 2 * 8, split.labels)
    return (numbers // 2).astype(int).tolist()


def test_splits_share_out_every_row_with_the_classes_kept(data: Dataset) -> None:
    found = [rows_of(in_memory(split)) for split in data.splits.values()]
    assert sorted(itertools.chain(*found)) == list(range(ROWS))
    assert found == [sorted(rows) for rows in found]
    assert [np.bincount(split.labels).tolist() for split in data.splits.values()] == [
        [650] * 4, [150] * 4, [200] * 4,
    ]  # fmt: skip


def test_an_epoch_has_each_row_once_in_bounded_blocks(data: Dataset) -> None:
    blocks = list(data.train.blocks((0, 0)))
    rows = [row for block in blocks for row in rows_of(block)]
    assert len(blocks) >= 4
    assert max(map(len, blocks)) <= 640
    assert len(rows) == len(data.train) == 2600
    assert sorted(rows) == rows_of(in_memory(data.train))


def test_the_seed_alone_decides_the_order(data: Dataset) -> None:
    def order(*seed: int) -> list[int]:
        return [row for block in data.train.blocks(seed) for row in rows_of(block)]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_batches_of_a_sorted_file_have_all_classes(data: Dataset) -> None:
    order = np.concatenate([block.labels for block in data.train.blocks((0, 0))])
    batches = order[: len(order) // 100 * 100].reshape(-1, 100)
    shares = np.array([np.bincount(batch, minlength=4) / 100 for batch in batches])
    # 40 groups, 20 in a round: within a block a class's share deviates by about 0.07, and 100
    # rows drawn from it by 0.04.
    assert 0.03 < shares.std(axis=0).mean() < 0.12
    assert shares.min() > 0
    # Rows that were neighbours are neighbours no more.
    rows = [row for block in data.train.blocks((0, 0)) for row in rows_of(block)]
    assert np.mean(np.abs(np.diff(rows)) <= 2) < 0.02


def test_few_large_groups_are_told_to_the_user(tmp_path: Path) -> None:
    notes = loaded(written(tmp_path / "one.parquet", group_rows=ROWS)).notes
    assert any("shuffled from 1 groups at a time" in note for note in notes)
    notes = loaded(written(tmp_path / "many.parquet")).notes
    assert not any("groups at a time" in note for note in notes)
    assert any("stay on disk" in note for note in notes)


def test_a_round_has_as_many_small_groups_as_fill_a_block() -> None:
    assert groups_mixed(np.full(10_000, 10), block_rows=1000, readers=32) == 100
    assert groups_mixed(np.full(33, 1000), block_rows=1000, readers=32) == 16


def test_a_sample_is_spread_evenly_and_reads_the_groups_it_needs(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    stored = data.train._stored
    original = stored.read

    def counted(group: int, batch_rows: int) -> Any:
        read.append(group)
        return original(group, batch_rows)

    monkeypatch.setattr(stored, "read", counted)
    rows = rows_of(data.train.sample(4))
    assert len(read) == 4
    assert rows[0] < 100
    assert rows[-1] > ROWS - 100
    assert np.diff(rows).min() > ROWS / 5
    read.clear()
    assert len(data.train.sample(1)) == 1
    assert len(read) == 1
    assert Counter(data.train.sample(100).labels.tolist()) == {0: 25, 1: 25, 2: 25, 3: 25}
    assert len(data.train.sample(10_000)) == 640  # never more than a block


def test_examples_are_taken_in_the_order_asked_for(data: Dataset) -> None:
    everything = rows_of(in_memory(data.test))
    index = np.array([700, 3, 3, 0, 799])
    assert rows_of(data.test.take(index)) == [everything[place] for place in index]
    with pytest.raises(DatasetError, match=r"At most 640 examples .* 2600 were asked for"):
        data.train.take(np.arange(2600))


def test_all_features_at_once_are_refused_in_plain_words(data: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"stay on disk, and this step needs them in memory"):
        _ = data.train.features
    assert data.columns == ("number", "noise")
    assert data.feature_shape == ()
    assert "2600 examples" in repr(data.train)
    assert data.train == data.train
    assert data.train != data.test


def test_the_fingerprint_follows_content_and_splits(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.parquet")
    first = loaded(path).data
    assert first.fingerprint == loaded(path).data.fingerprint
    assert first.train.digest() != first.test.digest()
    assert loaded(path, seed=1).data.fingerprint != first.fingerprint
    assert loaded(path, features=("number",)).data.fingerprint != first.fingerprint
    written(path, noise=np.zeros(ROWS) + np.arange(ROWS) % 2)
    assert loaded(path).data.fingerprint != first.fingerprint


def test_a_file_is_read_for_its_digest_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "rows.parquet")
    an_hour_ago = path.stat().st_mtime - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))
    first = file_digest.digest_of_files([path])

    def refuse(_path: Path) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr(file_digest, "sha256_of_file", refuse)
    assert file_digest.digest_of_files([path]) == first
    os.utime(path, (an_hour_ago + 1, an_hour_ago + 1))
    with pytest.raises(AssertionError, match="read again"):
        file_digest.digest_of_files([path])


def test_a_file_that_changes_while_in_use_is_noticed(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.parquet")
    data = loaded(path).data
    blocks = data.train.blocks((0, 0))
    next(blocks)
    written(path, group_rows=50)
    with pytest.raises(DatasetError, match=r"rows\.parquet has changed since it was loaded"):
        list(data.train.blocks((0, 0)))


def test_slice_columns_come_with_the_rows(tmp_path: Path) -> None:
    half = np.where(np.arange(ROWS) < ROWS // 2, "low", "high")
    data = loaded(written(tmp_path / "rows.parquet", half=half), slices=("half",)).data
    block = next(data.train.blocks((0, 0)))
    rows = np.array(rows_of(block))
    assert np.array_equal(block.slices["half"], np.where(rows < ROWS // 2, "low", "high"))
    assert Counter(data.test.slices["half"].tolist()) == {"low": 400, "high": 400}


def test_what_is_drawn_is_missing_from_the_users_own_split(tmp_path: Path) -> None:
    split = np.where(np.arange(ROWS) % 5 == 0, "test", "train")
    source = loaded(written(tmp_path / "rows.parquet", split=split))
    assert rows_of(in_memory(source.data.test)) == list(range(0, ROWS, 5))
    assert len(source.data.validation) == 480
    assert "There was no validation split: 480 training examples were drawn for it." in source.notes


@pytest.mark.slow
def test_training_batches_are_the_same_bit_for_bit(data: Dataset) -> None:
    from agiwb.training.pipeline import evaluation_batches, training_batches

    def batches(epochs: range) -> list[tuple[Any, Any]]:
        return [
            (inputs["number"].numpy(), labels.numpy())
            for inputs, labels in training_batches(data.train, 64, 0, epochs)
        ]

    first, again = batches(range(2)), batches(range(2))
    assert sum(len(labels) for _, labels in first) == 2 * len(data.train)
    for (inputs, labels), (others, other_labels) in zip(first, again, strict=True):
        assert np.array_equal(inputs, others)
        assert np.array_equal(labels, other_labels)
    evaluated = [inputs["number"].numpy() for inputs, _ in evaluation_batches(data.test)]
    assert np.array_equal(np.concatenate(evaluated), in_memory(data.test).features["number"])


@pytest.mark.slow
def test_a_training_goes_on_with_the_batches_of_the_next_epoch(data: Dataset) -> None:
    from agiwb.training.pipeline import steps_in_epoch, training_batches

    def labels(epochs: range) -> list[list[int]]:
        return [batch[1].numpy().tolist() for batch in training_batches(data.train, 64, 0, epochs)]

    assert len(data.train) % 64
    whole, steps = labels(range(3)), steps_in_epoch(data.train, 64)
    assert len(whole) == 3 * steps
    assert labels(range(1, 3)) == whole[steps:]


@pytest.mark.slow
def test_two_trainings_on_streamed_data_give_equal_weights(data: Dataset) -> None:
    import keras

    from agiwb.models.registry import build_model
    from agiwb.models.specification import ModelSpec, Size
    from agiwb.training.pipeline import training_batches

    def weights() -> list[Any]:
        keras.utils.set_random_seed(0)
        model = build_model("tabular", ModelSpec.of(data, Size(units=8, layers=1)))
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
        batches = training_batches(data.train, 64, 0, range(1))
        model.fit(batches, steps_per_epoch=40, verbose=0, shuffle=False)
        return model.get_weights()

    assert isinstance(data.train, StreamedSplit)
    assert all(np.array_equal(*pair) for pair in zip(weights(), weights(), strict=True))
