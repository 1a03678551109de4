"""Images, recordings and texts in a folder for each class."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from agiwb.datasets.description import SourceDescription
from agiwb.datasets.formats import load_source
from agiwb.datasets.registry import load_dataset
from agiwb.datasets.source import Source, say_nothing
from agiwb.errors import CancelledError, DatasetError

RATE = 8000


def read(path: Path, **options: Any) -> Source:
    return load_source(SourceDescription(name="data", path=path, **options), say_nothing)


def images(root: Path, shape: tuple[int, ...] = (6, 4), each: int = 10) -> Path:
    rng = np.random.default_rng(0)
    for name, low in (("cats", 0), ("dogs", 128)):
        (root / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(low, low + 128, shape).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root


def tones(root: Path, seconds: float = 0.1, each: int = 10, rate: int = RATE) -> Path:
    time = np.arange(int(rate * seconds)) / rate
    for name, pitch in (("high", 900), ("low", 200)):
        (root / name).mkdir(parents=True)
        for number in range(each):
            wavfile.write(
                root / name / f"{number:02}.wav", rate,
                (np.sin(2 * np.pi * (pitch + number) * time) * 2**14).astype(np.int16),
            )  # fmt: skip
    return root


def texts(root: Path, each: int = 10) -> Path:
    for name in ("spam", "ham"):
        (root / name).mkdir(parents=True)
        for number in range(each):
            (root / name / f"{number:02}.txt").write_text(f"schöner {name} {number}", "utf-8")
    return root


def test_grey_images_are_read_as_they_are(tmp_path: Path) -> None:
    root = images(tmp_path / "pets")
    data = load_dataset(str(root))
    assert (data.name, data.kind, data.task) == ("pets", "image", "binary")
    assert (data.classes, data.feature_shape, data.scale) == (("cats", "dogs"), (6, 4), 255)
    assert data.train.features.dtype == np.float32
    for part in data.splits.values():
        assert np.array_equal(part.features.max(axis=(1, 2)) >= 128, part.labels == 1)
    with Image.open(root / "cats" / "03.png") as image:
        pixels = np.asarray(image)
    everything = np.concatenate([part.features for part in data.splits.values()])
    assert (everything == pixels).all(axis=(1, 2)).sum() == 1


def test_colours_win_over_grey_and_every_suffix_is_read(tmp_path: Path) -> None:
    root = images(tmp_path / "pets", (6, 4, 3))
    for suffix in ("bmp", "gif", "jpg", "JPEG"):
        Image.new("L", (4, 6), 200).save(root / "cats" / f"grey.{suffix}")
    Image.new("RGBA", (4, 6), (10, 20, 30, 40)).save(root / "dogs" / "clear.png")
    (root / "dogs" / "notes.md").write_text("not an image")
    (root / "dogs" / ".hidden.png").write_bytes(b"")
    data = read(root).data
    assert data.feature_shape == (6, 4, 3)
    assert sum(len(part) for part in data.splits.values()) == 25
    everything = np.concatenate([part.features for part in data.splits.values()])
    assert (everything == (10, 20, 30)).all(axis=(1, 2, 3)).sum() == 1
    assert (np.abs(everything - 200) < 3).all(axis=(1, 2, 3)).sum() == 4


def test_deep_grey_is_brought_to_eight_bits(tmp_path: Path) -> None:
    root = images(tmp_path / "pets")
    Image.fromarray(np.full((6, 4), 65535, np.uint16)).save(root / "cats" / "00.png")
    everything = [part.features for part in read(root).data.splits.values()]
    assert (np.concatenate(everything) == 255).all(axis=(1, 2)).sum() == 1


def test_images_of_two_sizes_are_refused_by_name_or_resized(tmp_path: Path) -> None:
    root = images(tmp_path / "pets")
    Image.new("L", (9, 5)).save(root / "dogs" / "05.png")
    with pytest.raises(DatasetError) as error:
        read(root)
    assert f"{root / 'cats' / '00.png'} is 6 x 4" in str(error.value)
    assert f"{root / 'dogs' / '05.png'} is 5 x 9" in str(error.value)
    assert read(root, image_size=(3, 8)).data.feature_shape == (3, 8)


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | str) -> None:
    root = images(tmp_path / "pets", (60, 40))
    path = root / "dogs" / "04.png"
    path.write_bytes(path.read_bytes()[:200] if isinstance(content, str) else content)
    with pytest.raises(DatasetError, match=r"The image .*dogs/04\.png cannot be read"):
        read(root)


def test_folders_of_splits_are_respected(tmp_path: Path) -> None:
    images(tmp_path / "pets" / "train")
    images(tmp_path / "pets" / "test", each=2)
    images(tmp_path / "pets" / "drafts", each=2)
    source = read(tmp_path / "pets")
    sizes = {name: len(part) for name, part in source.data.splits.items()}
    assert sizes == {"train": 17, "validation": 3, "test": 4}
    assert any("drafts is left out" in note for note in source.notes)
    images(tmp_path / "pets" / "val", each=3)
    assert len(read(tmp_path / "pets").data.validation) == 6
    (tmp_path / "pets" / "test" / "dogs").rename(tmp_path / "pets" / "test" / "wolves")
    with pytest.raises(DatasetError, match=r"wolves/00\.png, the label `wolves` is none of the 2"):
        read(tmp_path / "pets")


def test_what_lies_in_no_class_is_left_out_and_said(tmp_path: Path) -> None:
    root = images(tmp_path / "pets")
    Image.new("L", (1, 1)).save(root / "cover.png")
    (root / "empty").mkdir()
    notes = " ".join(read(root).notes)
    assert "cover.png are left out" in notes
    assert "empty is left out" in notes


def test_a_folder_that_tells_no_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty is of no known format"):
        read(tmp_path / "empty")
    images(tmp_path / "mixed")
    (tmp_path / "mixed" / "cats" / "a.txt").write_text("a cat")
    with pytest.raises(DatasetError, match="holds 20 images and 1 texts"):
        read(tmp_path / "mixed")
    assert read(tmp_path / "mixed", format="images").data.kind == "image"
    with pytest.raises(DatasetError, match="format csv is a file"):
        read(tmp_path / "mixed", format="csv")
    loose = tmp_path / "loose"
    loose.mkdir()
    Image.new("L", (1, 1)).save(loose / "a.png")
    with pytest.raises(DatasetError, match="has no class folders with"):
        read(loose)


def test_recordings_are_mono_from_minus_one_to_one(tmp_path: Path) -> None:
    data = read(tones(tmp_path / "tones")).data
    assert (data.kind, data.sample_rate_hz, data.feature_shape) == ("audio", RATE, (800,))
    assert data.train.features.dtype == np.float32
    assert data.train.features.max() == pytest.approx(0.5, abs=0.01)
    crossings = (np.diff(np.sign(data.test.features), axis=1) != 0).sum(axis=1)
    assert np.array_equal(crossings < 80, data.test.labels == data.classes.index("low"))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_every_sample_format_means_the_same(tmp_path: Path, dtype: str) -> None:
    root = tones(tmp_path / "tones")
    half = {"uint8": 192, "int16": 2**14, "int32": 2**30, "float32": 0.5}[dtype]
    silence = 128 if dtype == "uint8" else 0
    both = np.array([[half, silence]] * 800, dtype)  # half on the left, silence on the right
    wavfile.write(root / "low" / "both.wav", RATE, both)
    everything = np.concatenate([part.features for part in read(root).data.splits.values()])
    assert (everything == 0.25).all(axis=1).sum() == 1


def test_samples_of_24_bits_are_read(tmp_path: Path) -> None:
    root = tones(tmp_path / "tones")
    with wave.open(str(root / "low" / "deep.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(RATE)
        file.writeframes(b"\x00\x00\x40" * 800)
    everything = np.concatenate([part.features for part in read(root).data.splits.values()])
    assert (everything == 0.5).all(axis=1).sum() == 1


def test_recordings_are_padded_and_cut(tmp_path: Path) -> None:
    root = tones(tmp_path / "tones")
    wavfile.write(root / "low" / "long.wav", RATE, np.full(2000, 2**14, np.int16))
    data = read(root).data
    assert data.feature_shape == (2000,)
    assert sorted((part.features[:, 900:] == 0).all(axis=1).sum() for part in data.splits.values())
    short = read(root, seconds=0.05)
    assert short.data.feature_shape == (400,)
    assert short.notes == ("21 of 21 recordings are longer than 0.05 s and were cut.",)
    assert read(root, seconds=1).data.feature_shape == (RATE,)


def test_by_default_ten_seconds_are_kept(tmp_path: Path) -> None:
    root = tones(tmp_path / "tones", rate=100)
    wavfile.write(root / "low" / "long.wav", 100, np.ones(5000, np.int16))
    source = read(root)
    assert source.data.feature_shape == (1000,)
    assert source.notes == ("1 of 21 recordings are longer than 10 s and were cut.",)


def test_two_sample_rates_are_refused_by_name(tmp_path: Path) -> None:
    root = tones(tmp_path / "tones")
    wavfile.write(root / "low" / "05.wav", 2 * RATE, np.zeros(800, np.int16))
    message = r"high/00\.wav has 8000 Hz and .*low/05\.wav has 16000 Hz"
    with pytest.raises(DatasetError, match=message):
        read(root)


@pytest.mark.parametrize("length", [0, 10, 30, 44, 500])
def test_a_broken_recording_is_named(tmp_path: Path, length: int) -> None:
    path = tones(tmp_path / "tones") / "low" / "03.wav"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DatasetError, match=r"The recording .*low/03\.wav cannot be read"):
        read(tmp_path / "tones")


def test_texts_are_read_and_bad_bytes_named(tmp_path: Path) -> None:
    root = texts(tmp_path / "mail")
    data = read(root).data
    assert (data.kind, data.task, data.classes) == ("text", "binary", ("ham", "spam"))
    everything = np.concatenate([part.features for part in data.splits.values()])
    assert min(everything) == "schöner ham 0"
    (root / "ham" / "04.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DatasetError, match=r"ham/04\.txt is not UTF-8: byte 0xe9 at offset 3"):
        read(root)


def test_a_class_of_too_few_is_named(tmp_path: Path) -> None:
    root = texts(tmp_path / "mail")
    (root / "rare").mkdir()
    (root / "rare" / "one.txt").write_text("alone")
    with pytest.raises(DatasetError, match=r"`rare` has only 1 \(in .*rare/one\.txt\)"):
        read(root)


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    def stop(phase: str, done: int, total: int) -> None:
        assert (phase, total) == ("looking at images", 20)
        if done == 5:
            raise CancelledError("Enough.")

    description = SourceDescription(name="pets", path=images(tmp_path / "pets"))
    with pytest.raises(CancelledError):
        load_source(description, stop)
