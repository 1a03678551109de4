from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import keras

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, Path]:
    """Return a model with a vocabulary of its own, and the archive that it was saved to."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()
    import keras
    import tensorflow as tf

    reader = keras.layers.TextVectorization(output_sequence_length=3)
    reader.adapt(tf.constant(["a b c", "c d"]))
    text = keras.Input((), dtype="string")
    vectors = keras.layers.Embedding(reader.vocabulary_size(), 2)(reader(text))
    model = keras.Model(text, vectors)
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    model.save(path)
    return model, path


def answer(model: Any) -> Any:
    import tensorflow as tf

    return np.asarray(model(tf.constant(["b d x"])))


def test_a_large_archive_is_read_from_the_disk(
    saved: tuple[keras.Model, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    from agiwb.models import loading

    model, path = saved
    places = []
    load = keras.models.load_model

    def spied(place: Path, **rest: Any) -> Any:
        places.append(place)
        return load(place, **rest)

    monkeypatch.setattr(keras.models, "load_model", spied)
    monkeypatch.setattr(loading, "_LARGE_BYTES", 1)
    np.testing.assert_array_equal(answer(loading.load_keras_model(path)), answer(model))
    assert places[0] != path
    assert not places[0].exists()
    compressed = tmp_path / "m.keras"
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    np.testing.assert_array_equal(answer(loading.load_keras_model(compressed)), answer(model))
    assert places[1] == compressed
