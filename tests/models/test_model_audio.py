"""The audio family at real sounds: words that Debian's espeak-ng speaks in several voices."""

from __future__ import annotations

import os
import shutil
import subprocess
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split, Task
from agiwb.errors import ConfigError
from agiwb.models.registry import build_model
from agiwb.models.specification import ModelSpec, Size
from tests.conformance.model_family import ModelFamilyConformance, answer

WORDS = ("yes", "no", "stop")
SOUNDS = ("s", "o", "p")
VOICES = {
    "train": ("en-us", "en-gb", "en-us+f2", "en-us+m3", "en-gb+f4", "en-gb+m7"),
    "validation": ("en-us+f3",),
    "test": ("en-gb-scotland", "en-us+f5", "en-gb+m1"),  # nobody that it heard in training
}
SPEEDS = (150, 180, 210)  # words a minute
RATE_HZ = 22050
SAMPLES = 12000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Dataset]:
    """The words as data sets: which word, "yes" or not, which sounds are in it, how fast."""
    if shutil.which("espeak-ng") is None:
        if os.environ.get("CI"):
            pytest.fail("espeak-ng is missing: tests/ensure_debian_packages.sh installs it.")
        pytest.skip("espeak-ng is missing: tests/ensure_debian_packages.sh installs it.")
    folder = tmp_path_factory.mktemp("spoken")
    splits = {name: _spoken_by(voices, folder) for name, voices in VOICES.items()}
    classes: dict[Task, tuple[str, ...]] = {
        "classification": WORDS, "binary": ("another", "yes"), "multilabel": SOUNDS,
        "regression": (),
    }  # fmt: skip
    return {
        task: Dataset(
            "spoken", names, 1.0, **{name: parts[task] for name, parts in splits.items()},
            task=task, kind="audio", sample_rate_hz=RATE_HZ,
        )
        for task, names in classes.items()
    }  # fmt: skip


def _spoken_by(voices: tuple[str, ...], folder: Path) -> dict[str, Split]:
    said = [(word, voice, speed) for voice in voices for word in WORDS for speed in SPEEDS]
    sounds = np.stack([_speak(*one, folder / "word.wav") for one in said])
    words = np.array([WORDS.index(word) for word, _, _ in said])
    inside = np.array([[sound in word for sound in SOUNDS] for word, _, _ in said])
    return {
        "classification": Split(sounds, words),
        "binary": Split(sounds, (words == 0).astype(np.int64)),
        "multilabel": Split(sounds, inside.astype(np.float32)),
        "regression": Split(sounds, np.array([speed for *_, speed in said], np.float32)),
    }


def _speak(word: str, voice: str, speed: int, path: Path) -> np.ndarray:
    subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-w", path, word], check=True)
    with wave.open(str(path)) as spoken:
        assert (spoken.getframerate(), spoken.getnchannels()) == (RATE_HZ, 1)
        frames = np.frombuffer(spoken.readframes(spoken.getnframes()), np.int16)
    sound = np.zeros(SAMPLES, np.float32)
    sound[: len(frames)] = frames[:SAMPLES] / 32768
    return sound


class TestAudio(ModelFamilyConformance):
    family, kind = "audio", "audio"

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, task: Task, spoken: dict[Task, Dataset]) -> Dataset:
        return spoken[task]


def test_it_learns_words_and_knows_them_from_strangers(spoken: dict[Task, Dataset]) -> None:
    import keras

    data = spoken["classification"]
    keras.utils.set_random_seed(1)
    model = build_model("audio", ModelSpec.of(data, Size(units=32)))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(data.train.features, data.train.labels, epochs=15, batch_size=12, verbose=0)
    right = answer(model, data.test.features).argmax(axis=1) == data.test.labels
    assert right.mean() > 0.75  # chance is a third


def test_the_volume_and_silence_do_no_harm(spoken: dict[Task, Dataset]) -> None:
    data = spoken["binary"]
    model = build_model("audio", ModelSpec.of(data, Size(units=8)))
    loud = data.test.features[:1]
    for features in (np.zeros_like(loud), loud * 100, loud / 1000):
        assert np.isfinite(answer(model, features)).all()


def test_sounds_that_are_too_short_for_the_layers_are_refused(
    spoken: dict[Task, Dataset],
) -> None:
    spec = ModelSpec.of(spoken["binary"], Size(units=8))
    short = replace(spec.sample, features=spec.sample.features[:, : RATE_HZ // 20])
    spec = replace(spec, feature_shape=short.features.shape[1:], sample=short)
    with pytest.raises(
        ConfigError, match=r"3 layers needs 8 windows.*have 6 .*`layers: 2` or fewer"
    ):
        build_model("audio", spec)
    shallow = build_model("audio", replace(spec, size=Size(units=8, layers=2)))
    assert answer(shallow, short.features[:2]).shape == (2, 2)


def test_sounds_need_a_sample_rate(spoken: dict[Task, Dataset]) -> None:
    spec = ModelSpec.of(replace(spoken["binary"], sample_rate_hz=None))
    with pytest.raises(ConfigError, match="audio needs the sample rate"):
        build_model("audio", spec)
