"""Weighing: products of a real model, read, measured and compared with the baseline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from agiwb.compression.gate import check_against_source, pass_gate, store_source_answers
from agiwb.compression.produce import Failure, Product
from agiwb.compression.recipe import parse_recipe
from agiwb.compression.sizes import measure_file, measure_model
from agiwb.compression.timing import LatencyProtocol
from agiwb.compression.weighing import Weighing, weigh
from agiwb.datasets.dataset import Dataset
from agiwb.errors import WorkError
from agiwb.runs.context import Context
from agiwb.runs.record import Record, RunInfo
from agiwb.runs.store import RunStore

pytestmark = pytest.mark.slow

PROTOCOL = LatencyProtocol(blocks=5, runs=3, seed=0, batch=4)


def context(files: Path) -> Context:
    return Context(cast(RunInfo, None), cast(RunStore, None), files, lambda _event: None)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    from agiwb.datasets.registry import load_dataset

    return load_dataset("digits")


@pytest.fixture(scope="module")
def make(
    digits: Dataset, digits_run: Record, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Product]:
    """Return a function that makes one product of the digits model, as a sweep does."""
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()

    from agiwb.compression.deployable import write_deployable
    from agiwb.models.loading import load_keras_model

    model = load_keras_model(digits_run.file("model.keras"))
    parent = tmp_path_factory.mktemp("products")

    def made(text: str, **others: Any) -> Product:
        recipe = parse_recipe(text)
        folder = parent / recipe.name
        folder.mkdir()
        model.save(folder / "model.keras")
        samples = digits.train.features[:100]
        file = write_deployable(model, recipe, samples, folder, digits.classes)
        gate = pass_gate(file, digits.validation, digits.test, folder)
        store_source_answers(model, digits.validation, folder)
        check_against_source(folder, recipe.precision)
        file_size = measure_file(file)
        model_size = measure_model(model, packed=recipe.precision == "float32")
        return Product(
            recipe, file, 0.0, folder / "answers.npz", gate, file_size, model_size, **others
        )

    return made


@pytest.fixture(scope="module")
def products(
    make: Callable[..., Product], tmp_path_factory: pytest.TempPathFactory
) -> list[Product]:
    baseline, onnx = make("baseline"), make("onnx")
    assert isinstance(baseline.file, Path)
    assert baseline.answers
    int8 = make("int8", seconds=7.0, siblings=(baseline.answers,))
    return [baseline, onnx, int8, Product(parse_recipe("int16x8"), Failure("It is cheese."))]


@pytest.fixture(scope="module")
def weighed(products: list[Product], digits: Dataset, tmp_path_factory: Any) -> Weighing:
    place = tmp_path_factory.mktemp("files")
    return weigh(products, digits.validation, digits.test, PROTOCOL, context(place))


def test_each_product_becomes_a_candidate(weighed: Weighing):
    found = {candidate.name: candidate for candidate in weighed.candidates}
    assert list(found) == ["baseline", "onnx", "int8", "int16x8"]
    assert found["int16x8"].reason == "It is cheese."
    assert found["int16x8"].measured is None
    assert set(weighed.right) == {"baseline", "onnx", "int8"}
    assert found["int8"].seconds == 7.0
    assert all(0 <= share < 0.1 for share in found["int8"].layer_sparsity.values())
    assert weighed.noise_floor >= 1.02
    assert weighed.batch_noise_floor >= 1.02


def test_the_baseline_is_its_own_equal(weighed: Weighing):
    measured = weighed.candidates[0].measured
    assert measured
    assert (measured.agreement, measured.kl_divergence, measured.latency_ratio) == (1, 0, 1)
    assert (measured.worse, measured.better, measured.p_value) == (0, 0, 1)
    assert measured.test_accuracy > 0.8
    assert measured.seed_test_accuracies == (measured.test_accuracy,)
    assert measured.batch_size == 4


def test_the_same_numbers_in_another_format_need_as_many_bytes(weighed: Weighing):
    litert, onnx, int8 = (candidate.measured for candidate in weighed.candidates[:3])
    assert litert
    assert onnx
    assert int8
    assert onnx.agreement == 1
    assert onnx.kl_divergence < 1e-6
    assert litert.entropy_bytes == onnx.entropy_bytes
    assert litert.packed_bytes == onnx.packed_bytes
    assert litert.xz_bytes < litert.size_bytes
    assert int8.packed_bytes is None
    assert int8.gzip_bytes < litert.gzip_bytes
    assert 0 < int8.kl_divergence < 0.1


def test_other_seeds_are_told_beside_its_own(weighed: Weighing):
    baseline, int8 = weighed.candidates[0].measured, weighed.candidates[2].measured
    assert baseline
    assert int8
    assert int8.seed_test_accuracies == (int8.test_accuracy, baseline.test_accuracy)
    assert int8.seed_validation_accuracies == (
        int8.validation_accuracy,
        baseline.validation_accuracy,
    )


def test_a_file_of_other_weights_does_not_answer_as_its_source(
    products: list[Product], digits: Dataset, tmp_path: Path
):
    import keras

    from agiwb.compression.deployable import write_deployable

    model = keras.models.load_model(cast(Path, products[0].file).with_name("model.keras"))
    store_source_answers(model, digits.validation, tmp_path)
    model.set_weights([np.roll(weights, 1, axis=-1) for weights in model.get_weights()])
    recipe = parse_recipe("int8")
    samples = digits.train.features[:100]
    file = write_deployable(model, recipe, samples, tmp_path, digits.classes)
    pass_gate(file, digits.validation, digits.test, tmp_path)
    for precision in ("int8", "float32"):
        with pytest.raises(WorkError, match="does not answer as the Keras model it was made from"):
            check_against_source(tmp_path, precision)


def test_what_does_not_beat_chance_is_measured_and_not_usable(
    products: list[Product], digits: Dataset, tmp_path: Path
):
    baseline = products[0]
    assert isinstance(baseline.file, Path)
    constant = np.zeros((len(digits.test), 10), np.float32)
    constant[:, 3] = 1
    answers = tmp_path / "answers.npz"
    np.savez(answers, validation=constant[: len(digits.validation)], test=constant)
    file = Path(shutil.copy(baseline.file, tmp_path))
    dull = replace(baseline, recipe=parse_recipe("int8"), file=file, answers=answers)
    weighing = weigh([baseline, dull], digits.validation, digits.test, PROTOCOL, context(tmp_path))
    assert "no better than chance" in weighing.candidates[1].reason
    assert weighing.candidates[1].measured


def test_one_that_cannot_be_timed_does_not_end_the_others(
    products: list[Product], digits: Dataset, tmp_path: Path
):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"not a model")
    damaged = replace(products[0], recipe=parse_recipe("onnx_int8"), file=file)
    weighing = weigh(
        [damaged, *products], digits.validation, digits.test, PROTOCOL, context(tmp_path)
    )
    first, *others = weighing.candidates
    assert "while `onnx_int8` was measured: The file could not be loaded" in first.reason
    assert first.measured is None
    assert [candidate.usable for candidate in others] == [True, True, True, False]


def test_without_a_baseline_nothing_can_be_compared(
    products: list[Product], digits: Dataset, tmp_path: Path
):
    failed = [Product(parse_recipe("baseline"), Failure("It is cheese.")), *products[1:]]
    with pytest.raises(WorkError, match="nothing can be compared: It is cheese"):
        weigh(failed, digits.validation, digits.test, PROTOCOL, context(tmp_path))
