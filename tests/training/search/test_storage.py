"""Studies in a real PostgreSQL, and passwords that are never shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb import SearchConfig, search
from agiwb.errors import CancelledError, ConfigError, WorkspaceError
from agiwb.runs.database_url import shown
from agiwb.runs.events import Event
from agiwb.training.search.storage import open_storage, storage_url
from tests.postgres import PASSWORD, SPELT, PostgresServer


@pytest.mark.parametrize(
    "storage", ["postgresql://me:s3cret@host/db", "postgresql://host/db?password=s3cret"]
)
def test_a_config_takes_no_password_and_does_not_repeat_it(storage: str) -> None:
    with pytest.raises(ConfigError, match="AGIWB_OPTUNA_STORAGE") as caught:
        SearchConfig(storage=storage)
    assert "s3cret" not in str(caught.value)


def test_a_postgresql_url_names_the_driver_that_is_installed(tmp_path: Path) -> None:
    config = SearchConfig(storage="postgres://me@host:5432/db")
    assert config.storage == "postgresql+psycopg://me@host:5432/db"


def test_the_environment_names_the_storage_of_all_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert storage_url(None, tmp_path, "mine").database == str(tmp_path / "search" / "mine.db")
    monkeypatch.setenv("AGIWB_OPTUNA_STORAGE", "postgresql://me:s3cret@host/db?password=other")
    url = storage_url(None, tmp_path, "mine")
    assert url.password == "s3cret"  # noqa: S105
    assert shown(url) == "postgresql+psycopg://me:***@host/db"
    monkeypatch.setenv("AGIWB_OPTUNA_STORAGE", "nonsense://s3cret@x")
    with pytest.raises(ConfigError, match="AGIWB_OPTUNA_STORAGE") as caught:
        storage_url(None, tmp_path, "mine")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_refuses_is_named_without_the_password(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = "wrong-password"
    monkeypatch.setenv("AGIWB_OPTUNA_STORAGE", postgres.url(secret=wrong))
    with pytest.raises(WorkspaceError, match=r"agiwb:\*\*\*@127.0.0.1.*authentication") as caught:
        open_storage(storage_url(None, tmp_path, "mine"))
    assert wrong not in str(caught.value)


@pytest.mark.slow
def test_a_search_goes_on_through_postgresql_and_the_password_stays_there(
    postgres: PostgresServer,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGIWB_OPTUNA_STORAGE", postgres.url())
    config = SearchConfig(
        architecture="mlp", layers=1, epochs=1, batch_size=512, space=["units=8,16"], sampler="grid"
    )
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.append(event.message)

    def stop() -> bool:
        return any(message.startswith("trial 0 ") for message in heard)

    with pytest.raises(CancelledError):
        search(config, listener=listen, cancelled=stop)
    heard.clear()
    record = search(config, listener=listen)
    assert not stop()
    assert [trial.state for trial in record.trials] == ["complete"] * 2
    assert record.storage == f"postgresql+psycopg://agiwb:***@127.0.0.1:{postgres.port}/postgres"
    assert not list(workspace.glob("search/*.db"))
    files = [path for path in workspace.rglob("*") if path.is_file()]
    assert len(files) > 5
    told = "".join([*heard, *capfd.readouterr()]).encode()
    for secret in (PASSWORD.encode(), SPELT.encode()):
        assert not [path for path in files if secret in path.read_bytes()]
        assert secret not in told


CONTENDER = """
import sys, time
from pathlib import Path
from agiwb import SearchConfig
from agiwb.errors import WorkError
from agiwb.training.search.study import Study

beat = Study.beat

def late(study):
    time.sleep(0.3)  # long enough for the others to find the study free, if they may look
    beat(study)

Study.beat = late
config = SearchConfig(architecture="mlp", space=["units=8,16"], sampler="grid")
study = Study(config, "contested", Path(sys.argv[1]), maximise=True)
print("ready", flush=True)
sys.stdin.readline()
try:
    with study.carried(anew=False):
        print("carried", flush=True)
        sys.stdin.readline()
except WorkError as error:
    print(error, flush=True)
"""


@pytest.mark.slow
def test_of_several_processes_at_once_one_takes_the_study(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    environment = {**os.environ, "AGIWB_OPTUNA_STORAGE": postgres.url()}
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", CONTENDER, tmp_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(3)
    ]  # fmt: skip
    try:
        ready = [_next_line(contender) for contender in contenders]
        for contender in contenders:
            assert contender.stdin is not None
            contender.stdin.write("go\n")
            contender.stdin.flush()
        said = [_next_line(contender) for contender in contenders]
    finally:
        for contender in contenders:
            contender.kill()
            contender.communicate()
    assert ready == ["ready\n"] * 3
    assert said.count("carried\n") == 1
    assert sum("is carrying out this very search" in line for line in said) == 2


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
