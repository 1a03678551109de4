"""A disk that fills under the prediction log: serving goes on, the loss is told, and it ends."""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess

import psutil
import pytest

from tests.serving.abuse.abused_server import abused

pytestmark = pytest.mark.slow
WIDE = b'{"instances":[' + b"1," * 299 + b"1]}"


@contextlib.contextmanager
def small_disk(folder):
    """Yield how to fill and to free a file system of 64 KiB on ``folder``."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a file system")
    try:
        ballast = folder / "ballast"
        yield (
            lambda _: ballast.write_bytes(bytes(40_000)),
            lambda _: ballast.unlink(),
            "disk_full",
        )
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def files_that_may_not_grow(folder):
    """Yield how to forbid a process to write to files, and to allow it again."""
    unlimited = resource.RLIM_INFINITY
    yield (
        lambda process: process.rlimit(psutil.RLIMIT_FSIZE, (0, unlimited)),
        lambda process: process.rlimit(psutil.RLIMIT_FSIZE, (unlimited, unlimited)),
        "file_too_large",
    )


def counted(server, name):
    """Return the sum of a counter, and the labels that it has."""
    found = re.findall(
        rf"^{name}{{(.*)}} (\S+)$", server.get("/metrics").body.decode(), re.MULTILINE
    )
    return sum(float(value) for _, value in found), " ".join(labels for labels, _ in found)


@pytest.mark.parametrize("make", [small_disk, files_that_may_not_grow])
def test_serving_goes_on_while_the_disk_is_full_and_logging_when_it_is_not(tmp_path, make):
    folder = tmp_path / "predictions"
    folder.mkdir()
    with make(folder) as (fill, free, reason), abused(tmp_path, f"--log-folder={folder}") as server:

        def ask(times):
            for _ in range(times):
                reply = server.post("/v1/models/half:predict", WIDE)
                assert reply.status == 200, reply.body

        ask(2)
        assert counted(server, "agiwb_predictions_lost_total")[0] == 0
        fill(server.process)
        ask(100)
        lost, labels = counted(server, "agiwb_predictions_lost_total")
        logged, _ = counted(server, "agiwb_predictions_logged_total")
        assert 0 < lost <= 100
        assert lost + logged == 102
        assert f'reason="{reason}"' in labels
        assert 'model="half"' in labels
        free(server.process)
        ask(3)
        assert counted(server, "agiwb_predictions_lost_total")[0] == lost
        assert counted(server, "agiwb_predictions_logged_total")[0] == logged + 3
        told = (tmp_path / "server.log").read_text()
    # The server's log is no file of the small disk; where no file may grow, it is silent too.
    if reason == "disk_full":
        assert told.count("not logged any more") == 1
        assert told.count("logged again") == 1
