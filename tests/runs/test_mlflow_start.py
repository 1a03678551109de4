"""MLflow is started with what a history needs, and is whole for whoever asks for more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_OPEN = """
import sys
from agiwb.runs.store import open_store
assert open_store().summaries() == []
"""


def run(script: str, workspace: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _OPEN + script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AGIWB_WORKSPACE": str(workspace)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_history_needs_no_web_framework(workspace: Path) -> None:
    script = "print('mlflow.tracking.client' in sys.modules, 'fastapi' in sys.modules)"
    assert run(script, workspace) == "True False\n"


def test_who_wants_more_finds_all_of_it(workspace: Path) -> None:
    script = """
import mlflow
from mlflow import MlflowClient, start_run
import mlflow.gateway
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[0]}mine.db")
mlflow.set_experiment("mine")
with start_run() as run:
    mlflow.log_metric("loss", 0.5)
print(MlflowClient().get_run(run.info.run_id).data.metrics)
print(mlflow.gateway.set_gateway_uri.__name__, mlflow.pyfunc.__name__, "genai" in dir(mlflow))
try:
    mlflow.no_such_thing
except AttributeError as error:
    print(error)
"""
    script = script.replace('f"sqlite:///{sys.argv[0]}mine.db"', f'"sqlite:///{workspace}/mine.db"')
    assert run(script, workspace).splitlines() == [
        "{'loss': 0.5}",
        "set_gateway_uri mlflow.pyfunc True",
        "module 'mlflow' has no attribute 'no_such_thing'",
    ]


def test_one_that_is_there_stays_as_it_is(workspace: Path) -> None:
    script = """
import mlflow
before = type(mlflow), sorted(vars(mlflow))
from agiwb.runs.mlflow_start import start_mlflow
start_mlflow()
assert (type(mlflow), sorted(vars(mlflow))) == before
print(type(mlflow).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "module\n"
