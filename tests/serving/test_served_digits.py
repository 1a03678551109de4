"""From Keras to the wire: a served model answers as the model that was trained."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from agiwb import ConvertConfig, ServeConfig, TrainRecord, convert, load_dataset, serve

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("wanted", ["onnx", "litert"])
def test_the_served_model_answers_as_keras_on_the_whole_test_split(
    digits_cnn_run: TrainRecord, wanted: Literal["onnx", "litert"]
) -> None:
    import keras

    images = load_dataset("digits").test.features
    model = keras.models.load_model(digits_cnn_run.file("model.keras"))
    expected = model.predict(images, verbose=0)
    converted = convert(ConvertConfig(model=digits_cnn_run.run.id, formats=("onnx", "litert")))
    with serve(ServeConfig(model=converted.run.id, format=wanted, rest_api_port=0)) as endpoint:
        answers = endpoint.predict(images)
    assert np.abs(answers - expected).max() < 1e-5
    assert np.array_equal(answers.argmax(axis=1), expected.argmax(axis=1))
