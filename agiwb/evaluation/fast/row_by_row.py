"""What has no array form: TFMA's own preprocessors and combiners, fed one element after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.evaluation.fast.examples import Extracts, count_rows, take_rows

Element = tuple[Extracts, frozenset[int]]
"""One element as TFMA's preprocessors take it, and the numbers of its slices."""


class RowByRow:
    """The accumulators of some computations for every slice."""

    def __init__(self, computations: list[Any]) -> None:
        from tensorflow_model_analysis.evaluators import (
            metrics_plots_and_validations_evaluator as home,
        )

        self._prepare = home._PreprocessorDoFn(computations)  # noqa: SLF001
        self._combine = home._ComputationsCombineFn(computations)  # noqa: SLF001
        self._prepare.setup()
        self._combine.setup()
        self._states: dict[int, Any] = {}

    def add(self, elements: Iterable[Element]) -> None:
        """Add elements, each to all of its slices."""
        from tensorflow_model_analysis import constants

        for extracts, slices in elements:
            for prepared in self._prepare.process(extracts | {constants.SLICE_KEY_TYPES_KEY: None}):
                for number in slices:
                    state = self._states.get(number)
                    if state is None:
                        state = self._combine.create_accumulator()
                    self._states[number] = self._combine.add_input(state, prepared)

    def accumulators(self, number: int) -> tuple[Any, ...]:
        """Return each computation's accumulator for the slice ``number``; none without rows."""
        return tuple(self._states.get(number, ()))

    def result(self, number: int) -> dict[Any, Any]:
        """Return the metrics of the slice ``number``; its state is used up."""
        state = self._states.get(number)
        if state is None:
            state = self._combine.create_accumulator()
        return dict(self._combine.extract_output(state))


def single_rows(extracts: Extracts, membership: list[NDArray[np.int64]]) -> Iterable[Element]:
    """Yield each row with its slices."""
    for row in range(count_rows(extracts)):
        numbers = frozenset(int(each[row]) for each in membership if each[row] >= 0)
        yield take_rows(extracts, row), numbers


def query_groups(
    extracts: Extracts, membership: list[NDArray[np.int64]], query_key: str
) -> list[Element]:
    """Return the rows of each query as one element, in all the slices that any of them is in."""
    import pandas as pd
    from tensorflow_model_analysis.utils import util

    codes, _ = pd.factorize(extracts["features"][query_key][:, 0])
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1) if len(order) else []
    elements = []
    for rows in groups:
        merged = util.merge_extracts([take_rows(extracts, row) for row in rows])
        numbers = {int(each[row]) for row in rows for each in membership if each[row] >= 0}
        elements.append((merged, frozenset(numbers)))
    return elements
