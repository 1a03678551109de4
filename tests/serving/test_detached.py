"""Servers that outlive whoever started them."""

from __future__ import annotations

import gc
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agiwb.errors import InputError, NotFoundError, ServingError
from agiwb.serving.detached import DetachedServer, find_server, list_servers, serve_detached
from agiwb.serving.live import figures, read_metrics
from agiwb.serving.serve import ServeConfig
from tests.serving.onnx_models import make_artifact

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))
        yield make_artifact(tmp_path_factory.mktemp("artifact"))
        for server in list_servers():
            server.stop()


@pytest.fixture(scope="module")
def server(artifact: Path) -> DetachedServer:
    """A server that another process started, which has ended since."""
    code = "import sys; from agiwb import ServeConfig\n"
    code += "from agiwb.serving.detached import serve_detached\n"
    code += "print(serve_detached(ServeConfig(model=sys.argv[1], rest_api_port=0, grpc=False)).id)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(artifact)], capture_output=True, check=True, text=True
    )
    started = find_server(done.stdout.strip())
    started.wait_until_ready()
    return started


def test_it_is_found_and_asked_from_another_process(server: DetachedServer) -> None:
    assert [one["state"] for one in map(DetachedServer.describe, list_servers())] == ["running"]
    endpoint = server.endpoint()
    assert endpoint.answer([2.0])["y"] == pytest.approx([3.0])
    assert endpoint.rollout()["champion"] == 1  # the operator's key opens its routes
    assert server.model_folder() == server.model_folder().resolve()
    del endpoint
    gc.collect()
    assert server.state == "running"
    ready = server.ready()
    assert ready is not None
    assert find_server(ready.address).id == server.id


def test_only_its_owner_can_read_its_key(server: DetachedServer) -> None:
    folder = server._folder
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.key.stat().st_mode) == 0o600


def test_its_metrics_become_figures(server: DetachedServer) -> None:
    endpoint = server.endpoint()
    before = read_metrics(endpoint.metrics(), at=0.0)
    for _ in range(20):
        endpoint.answer([1.0])
    with pytest.raises(InputError):
        endpoint.answer([[1.0, 2.0]])
    found = figures(before, read_metrics(endpoint.metrics(), at=10.0))
    assert found.requests_per_s == pytest.approx(2.1)
    assert found.errors >= 1
    assert found.p50_ms is not None
    assert found.p99_ms is not None
    assert 0 < found.p50_ms <= found.p99_ms
    assert found.versions == {"1": ("AVAILABLE", None)}
    assert found.disagreement is None


def test_one_that_cannot_start_says_why_and_is_taken_off_the_list(artifact: Path) -> None:
    failed = serve_detached(ServeConfig(model=str(artifact.parent / "no"), rest_api_port=0))
    with pytest.raises(ServingError, match="There is no model"):
        failed.wait_until_ready()
    assert failed.state == "ended"
    assert failed.id in [one.id for one in list_servers()]
    failed.stop()
    assert failed.id not in [one.id for one in list_servers()]
    with pytest.raises(NotFoundError):
        find_server(failed.id)


def test_a_killed_one_is_seen_as_ended_and_a_stopped_one_is_gone(artifact: Path) -> None:
    started = serve_detached(ServeConfig(model=str(artifact), rest_api_port=0, grpc=False))
    started.wait_until_ready()
    os.kill(started.info.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while started.state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started.state == "ended"
    started.stop()

    again = serve_detached(ServeConfig(model=str(artifact), rest_api_port=0, grpc=False))
    again.wait_until_ready()
    process = again.process()
    endpoint = again.endpoint()
    endpoint.stop()
    again.stop()
    again.stop()
    assert process is not None
    assert not process.is_running() or process.status() == "zombie"
    assert np.isscalar(endpoint.process_id)
