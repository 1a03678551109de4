"""The findings about served models in Prometheus' text format.

The labels are few: the model, its version, the five kinds of change, and once an episode the
feature that led it and its slice. Times are told as such, never as ages: an age stands still when
nobody looks, and an alert on it would never fire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agiwb.monitoring.alerts import KINDS, Findings, read_findings

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

PREFIX = "agiwb_monitor_"
_MODEL = ("model", "version")
_VALUES = {
    "drifted_features_ratio": "Share of the features that drifted, 0 to 1.",
    "worst_feature_effect": "Kolmogorov-Smirnov distance of the feature that drifted most, 0 to 1.",
    "score_effect": "Kolmogorov-Smirnov distance of the top probabilities, 0 to 1.",
    "classes_effect": "Total variation distance of the predicted classes' shares, 0 to 1.",
    "quality_findings": "Features with values that are broken, out of range or constant.",
    "unusable_rows_ratio": "Share of the rows in which the worst feature is NaN or infinite.",
    "reference_accuracy": "Accuracy on the validation split.",
    "estimated_accuracy": "Accuracy expected without labels; blind to concept drift.",
    "estimated_accuracy_high": "Upper end of its 95 % interval.",
    "labelled_accuracy": "Accuracy by the labels that came in, unless they are of chosen rows.",
    "labelled_accuracy_high": "Upper end of its 95 % interval.",
}


class FindingsCollector:
    """The families of all models, read anew at each scrape, for a registry of the client's."""

    def describe(self) -> list[Metric]:
        """Return nothing: the families are known once the findings are read."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families of what is known now."""
        found, unreadable = read_findings()
        yield from families(found)
        yield _gauge(
            "unreadable_files", "Files of findings that cannot be read.", [((), unreadable)], ()
        )


def families(found: Sequence[Findings]) -> Iterator[Metric]:
    """Yield the metric families of the newest check of each model."""
    ids = [(one, (one.model, str(one.version))) for one in found]
    yield _gauge(
        "last_check_timestamp_seconds",
        "When the model was last compared with its training data.",
        [(key, one.checked_at) for one, key in ids],
    )
    yield _gauge("window_rows", "Rows that were compared.", [(key, one.rows) for one, key in ids])
    yield _gauge(
        "alarm",
        "1 while what is served differs from the training data, else 0; none of too few rows.",
        [(key, one.episode is not None) for one, key in ids if one.judged],
    )
    yield _gauge(
        "changed",
        "1 for what the alarm is about.",
        [((*key, kind), kind in one.changed) for one, key in ids if one.judged for kind in KINDS],
        (*_MODEL, "what"),
    )
    episodes = [(one.episode, key) for one, key in ids if one.judged and one.episode is not None]
    yield _gauge(
        "alarm_since_timestamp_seconds",
        "When the alarm began.",
        [(key, episode.since) for episode, key in episodes],
    )
    yield _gauge(
        "alarm_detail",
        "1; the labels say which feature led when the alarm began, and in which slice.",
        [((*key, episode.feature, episode.slice), 1) for episode, key in episodes],
        (*_MODEL, "feature", "slice"),
    )
    for name, words in _VALUES.items():
        yield _gauge(name, words, [(key, v[name]) for one, key in ids if name in (v := one.values)])


def _gauge(
    name: str,
    words: str,
    samples: Sequence[tuple[tuple[str, ...], float]],
    labels: tuple[str, ...] = _MODEL,
) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"{PREFIX}{name}", words, labels=labels)
    for key, value in samples:
        family.add_metric(key, float(value))
    return family
