"""The tutorial's commands, run as they are written, one after the other, in an empty workspace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb.runs.store import open_store
from tests.docs.fences import blocks_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
_STOP_SERVERS = "trap 'agiwb servers --json | grep -q running && agiwb servers stop $ADDRESS' EXIT"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_tutorial_runs_as_written(workspace: Path, tmp_path: Path) -> None:
    """But for the server's ports, which another server of this machine may have."""
    for name in ("notebooks", "reports"):  # as in the checkout that the tutorial asks for
        (tmp_path / name).symlink_to(ROOT / name)
    port = str(free_port())
    (tmp_path / "ports.yaml").write_text(f"rest_api_port: {port}\nport: {free_port()}\n")
    blocks = blocks_of((ROOT / "docs" / "tutorial.md").read_text("utf-8"))
    for block in blocks:
        if block.title:
            (tmp_path / block.title).write_text(block.text.replace("8501", port))
    script = "".join(block.text for block in blocks if block.language == "bash")
    assert "agiwb serve " in script
    script = script.replace("8501", port).replace(
        "agiwb serve ", "agiwb serve --config ports.yaml "
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-x", "-c", f"{_STOP_SERVERS}\n{script}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "ADDRESS": f"http://127.0.0.1:{port}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    steps = {summary.step for summary in open_store().summaries()}
    assert steps == {"train", "sweep", "convert", "evaluate", "monitor"}
    assert "360 labels were added" in done.stdout
    assert "The champion of digits-cnn is version 1." in done.stdout
    reports = sorted(file.stem for file in (tmp_path / "digits-reports").glob("*.html"))
    assert reports == ["audit", "evaluation", "model_card", "monitoring", "tradeoff"]
    assert "The server did not start" not in done.stderr
