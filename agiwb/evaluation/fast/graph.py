"""TFMA's graph of computations: leaves, derived metrics, cross slices and differences of models.

The rules for what is derived from what are those of TFMA 0.52's
``metrics_plots_and_validations_evaluator``, which has them inside Beam transforms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SliceMetrics = dict[Any, dict[Any, Any]]
"""For each slice, or pair of slices, the values by TFMA's metric keys."""


class Graph:
    """The computations of the metrics specs that share a query key."""

    def __init__(self, specs: list[Any], eval_config: Any) -> None:
        from tensorflow_model_analysis.evaluators import (
            metrics_plots_and_validations_evaluator as home,
        )
        from tensorflow_model_analysis.metrics import metric_specs
        from tensorflow_model_analysis.utils import model_util

        made = metric_specs.to_computations(specs, eval_config=eval_config)
        found = home._filter_and_separate_computations(made)  # noqa: SLF001
        self._home = home
        self._found = found
        self._cross_specs = list(eval_config.cross_slicing_specs)
        baseline = model_util.get_baseline_model_spec(eval_config)
        self._baseline = baseline.name if baseline else None
        self.leaves: list[Any] = list(found.non_derived_computations)

    def derive(self, slices: SliceMetrics) -> SliceMetrics:
        """Return the leaves' results with all that follows from them, private metrics too."""
        derived = {}
        for key, values in slices.items():
            known = dict(values)
            for computation in self._found.derived_computations:
                known.update(computation.result(known))
            derived[key] = known
        derived |= dict(self._cross_slices(derived))
        return {key: values | self._differences(values) for key, values in derived.items()}

    def finish(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Return a slice's metrics with those that need intervals, and without private ones."""
        known = dict(values)
        for computation in self._found.ci_derived_computations:
            known.update(computation.result(known))
        return {key: value for key, value in known.items() if not self._is_private(key)}

    def _is_private(self, key: Any) -> bool:
        return bool(self._home._is_private_metrics(key))  # noqa: SLF001

    def _differences(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Return candidate minus baseline for each metric that can be subtracted."""
        if not self._baseline:
            return {}
        found = {}
        for key, value in values.items():
            if self._is_private(key) or key.is_diff or key.model_name == self._baseline:
                continue
            other = key.make_baseline_key(self._baseline)
            if other in values and self._home._is_metric_diffable(value):  # noqa: SLF001
                found[key.make_diff_key()] = value - values[other]
        return found

    def _cross_slices(self, slices: SliceMetrics) -> Iterator[tuple[Any, dict[Any, Any]]]:
        for spec in self._cross_specs:
            baselines = [key for key in slices if _applies([spec.baseline_spec], key)]
            others = [
                key
                for key in slices
                if (
                    _applies(list(spec.slicing_specs), key)
                    if spec.slicing_specs
                    else not _applies([spec.baseline_spec], key)
                )
            ]
            for baseline in baselines:
                for other in others:
                    yield (baseline, other), self._compared(slices[baseline], slices[other])

    def _compared(self, baseline: dict[Any, Any], other: dict[Any, Any]) -> dict[Any, Any]:
        from tensorflow_model_analysis.metrics import metric_types

        figures = (metric_types.PlotKey, metric_types.AttributionsKey)
        found = {
            key: baseline[key] - value
            for key, value in other.items()
            if key in baseline and not self._is_private(key) and not isinstance(key, figures)
        }
        for computation in self._found.cross_slice_computations:
            found.update(computation.cross_slice_comparison(baseline, other))
        return found


def without_plots(specs: list[Any], eval_config: Any) -> list[Any]:
    """Return the metrics specs less what draws curves: those get no intervals."""
    from tensorflow_model_analysis.proto import config_pb2

    found = []
    for spec in specs:
        figures = [one for one in spec.metrics if not _is_plot(one, spec, eval_config)]
        if figures:
            kept = config_pb2.MetricsSpec()
            kept.CopyFrom(spec)
            del kept.metrics[:]
            kept.metrics.extend(figures)
            found.append(kept)
    return found


def _is_plot(metric: Any, spec: Any, eval_config: Any) -> bool:
    """Return whether all that a metric of a spec comes to, for others to see, is curves."""
    from tensorflow_model_analysis.evaluators import (
        metrics_plots_and_validations_evaluator as home,
    )
    from tensorflow_model_analysis.metrics import metric_specs, metric_types
    from tensorflow_model_analysis.proto import config_pb2

    alone = config_pb2.MetricsSpec()
    alone.CopyFrom(spec)
    del alone.metrics[:]
    alone.metrics.append(metric)
    computations = metric_specs.to_computations([alone], eval_config=eval_config)
    keys = [key for computation in computations for key in getattr(computation, "keys", ())]
    shown = [key for key in keys if not home._is_private_metrics(key)]  # noqa: SLF001
    return bool(shown) and all(isinstance(key, metric_types.PlotKey) for key in shown)


def _applies(specs: list[Any], key: Any) -> bool:
    from tensorflow_model_analysis.slicer import slicer_lib

    return any(slicer_lib.SingleSliceSpec(spec=spec).is_slice_applicable(key) for spec in specs)
