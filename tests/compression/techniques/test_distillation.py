"""Distillation: the loss by its paper, the students' widths, and that a teacher helps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agiwb.compression.techniques.distillation import Distillation
from agiwb.compression.techniques.jitter import shifted
from agiwb.compression.techniques.teaching import Softening, distillation_loss, soften
from agiwb.errors import ConfigError, WorkError
from tests.compression.techniques.trained_digits import (
    accuracy,
    bench,
    same_weights,
    trained,
    untrained,
    with_nested_parts,
)

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])


def softmax(logits: Any) -> Any:
    powers = np.exp(logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_softening_is_the_softmax_of_divided_logits(temperature: float):
    softened = soften(softmax(LOGITS), temperature)
    assert softened == pytest.approx(softmax(LOGITS / temperature), abs=1e-6)


def test_a_class_without_any_probability_has_some_when_softened():
    softened = soften(np.array([[1.0, 0.0]], np.float32), 20.0)
    assert np.isfinite(softened).all()
    assert 0 < softened[0, 1] < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 5.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_that_of_hinton(temperature: float, alpha: float):
    trained("mlp")
    student = np.array([[1.0, 1.0, -0.5], [0.5, 1.0, 0.0]])
    labels = np.array([0, 2])
    teacher = soften(softmax(LOGITS), temperature)
    targets = np.column_stack([labels, teacher]).astype(np.float32)
    loss = distillation_loss(Softening(temperature, alpha))(targets, softmax(student))
    hard = -np.log(softmax(student)[[0, 1], labels])
    soft = np.sum(teacher * np.log(teacher / softmax(student / temperature)), axis=1)
    assert np.asarray(loss) == pytest.approx(
        alpha * hard + (1 - alpha) * temperature**2 * soft, abs=1e-5
    )


@pytest.mark.slow
def test_students_are_narrower_and_fit_together():
    from agiwb.compression.techniques.narrowing import narrowed

    for family in ("mlp", "cnn", "resnet", "lenet_5", "rnn"):
        model = untrained(family)
        student = narrowed(model, 50)
        assert student.output_shape == model.output_shape
        assert student.count_params() < 0.6 * model.count_params()
        assert [tensor.name for tensor in student.inputs] == ["features"]
    resnet = narrowed(untrained("resnet"), 25)
    assert resnet.get_layer("block_3_second_convolution").filters == 8
    assert narrowed(with_nested_parts(), 50).get_layer("side").units == 8


@pytest.mark.slow
def test_recurrent_layers_in_both_directions_and_residuals_to_the_input():
    import keras
    from keras import layers

    from agiwb.compression.techniques.narrowing import narrowed

    trained("mlp")
    features = keras.Input((8, 8), name="features")
    x = layers.Dense(8, name="tied")(layers.Dense(40, name="free")(features))
    x = layers.Add()([x, features])
    x = layers.Bidirectional(layers.LSTM(12), name="both_ways")(x)
    model = keras.Model(features, layers.Dense(10, activation="softmax")(x))
    student = narrowed(model, 50)
    assert student.get_layer("free").units == 20
    assert student.get_layer("tied").units == 8
    assert student.get_layer("both_ways").output.shape == (None, 12)


@pytest.mark.slow
def test_a_student_learns_from_its_teacher_and_a_bench_decides_all():
    model = trained("mlp")
    technique = Distillation(percent=50, epochs=15, learning_rate=0.01)
    one, other = (technique.apply(model, bench()) for _ in range(2))
    assert same_weights(one, other)
    assert one.count_params() < 0.6 * model.count_params()
    assert accuracy(one) >= accuracy(model) - 0.06
    assert not one.compiled


@pytest.mark.slow
def test_a_teacher_is_heard_even_where_the_labels_have_no_weight():
    model = trained("mlp")
    student = Distillation(percent=50, alpha=0, epochs=10, learning_rate=0.01).apply(model, bench())
    assert accuracy(student) > 0.85


@pytest.mark.slow
def test_a_student_learns_what_its_teacher_says_of_shifted_images():
    model = trained("mlp")
    told: list[tuple[int, int]] = []
    telling = replace(bench(), progress=lambda done, total: told.append((done, total)))
    technique = Distillation(percent=50, alpha=0, epochs=6, learning_rate=0.01, jitter=1)
    student, same = technique.apply(model, telling), technique.apply(model, bench())
    assert same_weights(student, same)
    batches = 6 * -(-len(telling.training) // telling.tuning.batch_size)
    assert told == [(done, batches) for done in range(1, batches + 1)]
    shifts = shifted(bench().training.features, 1, np.random.default_rng(7))
    plain = technique.model_copy(update={"jitter": 0}).apply(model, bench())

    def agreement(one: Any) -> float:
        answers = (each.predict(shifts, verbose=0).argmax(axis=1) for each in (one, model))
        return float(np.equal(*answers).mean())

    assert agreement(student) > agreement(plain) + 0.05


@pytest.mark.slow
def test_a_student_drops_nothing_unless_it_is_asked_to():
    model = trained("mlp")
    rates = {layer.name: layer.rate for layer in model.layers if hasattr(layer, "rate")}
    assert all(rates.values())

    def of_student(**parameters: Any) -> dict[str, float]:
        student = Distillation(percent=50, epochs=1, **parameters).apply(model, bench())
        return {layer.name: layer.rate for layer in student.layers if hasattr(layer, "rate")}

    assert of_student() == dict.fromkeys(rates, 0.0)
    assert of_student(dropout=True) == rates


@pytest.mark.slow
def test_a_hint_changes_the_student_and_progress_counts_both():
    model = trained("cnn")
    told: list[tuple[int, int]] = []
    silent = bench()
    telling = replace(silent, progress=lambda done, total: told.append((done, total)))
    technique = Distillation(percent=50, epochs=4, learning_rate=0.01, hint="relu_2", hint_epochs=3)
    student = technique.apply(model, telling)
    batches = 7 * -(-len(silent.training) // 64)
    assert told == [(done, batches) for done in range(1, batches + 1)]
    assert "linear_map" not in [layer.name for layer in student.layers]
    plain = Distillation(percent=50, epochs=4, learning_rate=0.01).apply(model, silent)
    assert not same_weights(student, plain)
    assert accuracy(student) > 0.3  # four epochs; chance is 0.1
    with pytest.raises(WorkError, match=r"no layer `relu_3`.*`relu_2`"):
        Distillation(hint="relu_3").apply(model, silent)


@pytest.mark.slow
def test_a_student_of_another_family():
    technique = Distillation(family="mlp", percent=25, epochs=15, learning_rate=0.01)
    student = technique.apply(trained("cnn"), bench())
    assert student.get_layer("hidden_1").units == 16
    assert accuracy(student) > 0.7  # after fifteen epochs; chance is 0.1
    with pytest.raises(WorkError, match="A hint needs"):
        Distillation(family="mlp", hint="hidden").apply(trained("cnn"), bench())


@pytest.mark.slow
def test_what_answers_no_probabilities_is_refused():
    import keras

    trained("mlp")
    model = keras.Sequential([keras.Input((8, 8)), keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(WorkError, match="not probabilities"):
        Distillation().apply(model, bench())
    with pytest.raises(ConfigError, match="alpha"):
        Distillation(alpha=2)
