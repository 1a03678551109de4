"""The judgement: all that a window of served traffic shows, asked of one set of figures.

Each question may raise an equal part of the false alarms. What needs more rows than there are, or
more than a window of NaN can tell, is left open: one broken feature never ends the report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset
from agiwb.monitoring.anomalies import Anomaly, isolation_oddity, odd_values
from agiwb.monitoring.calibration import calibrate
from agiwb.monitoring.categories import compare_codes
from agiwb.monitoring.changes import find_changes
from agiwb.monitoring.consequence import weigh_drift
from agiwb.monitoring.drift import FeatureDrift, compare_features, feature_names
from agiwb.monitoring.estimate import estimate_accuracy, expected_right
from agiwb.monitoring.hours import compare_hours
from agiwb.monitoring.labelled import Performance, measure_performance, rows_to_label
from agiwb.monitoring.log import LabelledPredictions
from agiwb.monitoring.output import compare_output
from agiwb.monitoring.quality import check_quality
from agiwb.monitoring.sketches import NumericBins, NumericSketch
from agiwb.monitoring.two_sample import SampleTest, compare_samples, embed, window_weights
from agiwb.monitoring.verdict import DriftedFeature, Figures
from agiwb.monitoring.worst_slices import find_weak_slices
from agiwb.serving.prediction_log import PredictionWindow

QUESTIONS = 10
"""Features, codes, hours, certainty, classes, quality, the rows as a whole, odd rows, changes in
time, and labels."""
_LISTED_FEATURES = 20
_LABELS_ASKED_FOR = 20
_FEWEST_EFFECTIVE = 30
"""Labelled rows that a weighted calibration must still be worth."""

Ask = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Judgement:
    """What was found: figures for the verdict, and each feature's effect for pictures."""

    figures: Figures
    effects: NDArray[np.float64]


def judge(
    data: Dataset,
    validation: NDArray[np.float32],
    window: PredictionWindow,
    ask: Ask,
    false_alarm_rate: float,
    labelled: LabelledPredictions | None = None,
) -> Judgement:
    """Return what ``window`` shows.

    Args:
        data: Where the model was trained; its training split is the reference.
        validation: The model's probabilities for the validation split.
        window: What was served.
        ask: Gives the model's probabilities for features, shape ``(rows, ...)``.
        false_alarm_rate: Share of windows without drift that may alarm, over all questions.
        labelled: The rows whose label is known, if there are any.
    """
    rate = false_alarm_rate / QUESTIONS
    reference, served = _flat(data.train.features), _flat(window.features)
    names = feature_names(data.feature_shape)
    calibration = calibrate(reference, len(served))
    bins = NumericBins.from_reference(reference, names)
    known = NumericSketch.of(bins, reference)
    drift = compare_features(known, NumericSketch.of(bins, served), calibration, rate)
    samples, weights = _samples(data, window, rate)
    labels, answers = data.validation.labels, window.probabilities

    def expected(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        return expected_right(validation, labels, probabilities, weights)

    chances = expected(answers)
    right = int((validation.argmax(axis=1) == labels).sum())
    order = np.argsort(-drift.effect, kind="stable")
    order = order[drift.drifted[order]]
    features = data.train.features, window.features
    weak = find_weak_slices(served, 1 - chances, names)
    inside = weak[0].holds(served) if weak else np.zeros(len(served), bool)
    figures = Figures(
        rows=len(served),
        features=len(names),
        drifted_count=int(drift.drifted.sum()),
        drifted=_listed(order, drift, names, reference, served),
        effect_threshold=drift.threshold,
        output=compare_output(validation, answers, rate),
        quality=check_quality(reference, served, names, rate),
        estimate=estimate_accuracy(validation, labels, answers, weights=weights),
        reference_accuracy=right / len(labels),
        samples=samples,
        limit=rate,
        codes=compare_codes(reference, served, names, calibration.dispersion, rate),
        hours=compare_hours(known, window.times, served, calibration, rate),
        performance=_performance(labelled, data, (right, len(labels)), expected, chances),
        consequences=weigh_drift(ask, expected, *features, order.tolist(), names),
        weak_slices=weak,
        slice_consequences=weigh_drift(
            ask, expected, features[0], features[1][inside], order.tolist(), names
        ),
        anomalies=_anomalies(reference, served, rate),
        changes=find_changes(answers.max(axis=1), rate),
        label_first=tuple(rows_to_label(chances, _LABELS_ASKED_FOR)[0].tolist()),
    )
    return Judgement(figures, drift.effect)


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


def _samples(
    data: Dataset, window: PredictionWindow, rate: float
) -> tuple[SampleTest | None, NDArray[np.float64] | None]:
    """Return whether the rows as a whole differ and, if so, weights that make up for it."""
    if not all(np.isfinite(split.features).all() for split in (data.train, data.validation)):
        return None, None
    reference, labelled, served = embed(
        data.train.features, data.validation.features, window.features
    )
    found = compare_samples(reference, served)
    if found is None or found.p_value >= rate:
        return found, None
    weights = window_weights(labelled, served)
    worth = weights.sum() ** 2 / (weights**2).sum()
    return found, weights if worth >= _FEWEST_EFFECTIVE else None


def _anomalies(
    reference: NDArray[np.float32], served: NDArray[np.float32], rate: float
) -> tuple[Anomaly, ...]:
    known = reference[np.isfinite(reference).all(axis=1)]
    if len(known) < 2:
        return ()
    found = odd_values("inputs", *isolation_oddity(known, served), rate)
    return () if found is None else (found,)


def _flat(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return features.reshape(len(features), -1)


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
        "window_drifted_share": figures.drifted_count / figures.features,
        "window_quality_findings": len(figures.quality),
        "validation_accuracy": figures.reference_accuracy,
    }
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
