"""The judgement: all that a window of served traffic shows, asked of one set of figures.

Each question may raise an equal part of the false alarms. What needs more rows than there are, or
more than a window of NaN can tell, is left open: one broken feature never ends the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset
from agiwb.monitoring.anomalies import (
    FEWEST_ROWS,
    Anomaly,
    autoencoder_oddity,
    isolation_oddity,
    odd_values,
)
from agiwb.monitoring.answering import Ask
from agiwb.monitoring.calibration import Calibration, calibrate
from agiwb.monitoring.categories import DriftedCodes, compare_codes
from agiwb.monitoring.changes import Change, find_changes
from agiwb.monitoring.consequence import Consequence, weigh_drift
from agiwb.monitoring.described import Description, describe, one_hot
from agiwb.monitoring.drift import FeatureDrift, compare_features
from agiwb.monitoring.estimate import estimate_accuracy, expected_right
from agiwb.monitoring.hours import compare_hours
from agiwb.monitoring.labelled import Performance, measure_performance, rows_to_label
from agiwb.monitoring.log import LabelledPredictions
from agiwb.monitoring.output import compare_output
from agiwb.monitoring.quality import check_answers
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.monitoring.slice_columns import slice_columns
from agiwb.monitoring.slices import compare_slices
from agiwb.monitoring.two_sample import SampleTest, compare_samples, window_weights
from agiwb.monitoring.verdict import DriftedFeature, Figures
from agiwb.monitoring.worst_slices import IS, find_weak_slices
from agiwb.serving.prediction_log import PredictionWindow

QUESTIONS = 12
"""Features, codes and categories, hours, slices, certainty, classes, quality, the rows as a whole,
odd rows, odd answers, changes in time, and labels."""
_LISTED_FEATURES = 20
_LABELS_ASKED_FOR = 20
_FEWEST_EFFECTIVE = 30
"""Labelled rows that a weighted calibration must still be worth."""
_MOST_SLICED = 20
"""Categories of a column that may be part of a weak slice's rule."""


@dataclass(frozen=True)
class Judgement:
    """What was found: figures for the verdict, and each feature's effect for pictures."""

    figures: Figures
    names: tuple[str, ...]
    effects: NDArray[np.float64]
    reference: NDArray[np.float32]
    """The training split's numbers, shape ``(rows, names)``."""


def judge(
    data: Dataset,
    validation: NDArray[np.float32],
    window: PredictionWindow,
    ask: Ask,
    false_alarm_rate: float,
    labelled: LabelledPredictions | None = None,
    slices: Sequence[str] = (),
) -> Judgement:
    """Return what ``window`` shows.

    Args:
        data: Where the model was trained; its training split is the reference.
        validation: The model's probabilities for the validation split.
        window: What was served.
        ask: Gives the model's probabilities for examples.
        false_alarm_rate: Share of windows without drift that may alarm, over all questions.
        labelled: The rows whose label is known, if there are any.
        slices: Columns to compare slice by slice, as of ``chosen_columns``.
    """
    rate = false_alarm_rate / QUESTIONS
    description = describe(data)
    names, reference = description.names, description.reference
    served = description.numbers(window.features)
    calibration = calibrate(reference, len(served))
    known = NumericSketch.of(NumericBins.from_reference(reference, names), reference)
    drift = compare_features(known, NumericSketch.of(known.bins, served), calibration, rate)
    samples, weights = _samples(description, data, window, rate)
    labels, answers = data.validation.labels, window.probabilities
    # What a model answers where it was asked nothing says nothing of how often it is right, nor
    # does what it answers to one example, again and again.
    usable = ~description.unusable(window.features)
    usable &= not (window.features == window.features[:1]).all()

    def expected(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        return expected_right(validation, labels, probabilities, weights)

    def weigh(
        training: NDArray[np.float32], inside: NDArray[np.bool_], places: Sequence[int]
    ) -> tuple[Consequence, ...]:
        return weigh_drift(ask, expected, description, training, window.features[inside], places)

    chances = expected(answers)
    right = int((validation.argmax(axis=1) == labels).sum())
    order = np.argsort(-drift.effect, kind="stable")
    order = order[drift.drifted[order]]
    sliceable, rule_names = _sliceable(description, data, window.features, served)
    weak = find_weak_slices(sliceable, 1 - chances, rule_names)
    inside = weak[0].holds(sliceable) if weak else np.zeros(len(served), bool)
    columns = slice_columns(
        slices, description, data, window.features, window.times, (validation, answers)
    )
    texts = description.categories(window.features)
    by_slice = compare_slices(columns, served, calibration, names, rate, chances, weigh, texts)
    everything = np.ones(len(served), bool)
    figures = Figures(
        rows=len(served),
        features=len(names),
        drifted_count=int(drift.drifted.sum()),
        drifted=_listed(order, drift, names, reference, served),
        effect_threshold=drift.threshold,
        output=compare_output(validation, answers, rate),
        quality=(*description.quality(window.features, rate), *check_answers(answers)),
        estimate=estimate_accuracy(validation, labels, answers[usable], weights=weights),
        reference_accuracy=right / len(labels),
        samples=samples,
        limit=rate,
        codes=_codes(description, data, window.features, calibration, rate),
        hours=compare_hours(known, window.times, served, calibration, rate),
        performance=_performance(labelled, data, (right, len(labels)), expected, chances),
        consequences=weigh(reference, everything, order.tolist()),
        weak_slices=weak,
        slice_consequences=weigh(reference, inside, order.tolist()),
        slices=by_slice,
        anomalies=_anomalies(data, reference, served, (validation, answers), rate),
        changes=find_changes(answers.max(axis=1), rate / 2),
        loss_changes=_loss_changes(labelled, data, rate / 2),
        label_first=tuple(rows_to_label(chances, _LABELS_ASKED_FOR)[0].tolist()),
    )
    return Judgement(figures, names, drift.effect, reference)


def _performance(
    labelled: LabelledPredictions | None,
    data: Dataset,
    reference: tuple[int, int],
    expected: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    chances: NDArray[np.float64],
) -> Performance | None:
    """Return what the labels show; None without any."""
    if labelled is None or not len(labelled):
        return None
    answers = labelled.window.probabilities
    return measure_performance(
        answers,
        labelled.classes(data.classes),
        *reference,
        expected=expected(answers),
        window_expected=chances,
    )


def _loss_changes(
    labelled: LabelledPredictions | None, data: Dataset, rate: float
) -> tuple[Change, ...]:
    """Return when the share of wrong answers changed, by the labels in order of their requests."""
    if labelled is None or not len(labelled):
        return ()
    answers, labels = labelled.window.probabilities, labelled.classes(data.classes)
    finite = np.isfinite(answers).all(axis=1)
    wrong = ~finite | (np.nan_to_num(answers).argmax(axis=1) != labels)
    return find_changes(np.where(labels >= 0, wrong.astype(np.float64), np.nan), rate)


def _samples(
    description: Description, data: Dataset, window: PredictionWindow, rate: float
) -> tuple[SampleTest | None, NDArray[np.float64] | None]:
    """Return whether the rows as a whole differ and, if so, weights that make up for it."""
    reference, labelled, served = description.embedded(data.validation.features, window.features)
    if len(reference) < len(description.reference) or len(labelled) < len(data.validation):
        return None, None
    found = compare_samples(reference, served)
    if found is None or found.p_value >= rate:
        return found, None
    weights = window_weights(labelled, served)
    worth = weights.sum() ** 2 / (weights**2).sum()
    return found, weights if worth >= _FEWEST_EFFECTIVE else None


def _codes(
    description: Description,
    data: Dataset,
    features: NDArray[Any],
    calibration: Calibration,
    rate: float,
) -> tuple[DriftedCodes, ...]:
    known, served = (description.categories(one) for one in (data.train.features, features))
    return compare_codes(
        description.reference,
        description.numbers(features),
        description.names,
        calibration.dispersion,
        rate,
        {name: (column, served[name]) for name, column in known.items()},
    )


def _sliceable(
    description: Description, data: Dataset, features: NDArray[Any], numbers: NDArray[np.float32]
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return what rules of weak slices are about: numbers, and columns that are 1 in a category."""
    parts, names = [numbers], list(description.names)
    served = description.categories(features)
    for name, column in description.categories(data.train.features).items():
        frequent = [text for text, _ in Counter(column.tolist()).most_common(_MOST_SLICED)]
        parts.append(one_hot(served[name], frequent).astype(np.float32))
        names += [f"{name}{IS}{text or 'missing'}" for text in frequent]
    return np.concatenate(parts, axis=1), tuple(names)


def _anomalies(
    data: Dataset,
    reference: NDArray[np.float32],
    served: NDArray[np.float32],
    answers: tuple[NDArray[np.float32], NDArray[np.float32]],
    rate: float,
) -> tuple[Anomaly, ...]:
    """Return what is odd about single rows: inputs by a forest, images also by an autoencoder."""
    found = [odd_values("answers", *isolation_oddity(*answers), rate)]
    known = reference[np.isfinite(reference).all(axis=1)]
    if len(known) > 1 and known.shape[1]:
        is_image = data.kind == "image" and len(known) >= 2 * FEWEST_ROWS
        each = rate / (1 + is_image)
        found.append(odd_values("inputs", *isolation_oddity(known, served), each))
        if is_image:
            found.append(odd_values("images", *autoencoder_oddity(known, served), each))
    return tuple(one for one in found if one is not None)


def _listed(
    order: NDArray[np.intp],
    drift: FeatureDrift,
    names: tuple[str, ...],
    reference: NDArray[np.float32],
    served: NDArray[np.float32],
) -> tuple[DriftedFeature, ...]:
    distances = drift.distances
    return tuple(
        DriftedFeature(
            feature=names[place],
            effect=distances.ks[place],
            p_value=drift.p_value[place],
            psi=distances.psi[place],
            divergence=distances.jensen_shannon[place],
            wasserstein=distances.wasserstein[place],
            training_mean=_mean(reference[:, place]),
            window_mean=_mean(served[:, place]),
        )
        for place in order[:_LISTED_FEATURES]
    )


def _mean(column: NDArray[Any]) -> float:
    return float(column.mean(where=np.isfinite(column)))


def metrics_of(figures: Figures) -> dict[str, float]:
    """Return the figures that are followed from window to window."""
    metrics = {
        "window_drifted_share": figures.drifted_count / max(figures.features, 1),
        "window_quality_findings": len(figures.quality),
        "validation_accuracy": figures.reference_accuracy,
    }
    if figures.slices:
        metrics["window_drifted_slices"] = sum(bool(one.drifted_count) for one in figures.slices)
    if figures.output is not None:
        metrics["window_score_effect"] = figures.output.score_effect
        metrics["window_classes_effect"] = figures.output.classes_effect
    if figures.samples is not None:
        metrics["window_sample_auc"] = figures.samples.auc
    if figures.estimate is not None:
        metrics["window_estimated_accuracy"] = figures.estimate.value
    if figures.performance is not None and figures.performance.accuracy is not None:
        metrics["window_labelled_accuracy"] = figures.performance.accuracy
    return metrics
