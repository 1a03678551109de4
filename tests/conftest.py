"""What several tests need: a workspace of their own, and real models trained once."""

from __future__ import annotations

import gc
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from agiwb.runs.record import Record

if TYPE_CHECKING:
    from tests.reported_workspace import Reported
from tests.postgres import PostgresServer, running_postgres

_BROWSER_WEIGHT = 50
"""A test in the browser takes as long as so many slow ones."""

pytest.register_assert_rewrite("tests.conformance.runtime", "tests.conformance.model_family")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take long first: of two workers none is left with one at the end."""
    weight: Counter[Path] = Counter()
    for item in items:
        weight[item.path] += bool(item.get_closest_marker("slow"))
        weight[item.path] += _BROWSER_WEIGHT * bool(item.get_closest_marker("browser"))
    items.sort(key=lambda item: -weight[item.path])


@pytest.fixture(scope="session", autouse=True)
def importable_tests() -> Iterator[None]:
    """Let the processes that tests start import ``tests`` too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts() -> None:
    """Let the processes that tests start hear SIGINT, even if this one was told to ignore it.

    A shell starts what it puts into the background so, and children inherit it.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def only_new_objects_are_looked_at() -> None:
    """Have the garbage collector leave alone what earlier files have imported.

    In a process that runs many files these are millions of objects, and to look through them again
    and again took up to a quarter of its time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def trained_workspace(
    empty_history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A workspace shared by the whole session, in which the models below are trained."""
    path = tmp_path_factory.mktemp("workspace")
    shutil.copy(empty_history, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(path))
        yield path


@pytest.fixture(scope="session")
def digits_run(trained_workspace: Path) -> Record:
    """The record of a small MLP trained on digits."""
    from agiwb import TrainConfig, train

    return train(TrainConfig(architecture="mlp", units=32, epochs=6))


@pytest.fixture(scope="session")
def digits_cnn_run(trained_workspace: Path) -> Record:
    """The record of a small CNN with batch norm trained on digits."""
    from agiwb import TrainConfig, train

    return train(TrainConfig(architecture="cnn", units=16, epochs=4))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; a test that needs an empty database asks it for one."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def reported(empty_history: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reported]:
    """What there is to report in a workspace that is this process's meanwhile."""
    from tests.reported_workspace import reported_workspace

    with reported_workspace(common_folder(tmp_path_factory) / "reported", empty_history) as found:
        yield found


@pytest.fixture(scope="session")
def empty_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without runs: making its tables takes seconds, copying it does not."""
    made = common_folder(tmp_path_factory) / "history" / "mlflow.db"
    with FileLock(made.parent.with_suffix(".lock")):
        if not made.exists():
            from agiwb.runs.mlflow_store import MlflowStore

            path = tmp_path_factory.mktemp("history")
            assert MlflowStore(path).summaries() == []
            made.parent.mkdir(exist_ok=True)
            shutil.copy(path / "mlflow.db", made)
    return made


def common_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder that the processes which share the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture
def workspace(empty_history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace of the test's own."""
    path = tmp_path / "workspace"
    path.mkdir()
    shutil.copy(empty_history, path)
    monkeypatch.setenv("AGIWB_WORKSPACE", str(path))
    return path
