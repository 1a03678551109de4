"""The warm process: its children are what new processes would be, and it forks only if it may."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agiwb import submit
from agiwb.jobs import warm, warm_process
from agiwb.jobs.job import Job
from agiwb.runs.liveness import RunFolder
from tests.jobs.job_steps import CountConfig, FitConfig, FitRecord

pytestmark = pytest.mark.slow

Until = Callable[[Callable[[], object]], None]


def fitted(job: Job) -> tuple[str, str]:
    assert job.wait(120) == "finished", job.error
    record = job.record()
    assert isinstance(record, FitRecord)
    return record.weights_sha256, record.product_sha256


def test_warm_jobs_give_what_a_cold_one_gives_bit_for_bit_two_at_once_too(
    warm_jobs: psutil.Process, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGIWB_JOBS", "3")
    first, second = submit("fit", FitConfig(seed=1)), submit("fit", FitConfig(seed=1))
    other = submit("fit", FitConfig(seed=2))
    for job in (first, second, other):
        assert psutil.Process(job.status.pid).ppid() == warm_jobs.pid
        assert os.getpgid(job.status.pid) == job.status.pid
    results = [fitted(job) for job in (first, second, other)]
    monkeypatch.setenv("AGIWB_WARM", "0")
    cold = submit("fit", FitConfig(seed=1))
    assert psutil.Process(cold.status.pid).ppid() == os.getpid()
    assert results[0] == results[1] == fitted(cold)
    assert results[2] != results[0]


def test_it_forks_only_with_one_thread_and_before_tensorflow_has_begun() -> None:
    script = (
        "import threading\n"
        "from agiwb.jobs.warm_process import import_heavy_libraries, unsafe_to_fork\n"
        "import_heavy_libraries()\n"
        "print(unsafe_to_fork() or 'safe')\n"
        "end = threading.Event()\n"
        "thread = threading.Thread(target=end.wait)\n"
        "thread.start()\n"
        "print(unsafe_to_fork())\n"
        "end.set(); thread.join()\n"
        "while unsafe_to_fork(): pass\n"
        "print('safe again')\n"
        "import tensorflow as tf\n"
        "tf.constant(1) + 1\n"
        "print(unsafe_to_fork())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **warm.QUIET_POOLS},
    )
    assert answer.stdout.splitlines() == [
        "safe",
        "it has 2 threads",
        "safe again",
        "the runtime of TensorFlow has been initialised",
    ]


def test_a_child_waits_for_its_job_and_ends_with_the_warm_process(until: Until) -> None:
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "own.sock"
        script = (
            "import sys; from pathlib import Path; from agiwb.jobs import warm_process\n"
            "warm_process.import_heavy_libraries = lambda: None\n"
            "warm_process.main(Path(sys.argv[1]))"
        )
        parent = psutil.Popen([sys.executable, "-c", script, str(address)])
        until(parent.children)
        [spare] = parent.children()
        until(lambda: os.getpgid(spare.pid) == spare.pid)
        nothing = str(Path(folder) / "no-such-job")
        assert warm._ask(address, {"folder": nothing, "cwd": "/", "environment": {}}) == {
            "pid": spare.pid
        }
        until(lambda: parent.children() and spare not in parent.children())
        [following] = parent.children()
        parent.kill()
        parent.wait(60)
        until(lambda: not following.is_running())


def listening(address: Path, monkeypatch: pytest.MonkeyPatch) -> threading.Thread:
    """Return a thread in which a warm process without libraries serves at ``address``."""
    monkeypatch.setattr(warm_process, "import_heavy_libraries", lambda: None)
    monkeypatch.setattr(warm_process, "_LOOK_S", 0.05)
    thread = threading.Thread(target=warm_process.WarmProcess(address).run)
    thread.start()
    deadline = time.monotonic() + 60
    while not address.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return thread


def test_it_ends_when_idle_or_when_the_code_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = listening(tmp_path / "idle.sock", monkeypatch)
    monkeypatch.setattr(warm_process, "_IDLE_S", 0)
    thread.join(60)
    assert not (tmp_path / "idle.sock").exists()
    monkeypatch.setattr(warm_process, "_IDLE_S", 60)
    thread = listening(tmp_path / "outdated.sock", monkeypatch)
    monkeypatch.setattr(warm_process, "code_on_disk", lambda: "other")
    thread.join(60)
    assert not (tmp_path / "outdated.sock").exists()


def test_a_job_that_is_refused_a_fork_starts_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "refusing.sock"
    monkeypatch.setattr(warm_process, "unsafe_to_fork", lambda: "it has 2 threads")
    thread = listening(address, monkeypatch)
    monkeypatch.setattr(warm, "warm_address", lambda _: address)
    assert warm._ask(address, {"folder": "x"}) == {"refused": "it has 2 threads"}
    monkeypatch.setenv("AGIWB_WARM", "1")
    job = submit("count", CountConfig())
    assert psutil.Process(job.status.pid).ppid() == os.getpid()
    assert job.wait(60) == "finished"
    monkeypatch.setattr(warm_process, "_IDLE_S", 0)
    thread.join(60)


def test_nonsense_leaves_it_standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = tmp_path / "firm.sock"
    thread = listening(address, monkeypatch)
    for word in (b"", b"{", b"[1]", b"\xff"):
        with warm.socket.socket(warm.socket.AF_UNIX) as connection:
            connection.connect(str(address))
            connection.sendall(word)
            connection.shutdown(warm.socket.SHUT_WR)
            assert connection.recv(100) == b""
    assert thread.is_alive()
    monkeypatch.setattr(warm_process, "_IDLE_S", 0)
    thread.join(60)


def test_its_name_tells_all_that_imports_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"TF_NUM_INTRAOP_THREADS": "1", "AGIWB_WORKSPACE": "a"}
    key = warm.warm_key(environment)
    assert key == warm.warm_key({**environment, "AGIWB_WORKSPACE": "b", "TERM": "dumb"})
    assert key == warm.warm_key({**environment, "TF2_BEHAVIOR": "1", "TF_CPP_MIN_LOG_LEVEL": "3"})
    for name in ("TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        assert key != warm.warm_key({**environment, name: "2"})
    monkeypatch.setattr(warm, "PACKAGE_FOLDER", tmp_path)
    assert warm.warm_key(environment) != key


def test_a_folder_that_others_can_enter_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tempfile.mkdtemp(dir="/tmp")
    monkeypatch.setattr(warm.tempfile, "tempdir", short)
    address = warm.warm_address({})
    assert address is not None
    assert address.parent.stat().st_mode & 0o777 == 0o700
    address.parent.chmod(0o755)
    assert warm.warm_address({}) is None
    monkeypatch.setattr(warm.tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    assert warm.warm_address({}) is None
    assert warm.ask_warm_process(RunFolder(tmp_path), ".", {}) is None
