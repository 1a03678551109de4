"""One pass over the rows: every leaf computation of a metrics graph, for all slices at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast import leaves
from agiwb.evaluation.fast import regression_leaves as regression
from agiwb.evaluation.fast.examples import Extracts, count_rows, take_rows
from agiwb.evaluation.fast.grouped_sums import GroupedSums
from agiwb.evaluation.fast.keras_leaves import KerasMeans, KerasStates
from agiwb.evaluation.fast.leaves import Items, Leaf
from agiwb.evaluation.fast.pairs import RowByRowOnlyError
from agiwb.evaluation.fast.row_by_row import RowByRow, single_rows

Membership = list[NDArray[np.int64]]


@dataclass(frozen=True)
class Kinds:
    """A graph's leaf computations by how they are computed.

    ``late`` has those of the first two kinds that met a batch which had to be taken row by row.
    """

    summed: list[tuple[Any, Leaf]] = field(default_factory=list)
    updated: list[Any] = field(default_factory=list)
    row_by_row: list[Any] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)

    def add_late(self, computation: Any) -> None:
        """Note that a batch had no array form for ``computation``."""
        if not any(computation is known for known in self.late):
            self.late.append(computation)

    def names_of_row_by_row(self) -> tuple[str, ...]:
        """Return the combiners that took all rows, or those of some batches, one by one."""
        taken = (*self.row_by_row, *self.late)
        return tuple(type(found.combiner).__name__.strip("_") for found in taken)


def sort_out(computations: list[Any], sample: Extracts) -> Kinds:
    """Return how each computation is done, tried on a few rows.

    Args:
        computations: TFMA's ``MetricComputation``.
        sample: The first rows.
    """
    kinds = Kinds()
    for computation in computations:
        leaf = _leaf(computation) if _takes_standard_inputs(computation) else None
        try:
            if leaf is None:
                raise RowByRowOnlyError  # noqa: TRY301
            if isinstance(leaf, KerasStates):
                leaf.add(sample, [np.zeros(count_rows(sample), np.int64)])
                kinds.updated.append(computation)
            else:
                leaf.items(sample)
                kinds.summed.append((computation, leaf))
        except RowByRowOnlyError:
            kinds.row_by_row.append(computation)
    return kinds


class Tally:
    """What one pass has summed up, of all rows or of one bootstrap sample of them."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._sums = [GroupedSums(leaf.width) for _, leaf in kinds.summed]
        self._states = [KerasStates(found.combiner) for found in kinds.updated]
        self._rest = RowByRow(kinds.row_by_row) if kinds.row_by_row else None
        self._late: dict[int, RowByRow] = {}
        """By a computation's id: what batches without an array form add to it."""
        self._present: set[int] = set()

    def add(
        self,
        extracts: Extracts,
        membership: Membership,
        items: list[Items | None],
        times: NDArray[np.int64] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            extracts: Its rows.
            membership: The slice of each row, one array a slicing spec.
            items: What each summed leaf makes of the batch; see ``items_of``.
            times: How often each row is in this sample; once by default.
        """
        drawn = membership if times is None else [np.where(times, part, -1) for part in membership]
        for numbers in drawn:
            self._present.update(np.unique(numbers).tolist())
        late = []
        for (computation, _), sums, found in zip(
            self._kinds.summed, self._sums, items, strict=True
        ):
            if found is None:
                late.append(computation)
                continue
            values = found.values
            if times is not None:
                values = tuple(column * times[found.rows] for column in values)
            for numbers in drawn:
                sums.add(numbers[found.rows], found.cells, values)
        if self._states or self._rest or late:
            self._add_rows(extracts, membership, times, late)

    def _add_rows(
        self,
        extracts: Extracts,
        membership: Membership,
        times: NDArray[np.int64] | None,
        late: list[Any],
    ) -> None:
        if times is not None:
            index = np.repeat(np.arange(len(times)), times)
            extracts, membership = take_rows(extracts, index), [part[index] for part in membership]
        for computation, state in zip(self._kinds.updated, self._states, strict=True):
            try:
                state.add(extracts, membership)
            except RowByRowOnlyError:
                late.append(computation)
        if self._rest:
            self._rest.add(single_rows(extracts, membership))
        for computation in late:
            self._kinds.add_late(computation)
            taken = self._late.setdefault(id(computation), RowByRow([computation]))
            taken.add(single_rows(extracts, membership))

    def slices(self) -> list[int]:
        """Return the numbers of the slices that have rows in this sample."""
        return sorted(self._present - {-1})

    def result(self, number: int) -> dict[Any, Any]:
        """Return the results of the leaves for one slice, by TFMA's keys."""
        found: dict[Any, Any] = {}
        for (computation, leaf), sums in zip(self._kinds.summed, self._sums, strict=True):
            if id(computation) in self._late:
                found |= self._merged(computation, leaf.accumulator(*sums.of(number)), number)
            else:
                found |= leaf.result(*sums.of(number))
        for computation, state in zip(self._kinds.updated, self._states, strict=True):
            found |= self._merged(computation, state.accumulator(number), number)
        return found | (self._rest.result(number) if self._rest else {})

    def _merged(self, computation: Any, accumulator: Any, number: int) -> dict[Any, Any]:
        """Return the result of an accumulator, together with what was added row by row."""
        late = self._late.get(id(computation))
        parts = [accumulator, *(late.accumulators(number) if late else ())]
        # An iterator, as TFMA's mean errors would count the first item of a list twice.
        merged = computation.combiner.merge_accumulators(iter(parts))
        return dict(computation.combiner.extract_output(merged))


def items_of(kinds: Kinds, extracts: Extracts) -> list[Items | None]:
    """Return what each summed leaf makes of a batch, None if that has no array form."""
    found: list[Items | None] = []
    for _, leaf in kinds.summed:
        try:
            found.append(leaf.items(extracts))
        except RowByRowOnlyError:
            found.append(None)
    return found


def _takes_standard_inputs(computation: Any) -> bool:
    from tensorflow_model_analysis.metrics import metric_types

    standard = metric_types.StandardMetricInputsPreprocessor
    return not computation.preprocessors or (
        len(computation.preprocessors) == 1 and type(computation.preprocessors[0]) is standard
    )


def _leaf(computation: Any) -> Leaf | KerasStates | None:  # noqa: PLR0911 - one for each kind
    """Return the array form of a computation, None if there is none."""
    from tensorflow_model_analysis.metrics import binary_confusion_matrices as binary
    from tensorflow_model_analysis.metrics import calibration as means
    from tensorflow_model_analysis.metrics import calibration_histogram as histogram
    from tensorflow_model_analysis.metrics import example_count as count
    from tensorflow_model_analysis.metrics import mean_regression_error as errors
    from tensorflow_model_analysis.metrics import multi_class_confusion_matrix_metrics as classes
    from tensorflow_model_analysis.metrics import tf_metric_wrapper as wrapped

    combiner = computation.combiner
    kind = type(combiner)
    if kind is count._ExampleCountCombiner:  # noqa: SLF001
        return leaves.ExampleCount(combiner)
    if kind is histogram._CalibrationHistogramCombiner:  # noqa: SLF001
        return leaves.CalibrationHistogram(combiner)
    if kind is binary._BinaryConfusionMatrixCombiner and _is_plain_binary(combiner):  # noqa: SLF001
        return leaves.BinaryConfusionMatrices(combiner)
    if kind is classes._MultiClassConfusionMatrixCombiner and _prepares_as_usual(combiner):  # noqa: SLF001
        return leaves.MultiClassConfusionMatrices(combiner)
    if kind is means._WeightedLabelsPredictionsExamplesCombiner and not _is_top_k(combiner):  # noqa: SLF001
        return leaves.LabelsAndPredictions(combiner)
    if kind is wrapped._CompilableMetricsCombiner:  # noqa: SLF001
        if KerasMeans.fits(combiner):
            return KerasMeans(combiner)
        states = KerasStates(combiner)
        return states if states.plain else None
    mean_of = {
        errors._MeanAbsoluteErrorCombiner: regression.absolute_error,  # noqa: SLF001
        errors._MeanSquaredErrorCombiner: regression.squared_error,  # noqa: SLF001
        errors._MeanAbsolutePercentageErrorCombiner: regression.absolute_percentage_error,  # noqa: SLF001
        errors._MeanSquaredLogarithmicErrorCombiner: regression.squared_logarithmic_error,  # noqa: SLF001
    }
    error = mean_of.get(kind)
    return regression.MeanRegressionError(combiner, error) if error else None


def _prepares_as_usual(combiner: Any) -> bool:
    """Return whether it pairs labels and predictions by TFMA's usual function."""
    from tensorflow_model_analysis.metrics import metric_util

    usual = metric_util.to_label_prediction_example_weight
    return combiner._extract_label_prediction_and_weight is usual  # noqa: SLF001


def _is_plain_binary(combiner: Any) -> bool:
    return _prepares_as_usual(combiner) and not combiner._example_id_key  # noqa: SLF001


def _is_top_k(combiner: Any) -> bool:
    key = combiner._key.sub_key  # noqa: SLF001
    return key is not None and key.top_k is not None
