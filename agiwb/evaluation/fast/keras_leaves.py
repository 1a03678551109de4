"""Keras' metrics as TFMA wraps them, fed with whole arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast.leaves import Items, Leaf, Sums
from agiwb.evaluation.fast.pairs import (
    RowByRowOnlyError,
    Rows,
    Wanted,
    one_hot,
    pair_up,
    select_rows,
)


class KerasInputs:
    """The arrays that each output's metrics are updated with."""

    def __init__(self, combiner: Any) -> None:
        self._combiner = combiner
        combiner.setup()
        padded = getattr(combiner.create_accumulator(), "_pad", False)
        self.plain = not padded

    @property
    def metrics(self) -> list[list[Any]]:
        """Keras' metrics of each output."""
        taken = self._combiner
        return [taken._metrics[name] for name in taken._output_names]  # noqa: SLF001

    def rows(self, extracts: Mapping[str, Any], output: int) -> tuple[NDArray[np.intp], Rows]:
        """Return the arrays of one output, and which row of the batch each of theirs is of."""
        combiner = self._combiner
        in_config = combiner._sub_key_in_config  # noqa: SLF001
        aggregation = combiner._aggregation_type  # noqa: SLF001
        wanted = Wanted(
            eval_config=combiner._eval_config,  # noqa: SLF001
            model_name=combiner._model_name,  # noqa: SLF001
            output_name=combiner._output_names[output],  # noqa: SLF001
            sub_key=None if in_config else combiner._sub_key,  # noqa: SLF001
            aggregation_type=aggregation,
            example_weighted=combiner._example_weighted,  # noqa: SLF001
        )
        if aggregation and aggregation.micro_average:
            weights = combiner._class_weights  # noqa: SLF001
            pairs = pair_up(extracts, replace(wanted, class_weights=weights))
            columns = (pairs.labels, pairs.predictions, pairs.weights)
            return pairs.rows, Rows(*(column[:, None] for column in columns))
        if combiner._class_weights:  # noqa: SLF001
            raise RowByRowOnlyError  # which TFMA refuses, in its own words
        found = select_rows(extracts, wanted)
        if in_config and found.labels.shape != found.predictions.shape:
            found = replace(found, labels=one_hot(found.labels, found.predictions.shape[1]))
        return np.arange(len(found.predictions)), found


class KerasMeans(Leaf):
    """Metrics that are a weighted mean of one value an example, which is computed once for all."""

    width = 2

    def __init__(self, combiner: Any) -> None:
        super().__init__(combiner)
        self._inputs = KerasInputs(combiner)

    @staticmethod
    def fits(combiner: Any) -> bool:
        """Return whether every metric of the combiner is such a mean."""
        from tf_keras.metrics import MeanMetricWrapper

        inputs = KerasInputs(combiner)
        each = [metric for metrics in inputs.metrics for metric in metrics]
        unchanged = (
            isinstance(metric, MeanMetricWrapper)
            and type(metric).update_state is MeanMetricWrapper.update_state
            for metric in each
        )
        return inputs.plain and all(unchanged)

    def items(self, extracts: Mapping[str, Any]) -> Items:
        found = list(self._each(extracts))
        return Items(
            np.concatenate([items.rows for items in found]),
            np.concatenate([items.cells for items in found]),
            tuple(np.concatenate([items.values[place] for items in found]) for place in (0, 1)),
        )

    def _each(self, extracts: Mapping[str, Any]) -> Iterator[Items]:
        import tensorflow as tf

        cell = 0
        for output, metrics in enumerate(self._inputs.metrics):
            rows, taken = self._inputs.rows(extracts, output)
            if taken.weights.shape[1] != 1:
                raise RowByRowOnlyError
            weights = taken.weights[:, 0].astype(np.float64)
            for metric in metrics:
                labels = tf.cast(taken.labels, metric.dtype)
                predictions = tf.cast(taken.predictions, metric.dtype)
                values = np.asarray(metric._fn(labels, predictions, **metric._fn_kwargs))  # noqa: SLF001
                if values.shape not in {(len(rows),), (len(rows), 1)}:
                    raise RowByRowOnlyError
                values = values.reshape(len(rows))
                cells = np.full(len(rows), cell)
                yield Items(rows, cells, (values.astype(np.float64) * weights, weights))
                cell += 1

    def accumulator(self, cells: NDArray[np.int64], sums: Sums) -> Any:
        made = self.combiner.create_accumulator()
        totals = dict(zip(cells.tolist(), sums.T.astype(np.float32), strict=True))
        cell = 0
        for output, metrics in enumerate(self._inputs.metrics):
            for place, _ in enumerate(metrics):
                if cell in totals:
                    made.add_weights(output, place, list(totals[cell]))
                cell += 1
        return made


class KerasStates:
    """Any other of Keras' metrics: updated with each slice's rows at once.

    TFMA adds up the states of batches; so does this, of larger ones.
    """

    def __init__(self, combiner: Any) -> None:
        self.combiner = combiner
        self._inputs = KerasInputs(combiner)
        self._states: dict[int, Any] = {}

    @property
    def plain(self) -> bool:
        """Whether the inputs need no padding."""
        return self._inputs.plain

    def add(self, extracts: Mapping[str, Any], membership: list[NDArray[np.int64]]) -> None:
        """Add a batch; ``membership`` numbers the slice of each row, one array a slicing spec.

        Raises:
            RowByRowOnlyError: It is not plain arrays; nothing of it was added.
        """
        # All are looked up first: a batch is added whole or not at all.
        wanted = [self._inputs.rows(extracts, n) for n, _ in enumerate(self._inputs.metrics)]
        for output, metrics in enumerate(self._inputs.metrics):
            rows, taken = wanted[output]
            for numbers in membership:
                for number, places in _by_slice(numbers[rows]):
                    state = self._states.setdefault(number, self.combiner.create_accumulator())
                    columns = (taken.labels, taken.predictions, taken.weights)
                    arrays = [column[places] for column in columns]
                    for place, metric in enumerate(metrics):
                        metric.reset_states()
                        metric.update_state(*arrays)
                        state.add_weights(output, place, metric.get_weights())

    def accumulator(self, number: int) -> Any:
        """Return what TFMA's combiner has added up of the slice ``number``."""
        return self._states.get(number) or self.combiner.create_accumulator()


def _by_slice(numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    for number, places in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
        if number >= 0:
            yield number, places
