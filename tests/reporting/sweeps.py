"""Records of sweeps written by hand, judged as a sweep would judge them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from agiwb.compression.advisor import Processor
from agiwb.compression.candidate import Candidate
from agiwb.compression.constraints import Limits
from agiwb.compression.grounds import Circumstances
from agiwb.compression.judging import judge
from agiwb.compression.sweep import SweepConfig, SweepRecord
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import RunInfo

CIRCUMSTANCES = Circumstances(
    processor=Processor("x86", frozenset({"avx2"})),
    test_examples=360,
    floor=1.02,
    noise_ratio=0.99,
    batch_floor=1.03,
)


def sweep_of(*candidates: Candidate, **more: Any) -> SweepRecord:
    """Return a record of these, the baseline among them, with what a sweep would say of them."""
    right = {
        c.name: np.arange(300) < round(300 * c.measured.validation_accuracy)
        for c in candidates
        if c.measured
    }
    judgement = judge(candidates, right, CIRCUMSTANCES, Limits(0.01))
    provenance = Provenance(
        inputs={},
        parents={},
        packages={},
        code_sha256="",
        git_commit=None,
        git_dirty=None,
        python="",
        machine="",
    )
    values: dict[str, Any] = {
        "run": RunInfo(
            id="0",
            step="sweep",
            folder=Path(),
            cache_key="",
            started_at=datetime(2024, 1, 1, tzinfo=UTC),
            provenance=provenance,
        ),
        "config": SweepConfig(),
        "model_name": "digits-cnn",
        "dataset": "digits",
        "test_examples": 360,
        "chance_level": 0.1,
        "candidates": judgement.candidates,
        "latency_noise_ratio": 0.99,
        "latency_floor": 1.02,
        "chosen": judgement.choice.name,
        "choice_reason": judgement.choice.reason,
        "nearest": judgement.choice.nearest,
        "picks": judgement.picks,
        "hypervolume": judgement.hypervolume,
        "hypervolume_reference": judgement.reference,
        "advice": "",
        "sensitivity": (),
        "overhead_ratio": None,
    }
    return SweepRecord(**{**values, **more})
