"""How long a loaded model runs, measured."""

from __future__ import annotations

import time

from agiwb.artifacts.signature import SIGNATURE_NAME
from agiwb.errors import AgiwbError
from agiwb.runtimes.runtime import Tensors
from agiwb.serving.merging import count_rows
from agiwb.serving.servables.servable import RunTime, Servable
from agiwb.serving.servables.warm_up import MOST_VALUES, zero_batch

_TIMED_RUNS = 3
_SEVERAL = 32
_WORTH_A_SECOND_LOOK_S = 0.01
"""A row that takes longer tells enough: beside it, what each run costs is nothing."""


def time_runs(servable: Servable) -> RunTime:
    """Return what the fastest of a few runs tell, of one row and of several.

    Nothing is known where other sizes are free, too: a long text takes longer than one of a word.
    """
    named = servable.signatures.get(SIGNATURE_NAME)
    if named is None or any(None in spec.shape[1:] for spec in named.signature.inputs):
        return RunTime()
    one, several = (zero_batch(named.signature, rows) for rows in (1, _SEVERAL))
    rows, more = max(count_rows(one), 1), count_rows(several)
    is_large = max((array.size for array in several.values()), default=0) > MOST_VALUES
    try:
        one_s = _fastest(servable, one)
    except AgiwbError:
        return RunTime()
    if more == rows or is_large or one_s > _WORTH_A_SECOND_LOOK_S:
        return RunTime(one_s / rows)
    try:
        several_s = _fastest(servable, several)
    except AgiwbError:  # its file says that the rows are free, and they are not
        return RunTime(one_s / rows)
    row_s = max(several_s - one_s, 0.0) / (more - rows)
    return RunTime(row_s, max(one_s - rows * row_s, 0.0))


def _fastest(servable: Servable, batch: Tensors) -> float:
    durations = []
    for _ in range(_TIMED_RUNS):
        start = time.perf_counter()
        servable.run(batch)
        durations.append(time.perf_counter() - start)
    return min(durations)
