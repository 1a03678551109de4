"""TFRecord files, written by TensorFlow itself: plain and GZIP, in memory and streamed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.datasets.description import SourceDescription, Streaming
from agiwb.datasets.formats import is_data_file
from agiwb.datasets.source import Source, say_nothing
from agiwb.datasets.streaming import StreamedSplit, in_memory
from agiwb.datasets.tfrecord import load_tfrecord
from agiwb.errors import DatasetError

pytestmark = pytest.mark.slow

RECORDS = 300


@pytest.fixture(autouse=True)
def _own_workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGIWB_WORKSPACE", str(tmp_path / "workspace"))


def feature(value: Any) -> Any:
    import tensorflow as tf

    if isinstance(value, (bytes, str)):
        data = value if isinstance(value, bytes) else value.encode()
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))
    values = np.atleast_1d(value).ravel()
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def written(path: Path, rows: list[dict[str, Any]], compression: str = "") -> Path:
    from agiwb.tensorflow_quietly import import_tensorflow

    tf = import_tensorflow()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            features = {name: feature(value) for name, value in row.items()}
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def loaded(path: Path, stream: Streaming = "auto", spec: Any = None, **options: Any) -> Source:
    description = SourceDescription(
        name="data", path=path, stream=stream, feature_spec=spec, **options
    )
    return load_tfrecord(description, say_nothing)


def people(seed: int = 0, count: int = RECORDS) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    return [
        {
            "age": float(generator.normal(40, 10)),
            "town": str(generator.choice(["Rome", "Bonn", "Zürich"])),
            "visits": int(generator.integers(0, 1000)),
            "label": "yes" if number % 3 else "no",
        }
        for number in range(count)
    ]


def points(count: int = RECORDS) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    return [{"x": generator.normal(size=(4, 3)), "y": number % 2} for number in range(count)]


def png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_of_single_values_are_a_table(tmp_path: Path, compression: str) -> None:
    for number, split in enumerate(("train", "validation", "test")):
        written(tmp_path / "data" / split / "a.tfrecord", people(number), compression)
    streamed, whole = loaded(tmp_path / "data", "always").data, loaded(tmp_path / "data").data
    assert isinstance(streamed.train, StreamedSplit)
    assert (whole.kind, whole.task, whole.classes) == ("table", "binary", ("no", "yes"))
    assert set(whole.columns) == {"age", "town", "visits"}
    for name, split in streamed.splits.items():
        assert in_memory(split).digest() == whole[name].digest()
    ages = np.array([row["age"] for row in people(2)], np.float32)
    assert np.array_equal(whole.test.features["age"], ages)
    assert whole.test.slices["town"].tolist() == [row["town"] for row in people(2)]


@pytest.mark.parametrize("stream", ["always", "never"])
def test_arrays_have_the_shape_that_the_user_says(tmp_path: Path, stream: Streaming) -> None:
    spec = tmp_path / "features.json"
    spec.write_text(json.dumps({"x": {"dtype": "float", "shape": [4, 3]}, "y": {"dtype": "int"}}))
    path = written(tmp_path / "data.tfrecord", points())
    data = loaded(path, stream, spec, kind="sequence").data
    assert (data.kind, data.feature_shape, data.task) == ("sequence", (4, 3), "binary")
    found = np.concatenate([in_memory(split).features for split in data.splits.values()])
    expected = np.array([row["x"] for row in points()], np.float32)
    assert sorted(found[:, 3, 2]) == sorted(expected[:, 3, 2])
    flat = loaded(path, stream).data
    assert (flat.kind, flat.feature_shape) == ("array", (12,))


@pytest.mark.parametrize("stream", ["always", "never"])
def test_images_are_decoded(tmp_path: Path, stream: Streaming) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (RECORDS, 6, 5), dtype=np.uint8)
    rows = [{"picture": png(one), "label": int(n % 2)} for n, one in enumerate(pixels)]
    path = written(tmp_path / "data.tfrecord", rows)
    data = loaded(path, stream).data
    assert (data.kind, data.feature_shape, data.scale) == ("image", (6, 5), 255.0)
    found = np.concatenate([in_memory(split).features for split in data.splits.values()])
    assert sorted(found.sum(axis=(1, 2))) == sorted(pixels.sum(axis=(1, 2)))
    assert loaded(path, stream, image_size=(3, 4)).data.feature_shape == (3, 4)
    odd = png(generator.integers(0, 256, (7, 5), dtype=np.uint8))
    written(path, [*rows[:200], {"picture": odd, "label": 0}, *rows[200:]])
    with pytest.raises(DatasetError, match=r"record 201, the image is 7 x 5 pixels, and others"):
        [in_memory(split) for split in loaded(path, stream).data.splits.values()]


def test_an_epoch_of_a_sorted_file_is_shuffled_and_complete(tmp_path: Path) -> None:
    rows = [{"x": np.full(300, number / 8), "y": number // 2500} for number in range(5000)]
    data = loaded(written(tmp_path / "data.tfrecord", rows), "always").data
    blocks = list(data.train.blocks((0, 0)))
    numbers = np.concatenate([block.features[:, 0] for block in blocks]) * 8
    assert sorted(numbers) == sorted(in_memory(data.train).features[:, 0] * 8)
    labels = np.concatenate([block.labels for block in blocks])
    assert np.array_equal(labels, numbers // 2500)
    assert 0.2 < labels[:100].mean() < 0.8
    assert len(data.train._stored.sizes) > 3  # groups of about a megabyte


def damaged(path: Path, change: str) -> None:
    data = bytearray(path.read_bytes())
    size = len(data) // RECORDS
    if change == "flip":
        data[150 * size + size // 2] ^= 1
    elif change == "cut":
        del data[-5:]
    elif change == "cut in the framing":
        del data[-size + 6 :]
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("change", "record"), [("flip", 151), ("cut", 300), ("cut in the framing", 300)]
)
def test_a_corrupt_record_is_named(tmp_path: Path, change: str, record: int) -> None:
    rows = [{"x": np.zeros(4), "y": number % 2} for number in range(RECORDS)]
    path = written(tmp_path / "data.tfrecord", rows)
    assert path.stat().st_size % RECORDS == 0
    damaged(path, change)
    for stream in ("always", "never"):
        with pytest.raises(DatasetError, match=rf"data\.tfrecord, record {record} cannot be read"):
            loaded(path, stream)  # type: ignore[arg-type]


def test_a_corrupt_gzip_file_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "data.tfrecord", points(), "GZIP")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DatasetError, match=r"data\.tfrecord, record \d+ cannot be read"):
        loaded(path)
    path.write_bytes(b"this is no TFRecord at all, although it is called so")
    with pytest.raises(DatasetError, match=r"data\.tfrecord, record 1 cannot be read"):
        loaded(path)
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match="has no records"):
        loaded(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"y": 1}, "record 201, the feature `x` is missing"),
        ({"x": np.zeros(3), "y": 1}, r"record 201, the feature `x` is not float32 of shape"),
        ({"x": "text", "y": 1}, "record 201, the feature `x` is not float32"),
        ({"x": np.full(12, np.nan), "y": 1}, "record 201, the feature `x` holds NaN"),
        ({"x": np.zeros(12)}, "record 201, the feature `y` is missing"),
        ({"x": np.zeros(12), "y": 0.5}, "record 201, the feature `y` is not int64"),
    ],
)
def test_a_record_that_does_not_fit_is_named(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    rows = points()
    path = written(tmp_path / "data.tfrecord", [*rows[:200], row, *rows[200:]])
    with pytest.raises(DatasetError, match=message):
        [in_memory(split) for split in loaded(path, "always").data.splits.values()]


def test_what_cannot_be_used_is_left_out_or_refused(tmp_path: Path) -> None:
    rows = [{**row, "ids": np.arange(n % 3 + 1), "raw": b"\xff\x00"}
            for n, row in enumerate(people())]  # fmt: skip
    source = loaded(written(tmp_path / "data.tfrecord", rows))
    assert "The feature `ids` is left out: its length varies." in source.notes
    assert any("`raw` is left out: its bytes are neither an image" in n for n in source.notes)
    gaps = [{name: row[name] for name in row if name != "age" or n % 4} for n, row in
            enumerate(people())]  # fmt: skip
    data = loaded(written(tmp_path / "data.tfrecord", gaps)).data
    found = np.concatenate([split.features["age"] for split in data.splits.values()])
    assert np.isnan(found).sum() == 75
    spec = tmp_path / "features.yaml"
    spec.write_text("age: {dtype: double}")
    with pytest.raises(DatasetError, match=r"features\.yaml, `age.dtype` does not fit"):
        loaded(tmp_path / "data.tfrecord", spec=spec)


def test_the_names_that_tfrecord_files_have() -> None:
    names = ("a.tfrecord", "a.tfrecords", "a.tfrecord.gz", "train.tfrecord-00000-of-00010")
    assert all(is_data_file(name) for name in names)
    assert not is_data_file("a.txt")
