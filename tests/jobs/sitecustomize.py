"""Read by each Python process that has this folder on its path: the tests' steps get names.

A worker is a process of its own, and finds a step by its name.
"""

from __future__ import annotations

from agiwb.runs.registry import STEPS, StepEntry

STEPS["count"] = StepEntry("tests.jobs.job_steps:count", "Count.")
STEPS["fit"] = StepEntry("tests.jobs.job_steps:fit", "Fit a small model.")
