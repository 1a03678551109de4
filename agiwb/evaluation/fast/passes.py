"""All passes that one metrics graph needs: over all rows, and over each bootstrap sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from agiwb.errors import ConfigError
from agiwb.evaluation.fast.examples import Extracts, count_rows, take_rows
from agiwb.evaluation.fast.graph import Graph, SliceMetrics, without_plots
from agiwb.evaluation.fast.row_by_row import RowByRow, query_groups
from agiwb.evaluation.fast.slices import Slicing
from agiwb.evaluation.fast.tally import Kinds, Membership, Tally, items_of, sort_out

_SAMPLE_ROWS = 8
_SEED = 0
"""Equal data give equal intervals."""


class Passes:
    """The metrics specs that share a query key, summed up batch by batch.

    With confidence intervals each row is in each of TFMA's 20 samples as often as a Poisson
    variable of mean 1 says (Chamandy et al. 2012). A row is drawn once for all slices and models
    of a sample, so that the interval of a difference is that of paired rows.
    """

    def __init__(self, query_key: str, specs: list[Any], eval_config: Any) -> None:
        self._query_key = query_key
        self._graph = Graph(specs, eval_config)
        samples, self._skipped = _bootstrap(specs, eval_config)
        # Curves take most of the time, and have no intervals.
        drawn = without_plots(specs, eval_config) if samples else []
        self._sampled = Graph(drawn, eval_config) if drawn else None
        self._samples = samples if drawn else 0
        self._kinds: list[Kinds] = []
        """Of the whole, and of the samples."""
        self._tallies: list[Tally] = []
        self._kept: list[tuple[Extracts, Membership]] = []
        self._random = np.random.default_rng(_SEED)

    @property
    def row_by_row(self) -> tuple[str, ...]:
        """The combiners that TFMA's own code fed row by row."""
        if self._query_key:
            return tuple(type(leaf.combiner).__name__.strip("_") for leaf in self._graph.leaves)
        return self._kinds[0].names_of_row_by_row() if self._kinds else ()

    def add(self, extracts: Extracts, membership: Membership) -> None:
        """Add a batch; a query's rows may be in several, so that they are kept until the end."""
        if self._query_key:
            self._kept.append((extracts, membership))
            return
        if not self._kinds:
            first = take_rows(extracts, slice(None, _SAMPLE_ROWS))
            graphs = filter(None, (self._graph, self._sampled))
            self._kinds = [sort_out(graph.leaves, first) for graph in graphs]
            self._tallies = [Tally(self._kinds[0])]
            self._tallies += [Tally(self._kinds[-1]) for _ in range(self._samples)]
        self._tallies[0].add(extracts, membership, items_of(self._kinds[0], extracts))
        if self._samples:
            items = items_of(self._kinds[-1], extracts)
        for tally in self._tallies[1:]:
            tally.add(extracts, membership, items, self._random.poisson(1, count_rows(extracts)))

    def results(self, slicing: Slicing, least: int) -> SliceMetrics:
        """Return the metrics and plots of each slice, with intervals if they were asked for.

        Args:
            slicing: Tells the slices' keys and sizes.
            least: Slices of fewer elements get TFMA's error in place of their metrics.
        """
        if self._query_key:
            (full, *samples), sizes = self._of_queries()
        else:
            full, *samples = (
                {number: tally.result(number) for number in tally.slices()}
                for tally in self._tallies
            )
            sizes = dict(enumerate(slicing.sizes))
        found = self._graph.derive(_keyed(full, slicing))
        if self._sampled is not None:
            drawn = [self._sampled.derive(_keyed(sample, slicing)) for sample in samples]
            found = _with_intervals(found, drawn, self._skipped)
        small = {slicing.keys[number] for number, size in sizes.items() if size < least} - {()}
        return {
            key: _too_small(least) if _touches(key, small) else self._graph.finish(values)
            for key, values in found.items()
        }

    def _of_queries(self) -> tuple[list[dict[int, Any]], dict[int, int]]:
        elements = [
            element
            for extracts, membership in _joined(self._kept)
            for element in query_groups(extracts, membership, self._query_key)
        ]
        sizes: dict[int, int] = {}
        for _, numbers in elements:
            for number in numbers:
                sizes[number] = sizes.get(number, 0) + 1
        found = []
        for sample in range(self._samples + 1):
            graph = self._sampled if sample and self._sampled else self._graph
            count = len(elements)
            times = self._random.poisson(1, count) if sample else np.ones(count, int)
            tally = RowByRow(graph.leaves)
            drawn = [e for e, n in zip(elements, times, strict=True) for _ in range(n)]
            tally.add(drawn)
            present = sorted({number for _, numbers in drawn for number in numbers})
            found.append({number: tally.result(number) for number in present})
        return found, sizes


def _joined(kept: list[tuple[Extracts, Membership]]) -> list[tuple[Extracts, Membership]]:
    if len(kept) < 2:
        return kept
    extracts = [extracts for extracts, _ in kept]
    joined = {name: _concatenated([part[name] for part in extracts]) for name in extracts[0]}
    columns = zip(*(membership for _, membership in kept), strict=True)
    return [(joined, [np.concatenate(column) for column in columns])]


def _concatenated(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {name: _concatenated([part[name] for part in parts]) for name in parts[0]}
    return None if parts[0] is None else np.concatenate(parts)


def _keyed(found: dict[int, dict[Any, Any]], slicing: Slicing) -> SliceMetrics:
    return {slicing.keys[number]: values for number, values in found.items()}


def _touches(key: Any, small: set[Any]) -> bool:
    """Return whether a slice, or one of a pair of slices, is among ``small``."""
    return key in small or (len(key) == 2 and any(part in small for part in key))


def _too_small(least: int) -> dict[Any, Any]:
    from tensorflow_model_analysis import constants

    return {
        constants.ERROR_METRIC_NAME: "Example count for this slice key is lower than the minimum "
        f"required value: {least}. No data is aggregated for this slice."
    }


def _bootstrap(specs: list[Any], eval_config: Any) -> tuple[int, Any]:
    """Return how many samples TFMA draws, and the metrics that get no interval."""
    from tensorflow_model_analysis.evaluators import (
        metrics_plots_and_validations_evaluator as home,
    )

    asked = home._get_confidence_interval_params(eval_config, specs)  # noqa: SLF001
    if asked.num_jackknife_samples:
        raise ConfigError(
            "`confidence_intervals` of the EvalConfig asks for the jackknife, which the fast "
            "engine does not have.",
            "Set its `method` to POISSON_BOOTSTRAP, or evaluate with `engine: tfma`.",
        )
    return asked.num_bootstrap_samples, asked.skip_ci_metric_keys


def _with_intervals(full: SliceMetrics, samples: list[SliceMetrics], skipped: Any) -> SliceMetrics:
    """Return each value with its distribution, by TFMA's own summary of samples."""
    from tensorflow_model_analysis.evaluators import confidence_intervals_util as home
    from tensorflow_model_analysis.evaluators import poisson_bootstrap

    combine = poisson_bootstrap._BootstrapSampleCombineFn(len(samples), skipped)  # noqa: SLF001
    whole = poisson_bootstrap._FULL_SAMPLE_ID  # noqa: SLF001
    found = {}
    for key, values in full.items():
        state = combine.create_accumulator()
        state = combine.add_input(state, home.SampleMetrics(values, whole))
        for number, sample in enumerate(samples):
            if key in sample:
                state = combine.add_input(state, home.SampleMetrics(sample[key], number))
        found[key] = combine.extract_output(state)
    return found
