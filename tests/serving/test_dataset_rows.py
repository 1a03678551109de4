"""Examples of real data sets as a model of a given signature takes them."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.datasets.registry import load_dataset
from agiwb.errors import InputError
from agiwb.serving.dataset_rows import example_of, usual_row

_PROBABILITIES = (TensorSpec(name="output", dtype="float32", shape=(None, 3)),)


def of_columns(*names: str) -> Signature:
    inputs = tuple(TensorSpec(name=name, dtype="float32", shape=(None, 1)) for name in names)
    return Signature(inputs=inputs, outputs=_PROBABILITIES)


def of_shape(*sizes: int) -> Signature:
    spec = TensorSpec(name="input", dtype="float32", shape=(None, *sizes))
    return Signature(inputs=(spec,), outputs=_PROBABILITIES)


def test_a_tables_row_is_what_a_person_would_enter() -> None:
    wine = load_dataset("wine")
    example = example_of(wine, of_columns(*wine.columns), 3)
    assert isinstance(example.entered, dict)
    assert set(example.entered) == set(wine.columns)
    for name in wine.columns:
        assert example.row[name] == [pytest.approx(float(wine.test.features[name][3]))]
    assert example.truth == wine.classes[wine.test.labels[3]]


def test_an_image_is_itself_in_the_models_shape() -> None:
    digits = load_dataset("digits")
    example = example_of(digits, of_shape(8, 8, 1), 5)
    assert example.entered is None
    np.testing.assert_array_equal(example.row[..., 0], digits.test.features[5])
    assert example.truth == str(digits.test.labels[5])


def test_the_usual_row_has_medians() -> None:
    wine = load_dataset("wine")
    usual = usual_row(wine, of_columns("alcohol", "hue"))
    assert set(usual) == {"alcohol", "hue"}
    below = np.mean(wine.train.features["alcohol"] < usual["alcohol"][0])
    assert 0.4 < below < 0.6


def test_columns_may_be_called_as_every_format_can_write_them() -> None:
    data = load_dataset("iris")
    example = example_of(data, of_columns("sepal_length__cm_", "petal width (cm)"), 0)
    flower = data.test.features[0]
    assert example.entered == {
        "sepal_length__cm_": str(flower["sepal length (cm)"]),
        "petal width (cm)": str(flower["petal width (cm)"]),
    }


@pytest.mark.parametrize(
    ("dataset", "signature", "why"),
    [
        ("wine", of_columns("alcohol", "colour"), "no column 'colour'"),
        ("digits", of_shape(28, 28), "its images are 8 x 8"),
    ],
)
def test_a_data_set_that_does_not_fit_is_told(dataset: str, signature: Signature, why: str) -> None:
    with pytest.raises(InputError, match=why):
        example_of(load_dataset(dataset), signature, 0)
