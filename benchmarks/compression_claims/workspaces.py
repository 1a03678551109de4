"""Runs of the steps as users make them, in a workspace that goes with the benchmark."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agiwb import SweepRecord, TrainRecord


@contextlib.contextmanager
def own_workspace() -> Iterator[Path]:
    """Have all runs write into a folder of their own, and yield it."""
    former = os.environ.get("AGIWB_WORKSPACE")
    with tempfile.TemporaryDirectory(prefix="agiwb-benchmark-") as folder:
        os.environ["AGIWB_WORKSPACE"] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop("AGIWB_WORKSPACE")
            if former is not None:
                os.environ["AGIWB_WORKSPACE"] = former


def trained(**fields: Any) -> TrainRecord:
    """Return the record of a training, which tells nothing while it runs."""
    from agiwb import TrainConfig, train

    return train(TrainConfig(**fields), listener=lambda _event: None)


def swept(model: TrainRecord, **fields: Any) -> SweepRecord:
    """Return the record of a sweep of ``model``, whose latencies are measured but briefly."""
    from agiwb import SweepConfig, sweep

    usual = {"sensitivity": False, "latency_blocks": 5, "latency_runs": 2}
    config = SweepConfig(model=model.run.id, **{**usual, **fields})
    return sweep(config, listener=lambda _event: None)
