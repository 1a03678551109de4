"""The command line as a user meets it: in a process of its own, by exit code and message."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agiwb.cli import _COMMANDS, COMMAND_ORDER, main
from agiwb.runs.record import Record
from agiwb.runs.registry import STEPS, StepEntry
from agiwb.runs.store import open_store
from tests.jobs import job_steps

pytestmark = pytest.mark.slow


def agiwb(*words: str, workspace: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agiwb", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AGIWB_WORKSPACE": str(workspace)},
    )


def test_every_command_is_listed() -> None:
    reached_otherwise = {"add_dataset", "import_model"}  # `agiwb datasets add`, `agiwb import`
    assert sorted(COMMAND_ORDER) == sorted({*STEPS, *_COMMANDS} - reached_otherwise)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--epoch", "3"], "does not take `--epoch`. Did you mean `--epochs`?"),
        (["train", "--epochs", "ten"], "`epochs` cannot be 'ten'"),
        (["train", "--epochs", "0"], "greater than or equal to 1"),
        (["train", "--dataset", "digitz"], "Did you mean `digits`?"),
        (["train", "--dataset", "no/such.npz"], "no/such.npz. Check the path."),
        (["train", "--architecture", "rnnn"], "Did you mean `rnn`?"),
        (["train", "--epochs"], "expected one argument"),
        (["trian"], "Did you mean `train`?"),
        (["run", "nowhere.ipynb"], "There is no notebook nowhere.ipynb"),
        (["runs", "show", "123456"], "has no run '123456'"),
        (["convert", "--model", "nothing"], "There is no model 'nothing'"),
        (["sweep", "--model", "nothing"], "There is no model 'nothing'"),
        (["serve", "--model", "nothing"], "There is no model 'nothing'"),
    ],
)
def test_wrong_input_is_one_paragraph_and_exit_code_2(
    words: list[str], message: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert printed.out == ""
    assert not (workspace / "artifacts").exists()
    assert not list((workspace / "jobs").glob("*"))


def test_an_npz_without_labels_leaves_no_run(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "bare.npz", x=np.zeros((50, 4)))
    assert main(["train", "--dataset", str(tmp_path / "bare.npz")]) == 2
    assert "has no labels: `y` is missing" in capsys.readouterr().err
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_workspace_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = agiwb("train", workspace=tmp_path / "file" / "w")
    assert answer.returncode == 2
    assert "cannot be written" in answer.stderr
    assert "AGIWB_WORKSPACE" in answer.stderr


def test_a_port_in_use_is_named_before_anything_is_published(
    digits_run: Record, trained_workspace: Path
) -> None:
    from agiwb import ConvertConfig, convert

    converted = convert(ConvertConfig(model=digits_run.run.id, formats=("onnx",)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = agiwb(
            "serve", "--model", converted.run.id, "--model_name", "unpublished",
            "--rest_api_port", port, workspace=trained_workspace,
        )  # fmt: skip
    assert answer.returncode == 2, answer.stderr
    assert port in answer.stderr
    assert not (trained_workspace / "serving" / "unpublished").exists()


def test_a_run_prints_one_json_document_and_flags_override_the_file(
    workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("architecture: mlp\nunits: 8\nepochs: 9\n")
    words = ("train", "--config", str(tmp_path / "config.yaml"), "--epochs", "1", "--json")
    answer = agiwb(*words, workspace=workspace)
    assert answer.returncode == 0, answer.stderr
    record = json.loads(answer.stdout)
    assert record["config"]["units"] == 8
    assert record["config"]["epochs"] == 1
    assert "epoch 1 of 1" in answer.stderr
    shown = agiwb("runs", "show", record["run"]["id"][:8], workspace=workspace)
    assert json.loads(shown.stdout) == record


COUNT = ("count", "--upto", "100000", "--pause-s", "0.05")
"""A step of the tests' own that goes on for long and needs no TensorFlow."""


def test_a_run_stopped_in_the_middle_is_known_as_such(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STEPS, "count", StepEntry("tests.jobs.job_steps:count", "Count."))
    assert main(["count"]) == 0
    (finished,) = open_store().summaries()
    kept = open_store().get(finished.id).model_dump(mode="json")
    capsys.readouterr()
    # Its `sitecustomize` does the same in each process.
    monkeypatch.setenv("PYTHONPATH", str(Path(job_steps.__file__).parent), prepend=os.pathsep)
    training = ("train", "--architecture", "mlp", "--epochs", "5000")
    epochs = r"epoch ([2-9]|\d{2,}) of 5000"
    assert stopped_by(signal.SIGINT, epochs, *training, workspace=workspace) == 130
    assert stopped_by(signal.SIGTERM, "counted 2", *COUNT, workspace=workspace) == 130
    assert stopped_by(signal.SIGKILL, "counted 2", *COUNT, workspace=workspace) == -signal.SIGKILL
    listing = agiwb("runs", "--json", workspace=workspace)
    runs = json.loads(listing.stdout)
    assert [(run["step"], run["state"]) for run in runs] == [
        ("count", "lost"), ("count", "cancelled"), ("train", "cancelled"), ("count", "finished"),
    ]  # fmt: skip
    assert listing.stderr.count("was interrupted: its process is gone") == 1
    assert main(["runs", "show", finished.id]) == 0
    assert json.loads(capsys.readouterr().out) == kept


def stopped_by(number: signal.Signals, said: str, *words: str, workspace: Path) -> int:
    """Return how a command ends that gets a signal once it has said something."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agiwb", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AGIWB_WORKSPACE": str(workspace)},
    )
    with process:
        assert process.stderr is not None
        while not re.search(said, line := process.stderr.readline()):
            assert line
        process.send_signal(number)
        process.stderr.read()
    return process.returncode


def test_doctor_finds_this_installation_well(tmp_path: Path) -> None:
    answer = agiwb("doctor", workspace=tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert "tensorflow" in answer.stdout


def test_datasets_are_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    assert "digits" in capsys.readouterr().out.split()
    assert main(["datasets", "digits"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["examples"] == {"train": 1167, "validation": 270, "test": 360}
