"""The page about fleets: its commands run as written, with a real scheduler and two workers."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agiwb import ConvertConfig, SweepRecord, TrainConfig, convert, train
from agiwb.runs.store import open_store
from tests.crews.dask_cluster import free_port
from tests.docs.fences import blocks_of, commands_in
from tests.postgres import PASSWORD, PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "fleet.md"
ASK_UNTIL_READY = """
import sys, time, urllib.request
for port in sys.argv[1:]:
    ends = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready").close()
            break
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.2)
"""
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def section(title: str) -> str:
    """Return what the page has under a heading."""
    whole = PAGE.read_text("utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", whole, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def bash_of(title: str) -> str:
    """Return the commands under a heading."""
    return "".join(block.text for block in blocks_of(section(title)) if block.language == "bash")


def run_as_written(script: str, folder: Path, **environment: str) -> str:
    """Return what the commands say, each before what it does; what they started is ended."""
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-e", "-x", "-c", script],
            cwd=folder, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "PATH": PATH, **environment},
        )  # fmt: skip
        try:
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    said = log.read_text("utf-8", "replace")
    assert code == 0, said
    return said


def test_the_commands_for_dask_and_beam_run_as_written(
    workspace: Path, tmp_path: Path, empty_history: Path
) -> None:
    """But for the scheduler's port, which another one of this machine may have."""
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    for worker in ("one", "two"):  # to make the tables takes seconds
        (tmp_path / worker).mkdir()
        shutil.copy(empty_history, tmp_path / worker)
    port = str(free_port())
    blocks = blocks_of(section("Workers: Dask") + section("Evaluation: TFMA on Beam"))
    for block in blocks:
        if block.language == "yaml":
            (tmp_path / block.title).write_text(block.text)
    script = "".join(block.text for block in blocks if block.language == "bash")
    run_as_written(script.replace("8786", port), tmp_path)
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


def test_the_commands_for_a_shared_history_run_as_written(
    workspace: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    """But for the server's port."""
    script = bash_of("History: PostgreSQL").replace("5432", str(postgres.port))
    said = run_as_written(script, tmp_path, PGPASSWORD=PASSWORD)
    assert f"127.0.0.1:{postgres.port}/history; it answers" in said
    assert PASSWORD not in said
    decided = said.partition("agiwb history digits-mlp")[2]
    assert re.search(r"promote +1 .*champion 1", decided)


def test_the_commands_for_shared_files_run_as_written(tmp_path: Path, empty_history: Path) -> None:
    shutil.copy(empty_history, tmp_path / "history.db")
    said = run_as_written(bash_of("Files: the object store"), tmp_path)
    listed = said.partition("agiwb runs list")[2]
    assert "train" in listed
    assert "convert" in listed
    here = {path.parent.parent.name for path in (tmp_path / "two").glob("artifacts/*/*/artifacts")}
    assert here == {"train", "convert"}


def test_the_commands_for_servers_and_the_plan_run_as_written(
    workspace: Path, tmp_path: Path
) -> None:
    """But for the ports, and for the bar, which a busy machine may not keep to."""
    trained = train(TrainConfig(architecture="mlp", units=32, epochs=6))
    made = convert(ConvertConfig(model=trained.run.id, formats=("onnx",)))
    shutil.copytree(made.file("onnx"), tmp_path / "models" / "digits" / "1")
    script = bash_of("Servers behind a load balancer")
    ports = {port: str(free_port()) for port in ("8601", "8602", "8701", "8702")}
    for port, free in ports.items():
        script = script.replace(port, free)
    wait = f"python -c {shlex.quote(ASK_UNTIL_READY)} {ports['8601']} {ports['8602']}\n"
    plan = bash_of("How many servers: the plan").replace("--p99-ms 50 ", "--p99-ms 5000 ")
    said = run_as_written(script + wait + plan, tmp_path)
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert "replicas" in said
    assert len(list((tmp_path / "models" / ".fleet" / "members").glob("*.json"))) == 2


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
