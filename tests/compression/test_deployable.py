"""The deployable file in every form: its name, its interface, its answers, its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from agiwb.compression.deployable import write_deployable
from agiwb.compression.quantization import calibration_samples
from agiwb.compression.recipe import Recipe, parse_recipe
from agiwb.compression.stages import Form
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.errors import InputError, WorkError
from tests.compression.techniques.model_families import model_of
from tests.compression.techniques.trained_digits import bench, examples, trained

pytestmark = pytest.mark.slow

FORMS = ("baseline", *get_args(Form))
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def samples() -> Any:
    return calibration_samples(bench().training.features, 100, seed=0)


@pytest.fixture(scope="module")
def files(samples: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The file of a digits CNN in each form."""
    made = {}
    for form in FORMS:
        recipe = parse_recipe(form)
        folder = tmp_path_factory.mktemp(form)
        made[form] = write_deployable(trained("cnn"), recipe, samples, folder, CLASSES)
        assert made[form] == folder / recipe.file_name
        assert list(folder.iterdir()) == [made[form]]
    return made


def answers(file: Path) -> Any:
    if file.suffix == ".onnx":
        from agiwb.compression.saturation import open_session

        return open_session(file, optimised=True)(examples())
    from agiwb.runtimes.litert import LiteRTRuntime

    return LiteRTRuntime(file, 1).run({"features": examples()})["probabilities"]


def test_each_form_answers_as_the_model_does(files: dict[str, Path]):
    expected = trained("cnn").predict(examples(), verbose=0)
    for form, file in files.items():
        given = answers(file)
        assert given.dtype == np.float32
        numbers = parse_recipe(form).precision
        tolerance = {"float32": 1e-5, "float16": 0.02}.get(numbers, 0.35)
        assert np.abs(given - expected).max() < tolerance, form
        assert np.mean(given.argmax(1) == expected.argmax(1)) > 0.9, form


def test_fewer_bits_make_smaller_files_of_either_runtime(files: dict[str, Path]):
    size = {form: file.stat().st_size for form, file in files.items()}
    assert size["baseline"] > size["float16"] > size["int8"]
    assert size["onnx"] > size["onnx_float16"]
    assert len(set(size.values())) >= 6


def test_recurrent_layers_are_written_step_by_step(samples: Any, tmp_path: Path):
    model = model_of("lstm")
    file = write_deployable(model, parse_recipe("baseline"), samples, tmp_path, CLASSES)
    assert np.abs(answers(file) - model.predict(examples(), verbose=0)).max() < 1e-5


def test_a_loop_over_a_free_length_is_named(samples: Any, tmp_path: Path):
    from keras import Input, Sequential, layers

    free = Sequential([Input((None, 8)), layers.LSTM(4), layers.Dense(10, "softmax")])
    with pytest.raises(WorkError, match="recurrent layer over sequences of a free"):
        write_deployable(free, parse_recipe("baseline"), samples, tmp_path, CLASSES)


def test_trained_ranges_reach_every_form(samples: Any, tmp_path: Path):
    quantized = QuantizationAware().apply(trained("mlp"), bench())
    expected = np.asarray(quantized(examples(), training=False))
    for form in ("qat", "qat+int8", "qat+onnx", "qat+onnx_int8"):
        folder = tmp_path / form
        folder.mkdir()
        given = answers(write_deployable(quantized, parse_recipe(form), samples, folder, CLASSES))
        assert np.mean(given.argmax(1) == expected.argmax(1)) > 0.95, form
    # Its own ranges, not those of the samples: without any it is made all the same.
    recipe = parse_recipe("qat+int8")
    again = write_deployable(quantized, recipe, samples[:0], tmp_path, CLASSES)
    assert again.read_bytes() == (tmp_path / "qat+int8" / "model.tflite").read_bytes()


@pytest.mark.parametrize("form", ["int8", "onnx_int8"])
def test_without_samples_nothing_is_calibrated_or_left_behind(form: str, tmp_path: Path):
    recipe: Recipe = parse_recipe(form)
    with pytest.raises(InputError, match="no samples"):
        write_deployable(trained("mlp"), recipe, examples()[:0], tmp_path, CLASSES)
    assert not list(tmp_path.iterdir())
