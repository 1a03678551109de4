"""The Dockerfile, really built, and its server, really started and asked.

The base image is made with mmdebstrap, of no more than Python needs; the build runs in a chroot,
and the packages come out of the bundle itself: no registry of images is asked.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agiwb.deployment.bundle import BundleConfig, BundleRecord, bundle
from agiwb.serving.address import listen
from tests.deployment.digits_artifact import write_digits_artifact

MISSING = [name for name in ("buildah", "mmdebstrap") if shutil.which(name) is None]
BASE = "docker.io/library/python:3.11-slim"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        bool(MISSING) and "CI" not in os.environ, reason=f"not installed: {', '.join(MISSING)}"
    ),
]


class Buildah:
    """buildah with a storage of its own."""

    def __init__(self, place: Path) -> None:
        self.words = ["buildah", "--root", str(place / "root"), "--runroot", str(place / "run")]
        self.words += ["--storage-driver", "vfs"]

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [*self.words, *words], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()


@pytest.fixture(scope="module")
def wheeled(empty_history: Path, tmp_path_factory: pytest.TempPathFactory) -> BundleRecord:
    """A bundle with the server's packages inside."""
    place = tmp_path_factory.mktemp("wheeled")
    (place / "workspace").mkdir()
    shutil.copy(empty_history, place / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(place / "workspace"))
        model = write_digits_artifact(place / "model")
        return bundle(BundleConfig(model=str(model), samples=4, wheels=True))


@pytest.fixture(scope="module")
def image(wheeled: BundleRecord, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """A storage that holds the image ``server``, built from the bundle."""
    place = tmp_path_factory.mktemp("images")
    base = place / "base.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=extract",
         "--include=dash,coreutils,libstdc++6,python3,python3-venv", "bookworm", str(base)],
        check=True, timeout=300,
    )  # fmt: skip
    buildah = Buildah(place)
    buildah("from", "--name", "base", "scratch")
    buildah("add", "base", str(base), "/")
    buildah("commit", "--rm", "base", BASE)
    base.unlink()
    buildah("bud", "--isolation", "chroot", "--pull-never", "--tag", "server",
            str(wheeled.run.folder))  # fmt: skip
    yield buildah
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def running(buildah: Buildah, container: str, *words: str) -> Iterator[None]:
    """Run ``words`` in the container, and stop all of it at the end."""
    process = subprocess.Popen(
        [*buildah.words, "run", "--isolation", "chroot", container, "--", *words],
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_ready(url: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.2)


def free_port() -> int:
    with listen("127.0.0.1", 0) as found:
        return int(found.getsockname()[1])


def test_the_image_answers_and_is_not_root(image: Buildah, wheeled: BundleRecord) -> None:
    port = free_port()
    image("from", "--name", "server-1", "--pull-never", "server")
    shown = image("inspect", "--format", "{{.OCIv1.Config.User}}", "server-1")
    assert shown == "10001:10001"
    # As the entry point has it, but on loopback: a test must not be reachable.
    words = ["python", "-m", "agiwb.serving.server", "--host=127.0.0.1", f"--rest_api_port={port}",
             "--no-grpc", "--model_config_file=/etc/agiwb/models.config"]  # fmt: skip
    with running(image, "server-1", *words):
        wait_until_ready(f"http://127.0.0.1:{port}")
        done = subprocess.run(
            [sys.executable, "-I", wheeled.file("smoke_test.py"),
             "--url", f"http://127.0.0.1:{port}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 requests" in done.stdout


def test_the_image_holds_no_tensorflow_and_no_pip(image: Buildah) -> None:
    image("from", "--name", "server-2", "--pull-never", "server")
    look = "import importlib.util as u; print([n for n in ('tensorflow', 'pip') if u.find_spec(n)])"
    found = image("run", "--isolation", "chroot", "server-2", "--", "python", "-c", look)
    assert found == "[]"
