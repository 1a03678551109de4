"""What every model family must do. A test module subclasses it and names the family:

class TestMlp(ModelFamilyConformance):
    family, kind = "mlp", "array"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Kind, Task
from agiwb.errors import ConfigError
from agiwb.models.loading import foreign_part, load_keras_model
from agiwb.models.registry import Family, build_model, default_family
from agiwb.models.specification import ModelSpec, Size
from agiwb.tensorflow_quietly import import_tensorflow
from tests.conformance.tiny_data import tiny_dataset

ANSWERS = {"regression": "prediction", "ranking": "score"}
LOSSES = {
    "classification": "sparse_categorical_crossentropy",
    "binary": "sparse_categorical_crossentropy",
    "multilabel": "binary_crossentropy",
    "regression": "mean_squared_error",
    "ranking": "binary_crossentropy",
}
OTHER: dict[Kind, Kind] = {"text": "table", "pairs": "text"}


def as_inputs(features: Any) -> Any:
    """Return examples as a Keras model takes them."""
    tf = import_tensorflow()

    if names := features.dtype.names:
        return {name: tf.convert_to_tensor(features[name].copy()) for name in names}
    return tf.convert_to_tensor(features)


def answer(model: Any, features: Any) -> np.ndarray:
    return np.asarray(model(as_inputs(features), training=False))


@pytest.mark.slow
class ModelFamilyConformance:
    """Builds the subclass's ``family`` for tiny data of its ``kind`` and each of its ``tasks``."""

    family: ClassVar[Family]
    kind: ClassVar[Kind]
    tasks: ClassVar[tuple[Task, ...]] = ("classification", "binary", "multilabel", "regression")
    size: ClassVar[Size] = Size(units=8, l2=0.01)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "task" in metafunc.fixturenames:
            once = "once_a_family" in metafunc.function.__name__
            metafunc.parametrize("task", self.tasks[:1] if once else self.tasks, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, task: Task) -> Dataset:
        return tiny_dataset(cls.kind, task)

    @classmethod
    def build(cls, data: Dataset, seed: int = 3) -> Any:
        import_tensorflow()
        import keras

        keras.utils.set_random_seed(seed)
        return build_model(cls.family, ModelSpec.of(data, cls.size))

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, data: Dataset) -> Any:
        return cls.build(data)

    def test_it_takes_raw_examples_by_name(self, model: Any, data: Dataset) -> None:
        usual = ("text",) if self.kind == "text" else ("features",)
        assert [tensor.name for tensor in model.inputs] == list(data.columns or usual)
        for tensor in model.inputs:
            values = data.train.features[tensor.name] if data.columns else data.train.features
            assert tensor.shape[1:] == values.shape[1:]
            assert tensor.dtype == ("string" if values.dtype.kind == "O" else "float32")
        assert not model.compiled

    def test_it_answers_the_task(self, model: Any, data: Dataset) -> None:
        (output,) = model.output_names
        assert output == ANSWERS.get(data.task, "probabilities")
        answers = answer(model, data.test.features)
        assert answers.shape == (len(data.test), len(data.classes) or 1)
        assert answers.dtype == np.float32
        assert np.isfinite(answers).all()
        if data.task == "regression":
            standard = (answers - data.train.labels.mean()) / data.train.labels.std()
            assert np.abs(standard).max() < 20  # in the labels' unit, not standardised ones
            assert np.abs(answers).min() > 20
            return
        assert ((answers >= 0) & (answers <= 1)).all()
        if data.task in {"classification", "binary"}:
            np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)

    def test_an_answer_does_not_depend_on_the_rest_of_the_batch(
        self, model: Any, data: Dataset
    ) -> None:
        together = answer(model, data.test.features)
        alone = answer(model, data.test.features[3:4])
        np.testing.assert_allclose(alone, together[3:4], rtol=1e-4, atol=1e-6)

    def test_it_survives_saving(self, model: Any, data: Dataset, tmp_path: Path) -> None:
        model.save(tmp_path / "model.keras")
        loaded = load_keras_model(tmp_path / "model.keras")
        expected = answer(model, data.test.features)
        np.testing.assert_array_equal(answer(loaded, data.test.features), expected)
        assert foreign_part(model) is None

    def test_once_a_family_a_saved_model_answers_by_name(
        self, model: Any, data: Dataset, tmp_path: Path
    ) -> None:
        tf = import_tensorflow()

        model.export(tmp_path / "saved_model", verbose=False)
        serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
        inputs = as_inputs(data.test.features)
        given = inputs if isinstance(inputs, dict) else {model.inputs[0].name: inputs}
        (found,) = serve(**given).values()
        expected = answer(model, data.test.features)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def test_once_a_family_a_seed_decides_the_trained_weights(
        self, model: Any, data: Dataset
    ) -> None:
        first, again = (self._trained(data) for _ in range(2))
        assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
        assert all(np.isfinite(weights).all() for weights in first)
        untrained, other = model.get_weights(), self.build(data, seed=4).get_weights()
        assert not all(np.array_equal(*pair) for pair in zip(untrained, other, strict=True))
        assert not all(np.array_equal(*pair) for pair in zip(untrained, first, strict=True))

    def _trained(self, data: Dataset) -> list[np.ndarray]:
        model = self.build(data)
        model.compile("sgd", LOSSES[data.task], run_eagerly=True)  # nothing to trace
        few = data.train.sample(24)
        model.fit(as_inputs(few.features), few.labels, batch_size=12, verbose=0)
        return model.get_weights()

    def test_once_a_family_it_answers_in_32_bits_when_it_computes_in_16(
        self, data: Dataset
    ) -> None:
        import keras

        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = self.build(data)
        finally:
            keras.config.set_dtype_policy("float32")
        answers = answer(model, data.test.features)
        assert answers.dtype == np.float32
        assert np.isfinite(answers).all()

    def test_once_a_family_other_data_are_refused_with_a_family_for_them(
        self, data: Dataset
    ) -> None:
        other = tiny_dataset(OTHER.get(self.kind, "text"), "classification")
        fitting = default_family(other.kind, other.task)
        with pytest.raises(ConfigError, match=f"{self.family} needs .*architecture: {fitting}"):
            self.build(other)
