"""The page about fleets: its commands run as written, with a real scheduler and two workers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb import SweepRecord
from agiwb.runs.store import open_store
from tests.crews.dask_cluster import free_port
from tests.docs.fences import blocks_of, commands_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "fleet.md"


def section(title: str) -> str:
    """Return what the page has under a heading."""
    whole = PAGE.read_text("utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", whole, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def test_the_commands_for_dask_and_beam_run_as_written(workspace: Path, tmp_path: Path) -> None:
    """But for the scheduler's port, which another one of this machine may have."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    port = str(free_port())
    blocks = blocks_of(section("Workers: Dask") + section("Evaluation: TFMA on Beam"))
    for block in blocks:
        if block.language == "yaml":
            (tmp_path / block.title).write_text(block.text)
    script = "".join(block.text for block in blocks if block.language == "bash")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-e", "-x", "-c", script.replace("8786", port)],
            cwd=tmp_path, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert code == 0, log.read_text("utf-8", "replace")
    summaries = open_store().summaries()
    assert {each.step for each in summaries} == {
        "train", "search", "sweep", "matrix", "convert", "evaluate",
    }  # fmt: skip
    records = {each.step: open_store().get(each.id) for each in summaries}
    for step in ("search", "sweep", "matrix"):
        assert records[step].config.model_dump()["scheduler"] == f"tcp://127.0.0.1:{port}"
    swept = records["sweep"]
    assert isinstance(swept, SweepRecord)
    assert all(candidate.usable for candidate in swept.candidates)


def test_beam_has_each_option_that_the_page_shows() -> None:
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions([]).get_all_options()
    shown = {
        word.partition("=")[0]
        for block in blocks_of(section("Evaluation: TFMA on Beam"))
        for words in commands_in(block.text)
        if "--beam-options" in words
        for word in words[words.index("--beam-options") + 1 :]
    }
    assert {"flink_master", "spark_master_url", "sdk_container_image"} <= shown
    assert shown <= set(known)
