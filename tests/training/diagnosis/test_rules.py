"""The rules over made-up courses of trainings: where each fires, and where it must not."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from agiwb.datasets.dataset import Dataset, Split
from agiwb.training.config import TrainConfig
from agiwb.training.curves import Epoch
from agiwb.training.diagnosis.batch_losses import BatchLosses
from agiwb.training.diagnosis.chance import no_better_than_chance
from agiwb.training.diagnosis.dead_units import dead_units
from agiwb.training.diagnosis.finding import Curve
from agiwb.training.diagnosis.gradients import exploding_gradients, vanishing_gradients
from agiwb.training.diagnosis.imbalance import class_imbalance
from agiwb.training.diagnosis.learning_rate import (
    learning_rate_too_high,
    learning_rate_too_low,
    stopped_too_early,
)
from agiwb.training.diagnosis.nonfinite_validation import nonfinite_validation
from agiwb.training.diagnosis.observed import Baseline, LayerSample, Observed
from agiwb.training.diagnosis.over_fitting import over_fitting
from agiwb.training.diagnosis.rules import RULES, judge
from agiwb.training.diagnosis.trend import is_falling, is_rising, rising_p_value
from agiwb.training.diagnosis.under_fitting import under_fitting

CONFIG = TrainConfig(architecture="mlp", learning_rate=0.01, epochs=10)
CHANCE = math.log(10)
HEALTHY = [1.2, 0.6, 0.35, 0.25, 0.2, 0.18, 0.17, 0.168, 0.166, 0.165]


def seen(
    train: list[float],
    validation: list[float] | None = None,
    accuracy: tuple[float, float] = (0.95, 0.94),
    **more: object,
) -> Observed:
    """Return a course with these losses; the accuracies are those of every epoch."""
    validation = train if validation is None else validation
    curves = tuple(
        Epoch(
            epoch=number,
            learning_rate=0.01,
            metrics={
                "train_loss": loss,
                "validation_loss": other,
                "train_accuracy": accuracy[0],
                "validation_accuracy": accuracy[1],
            },
        )
        for number, (loss, other) in enumerate(zip(train, validation, strict=True), 1)
    )
    shares = {str(digit): 0.1 for digit in range(10)}
    course = Observed(
        config=CONFIG,
        task="classification",
        baseline=Baseline("accuracy", 0.1, CHANCE, shares),
        train_examples=1000,
        validation_examples=300,
        curves=curves,
        first_loss=2.4,
    )
    return dataclasses.replace(course, **more)


def batches(*losses: float, epochs: float = 3) -> Curve:
    times = np.linspace(0, epochs, len(losses) + 1)[1:]
    return Curve(name="loss of the batches", x=tuple(times), y=losses)


def sample(norms: list[float] | None = None, dead: float = 0.0, epoch: int = 1) -> LayerSample:
    layers = norms or [0.3, 0.2, 0.2, 0.1]
    names = {f"layer_{place}": norm for place, norm in enumerate(layers)}
    return LayerSample(epoch, names, {"layer_0": 0.1, "layer_1": dead}, 64)


def test_a_healthy_course_is_left_alone() -> None:
    course = seen(HEALTHY, batch_losses=batches(*np.linspace(2.4, 0.2, 90)), samples=(sample(),))
    assert judge(course) == ()
    assert judge(dataclasses.replace(course, finished=False)) == ()


def test_before_the_first_epoch_nothing_is_judged() -> None:
    assert judge(seen([])) == ()


@pytest.mark.parametrize("rule", RULES)
def test_one_epoch_is_enough_for_no_rule_to_fail(rule: object) -> None:
    assert rule(seen([2.0])) is None


@pytest.mark.parametrize(
    ("values", "chance"),
    [([1, 2, 3, 4], 1 / 24), ([1, 2, 4, 3], 4 / 24), ([4, 3, 2, 1], 1.0), ([1, 1, 1, 1], 1.0)],
)
def test_the_trend_has_its_exact_chance(values: list[float], chance: float) -> None:
    assert rising_p_value(values) == pytest.approx(chance)


def test_the_trend_agrees_with_scipy_and_takes_long_series() -> None:
    from scipy.stats import kendalltau

    draw = np.random.default_rng(0)
    for _ in range(20):
        values = list(draw.normal(size=12) + np.arange(12) * 0.1)
        wanted = kendalltau(range(12), values, alternative="greater", method="exact").pvalue
        assert rising_p_value(values) == pytest.approx(wanted)
    assert is_rising(range(5000))
    assert is_falling(range(5000, 0, -1))
    assert not is_rising(draw.normal(size=5000))


def test_a_rising_validation_loss_is_over_fitting() -> None:
    risen = [1.2, 0.7, 0.5, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    finding = over_fitting(seen(HEALTHY, risen))
    assert finding is not None
    assert finding.severity == "problem"
    assert "Since epoch 4 the validation loss has risen from 0.45 to 1" in finding.what
    assert "`epochs: 4`" in finding.advice
    stopped = CONFIG.model_copy(update={"early_stopping": 3})
    kept = over_fitting(seen(HEALTHY, risen, config=stopped))
    assert kept is not None
    assert kept.severity == "hint"


@pytest.mark.parametrize(
    "validation",
    [
        [1.2, 0.7, 0.5, 0.45, 0.5, 0.44, 0.49, 0.46, 0.5, 0.47],  # up and down
        [1.2, 0.7, 0.5, 0.4, 0.35, 0.3, 0.28, 0.29, 0.3, 0.31],  # three epochs tell nothing
        [1.2, 0.7, 0.4, 0.300, 0.301, 0.302, 0.303, 0.304, 0.305, 0.306],  # next to nothing
    ],
)
def test_what_chance_explains_is_not_over_fitting(validation: list[float]) -> None:
    assert over_fitting(seen(HEALTHY, validation)) is None


def test_the_gap_between_the_splits_must_be_wide_and_sure() -> None:
    wide = over_fitting(seen(HEALTHY, accuracy=(0.99, 0.75)))
    assert wide is not None
    assert "24.0 points less" in wide.what
    assert over_fitting(seen(HEALTHY, accuracy=(0.99, 0.96))) is None
    assert over_fitting(seen(HEALTHY, accuracy=(0.99, 0.85), validation_examples=20)) is None


def test_the_gap_of_a_regression() -> None:
    def course(validation: float) -> Observed:
        metrics = {"train_loss": 0.1, "validation_loss": 0.2, "train_rmse": 3.0}
        point = Epoch(
            epoch=1, learning_rate=0.01, metrics={**metrics, "validation_rmse": validation}
        )
        return seen([], curves=(point,), baseline=Baseline("rmse", 10.0, 1.0))

    finding = over_fitting(course(6.0))
    assert finding is not None
    assert "an error 100% larger" in finding.what
    assert over_fitting(course(3.2)) is None


def test_a_poor_and_flat_training_score_is_under_fitting() -> None:
    flat = [2.2, 2.1, 2.05, 2.04, 2.03, 2.03, 2.03, 2.03]
    assert under_fitting(seen(flat, accuracy=(0.2, 0.2))) is not None
    assert under_fitting(seen(HEALTHY, accuracy=(0.2, 0.2))) is None  # by its loss it has learned
    falling = [2.2, 2.1, 2.0, 1.9, 1.8, 1.7, 1.6, 1.5]
    assert under_fitting(seen(falling, accuracy=(0.3, 0.3))) is None


def test_a_loss_that_explodes_jumps_or_swings_means_too_high_a_rate() -> None:
    exploded = seen(HEALTHY, batch_losses=batches(2.4, 9, 20, 30, 20, 12, 8, *[2.3] * 60))
    assert learning_rate_too_high(exploded).severity == "problem"
    calm = [0.4] * 60
    calm[30] = calm[40] = calm[50] = 9.0
    jumping = learning_rate_too_high(seen(HEALTHY, batch_losses=batches(*calm)))
    assert "jumped 3 times" in jumping.what
    swinging = [1.2, 0.8, 0.7, 0.7, 1.1, 0.7, 1.2, 0.7, 0.9, 0.7]
    assert "in the epochs 7, 9" in learning_rate_too_high(seen(swinging)).what


def test_a_single_bad_batch_is_no_high_rate() -> None:
    losses = [2.4, 2.0, 1.5, *[0.4] * 60]
    losses[20] = 30.0
    assert learning_rate_too_high(seen(HEALTHY, batch_losses=batches(*losses))) is None


def test_a_loss_that_creeps_means_too_low_a_rate() -> None:
    creeping = list(np.linspace(2.40, 2.20, 8))
    assert learning_rate_too_low(seen(creeping)).severity == "problem"
    assert stopped_too_early(seen(creeping)) is None
    assert learning_rate_too_low(seen(creeping, finished=False)) is None
    settled = [2.4, 2.2, 2.1, 2.09, 2.089, 2.088, 2.087, 2.086]  # the data tell no more
    assert learning_rate_too_low(seen(settled)) is None


def test_a_loss_that_still_falls_at_the_end() -> None:
    assert "`epochs: 20`" in stopped_too_early(seen(list(np.linspace(1.5, 0.5, 10)))).advice
    assert stopped_too_early(seen(HEALTHY)) is None


def test_gradients_that_shrink_or_grow_towards_the_input() -> None:
    shrinking = sample([1e-6, 1e-4, 1e-2, 1e-1])
    assert vanishing_gradients(seen(HEALTHY, samples=(shrinking,))).severity == "problem"
    assert vanishing_gradients(seen(HEALTHY, samples=(sample(),))) is None
    assert vanishing_gradients(seen(HEALTHY, samples=(sample([1e-6, 1e-1]),))) is None  # shallow
    growing = sample([1e3, 1e1, 1e0, 1e-1])
    assert "explodes" in exploding_gradients(seen(HEALTHY, samples=(growing,))).what
    later = sample([60.0, 60.0, 60.0, 60.0], epoch=5)
    assert "grown from" in exploding_gradients(seen(HEALTHY, samples=(sample(), later))).what
    assert exploding_gradients(seen(HEALTHY, samples=(sample(), sample(epoch=5)))) is None


def test_units_must_stay_dead() -> None:
    assert dead_units(seen(HEALTHY, samples=(sample(dead=0.5),))).severity == "hint"
    assert dead_units(seen(HEALTHY, samples=(sample(dead=0.9),))).severity == "problem"
    assert dead_units(seen(HEALTHY, samples=(sample(dead=0.1), sample(dead=0.9)))) is None
    assert dead_units(seen(HEALTHY, samples=(sample(dead=0.2),))) is None


def test_a_validation_loss_that_is_no_number() -> None:
    finding = nonfinite_validation(seen([1.0, 0.9], [1.0, math.nan]))
    assert "first in epoch 2" in finding.what
    restored = type(finding).model_validate_json(finding.model_dump_json())
    assert math.isnan(restored.evidence.curves[1].y[1])


def test_answers_at_random_are_told_from_poor_ones() -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=300)
    baseline = Baseline("accuracy", 0.34, math.log(3), {"a": 0.33, "b": 0.33, "c": 0.34})

    def verdict(answers: np.ndarray) -> object:
        outputs = np.eye(3, dtype=np.float32)[answers]
        return no_better_than_chance(baseline, labels, outputs, "abc", 0.01)

    assert verdict(draw.integers(3, size=300)).severity == "problem"
    assert "always answers 'b'" in verdict(np.ones(300, int)).what
    poor = np.where(draw.random(300) < 0.3, labels, draw.integers(3, size=300))
    assert verdict(poor) is None


def test_a_few_right_answers_are_not_taken_for_chance() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0])
    baseline = Baseline("accuracy", 5 / 9, math.log(2), {"a": 5 / 9, "b": 4 / 9})
    outputs = np.eye(2, dtype=np.float32)
    assert no_better_than_chance(baseline, labels, outputs[labels], "ab", 0.01) is None
    too_few = labels[:4]  # right or wrong, four examples prove nothing
    assert no_better_than_chance(baseline, too_few, outputs[1 - too_few], "ab", 0.01) is None


def test_numbers_no_better_than_their_mean() -> None:
    draw = np.random.default_rng(0)
    labels = draw.normal(size=200).astype(np.float32)
    baseline = Baseline("rmse", float(labels.std()), 1.0)
    random = draw.normal(size=(200, 1)).astype(np.float32)
    assert no_better_than_chance(baseline, labels, random, (), 0.01) is not None
    near = labels[:, None] + 0.5 * random
    assert no_better_than_chance(baseline, labels, near, (), 0.01) is None


def test_classes_must_be_very_unequal() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    unequal = class_imbalance({"a": 0.95, "b": 0.05}, labels, np.zeros(100, int), "ab", CONFIG)
    assert "finds none of 'b'" in unequal.what
    balanced = CONFIG.model_copy(update={"class_weights": "balanced"})
    found = class_imbalance({"a": 0.95, "b": 0.05}, labels, labels, "ab", balanced)
    assert found.severity == "hint"
    assert "finds 100%" in found.what
    assert class_imbalance({"a": 0.8, "b": 0.2}, labels, labels, "ab", CONFIG) is None


def test_the_baseline_is_the_best_constant_answer() -> None:
    labels = np.array([0, 0, 0, 1])
    split = Split(np.zeros((4, 2), np.float32), labels)
    data = Dataset("made", ("a", "b"), 1.0, split, split, split)
    baseline = Baseline.of(CONFIG, data)
    assert baseline.score == 0.75
    assert baseline.loss == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert baseline.skill(0.875) == 0.5


def test_batch_losses_are_told_from_running_means_and_stay_few() -> None:
    losses = BatchLosses()
    values = np.linspace(2.0, 1.0, 1000)
    for epoch in range(2):
        for batch, mean in enumerate(np.cumsum(values) / np.arange(1, 1001)):
            losses.add(epoch, batch, 1000, float(mean))
    curve = losses.curve()
    assert losses.first == 2.0
    assert 256 <= len(curve.y) <= 512
    assert curve.x[-1] == pytest.approx(2.0, abs=0.02)
    middle = len(curve.y) // 4
    assert curve.y[middle] == pytest.approx(np.interp(curve.x[middle], [0, 1], [2, 1]), abs=0.01)
