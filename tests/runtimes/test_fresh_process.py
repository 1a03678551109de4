"""One call in a fresh process: its answer, its limits, and what is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agiwb.errors import CancelledError, InputError, WorkError
from agiwb.runtimes.fresh_process import Limits, call_in_fresh_process, tensorflow_ahead


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.slow)])
def tensorflow(request: pytest.FixtureRequest) -> bool:
    """Return whether TensorFlow is wanted: then the process is forked, and else started."""
    return request.param


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the import path of a module whose functions do what native code may do."""
    (tmp_path / "asked_of_a_fresh_process.py").write_text(
        "import os, sys, time\n"
        "from agiwb.errors import InputError\n"
        "def tell(**given): return {'given': given, 'pid': os.getpid(),"
        " 'modules': sorted({m.partition('.')[0] for m in sys.modules})}\n"
        "def tell_of_parent():\n"
        "    left = os.environ.get('LEFT'); os.environ['LEFT'] = 'something'\n"
        "    return {'parent': os.getppid(), 'pid': os.getpid(), 'left': left}\n"
        "def crash():\n"
        "    print('Fatal error: about to crash', flush=True)\n"
        "    os.kill(os.getpid(), 11)\n"
        "def hang(): time.sleep(300)\n"
        "def start_another():\n"
        "    import subprocess\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(301)'])\n"
        "    time.sleep(300)\n"
        "def take_memory():\n"
        "    taken = [bytearray(os.urandom(2**20)) * 64 for _ in range(200)]\n"
        "    time.sleep(300)\n"
        "def refuse(): raise InputError('The file is no model.', 'Give another.')\n"
        "def fail(): raise ValueError('a ' * 1000)\n"
        "def import_tensorflow(): import tensorflow\n"
        "def nothing_that_json_knows(): return object()\n",
        "utf-8",
    )
    if "tensorflow" in request.fixturenames and request.getfixturevalue("tensorflow"):
        monkeypatch.syspath_prepend(tmp_path)  # so that one process forks those of all tests
    else:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "asked_of_a_fresh_process"


def test_answer_comes_from_another_process_with_nothing_of_this_one(
    module: str, tmp_path: Path, tensorflow: bool
) -> None:
    arguments = {"path": tmp_path, "numbers": [1, 2.5]}
    told = call_in_fresh_process(f"{module}:tell", arguments, tensorflow=tensorflow)

    assert told["given"] == {"path": str(tmp_path), "numbers": [1, 2.5]}
    assert told["pid"] != os.getpid()
    assert not psutil.pid_exists(told["pid"])
    assert {"mlflow", "pytest", "tests"}.isdisjoint(told["modules"])
    heavy = {"tensorflow", "keras", "numpy", "pydantic"}
    assert heavy.intersection(told["modules"]) == (heavy if tensorflow else set())


@pytest.mark.slow
@pytest.mark.parametrize("tensorflow", [True], indirect=True)
def test_tensorflow_is_imported_once_for_calls_that_follow_each_other(
    module: str, tensorflow: bool
) -> None:
    with tensorflow_ahead():
        told = [
            call_in_fresh_process(f"{module}:tell_of_parent", {}, tensorflow=True) for _ in range(2)
        ]

    assert told[0]["parent"] == told[1]["parent"] != os.getpid()
    assert told[0]["pid"] != told[1]["pid"]
    assert [one["left"] for one in told] == [None, None]


def test_crash_is_told_in_one_line_with_the_last_words(module: str, tensorflow: bool) -> None:
    with pytest.raises(WorkError) as raised:
        call_in_fresh_process(f"{module}:crash", {}, tensorflow=tensorflow)

    assert str(raised.value) == (
        'The fresh process crashed (SIGSEGV); it said last: "Fatal error: about to crash".'
    )


def test_hang_ends_at_the_limit(module: str, tensorflow: bool) -> None:
    limits = Limits(seconds=0.5)
    with pytest.raises(WorkError, match=r"gave no answer within 0\.5 s, and was ended\.$"):
        call_in_fresh_process(f"{module}:hang", {}, tensorflow=tensorflow, limits=limits)


def test_runaway_memory_ends_at_the_limit(module: str, tensorflow: bool) -> None:
    limits = Limits(memory_bytes=2**30 if tensorflow else 2**28)
    message = rf"took more than {limits.memory_bytes // 2**20:,} MiB of memory, and was ended\.$"
    with pytest.raises(WorkError, match=message):
        call_in_fresh_process(f"{module}:take_memory", {}, tensorflow=tensorflow, limits=limits)


def test_what_was_started_there_ends_as_well(module: str, tensorflow: bool) -> None:
    begun = time.time()
    limits = Limits(seconds=1.0)
    with pytest.raises(WorkError, match="gave no answer"):
        call_in_fresh_process(f"{module}:start_another", {}, tensorflow=tensorflow, limits=limits)

    left = [
        process.pid
        for process in psutil.process_iter(["cmdline", "create_time", "status"])
        if process.info["cmdline"]
        and process.info["cmdline"][-1] == "import time; time.sleep(301)"
        and process.info["create_time"] > begun - 1
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
    assert left == []


def test_cancelling_ends_it(module: str, tensorflow: bool) -> None:
    def cancelled() -> None:
        raise CancelledError("The run was cancelled.")

    begun = time.monotonic()
    with pytest.raises(CancelledError):
        call_in_fresh_process(f"{module}:hang", {}, tensorflow=tensorflow, while_waiting=cancelled)
    assert time.monotonic() - begun < 120  # and not the five minutes that it would have slept


def test_errors_come_back_as_what_they_are(module: str, tensorflow: bool) -> None:
    def call(function: str) -> None:
        call_in_fresh_process(function, {}, tensorflow=tensorflow)

    with pytest.raises(InputError) as raised:
        call(f"{module}:refuse")
    assert (raised.value.problem, raised.value.fix) == ("The file is no model.", "Give another.")

    with pytest.raises(WorkError, match=r"^ValueError: a a a .* \[…\]$"):
        call(f"{module}:fail")
    with pytest.raises(WorkError, match="not JSON serializable"):
        call(f"{module}:nothing_that_json_knows")
    with pytest.raises(WorkError, match="ModuleNotFoundError"):
        call("no_such_module:at_all")


def test_tensorflow_is_there_only_if_wanted(module: str) -> None:
    with pytest.raises(WorkError, match="this process works without TensorFlow"):
        call_in_fresh_process(f"{module}:import_tensorflow", {})


def test_it_ends_with_its_parent(module: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = (
        "from agiwb.runtimes.fresh_process import call_in_fresh_process as call; "
        f"call('{module}:note_and_hang', {{'note': {str(note)!r}}})"
    )
    with (tmp_path / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(
            "def note_and_hang(note):\n"
            "    open(note, 'w').write(str(os.getpid()))\n"
            "    time.sleep(300)\n"
        )
    parent = subprocess.Popen([sys.executable, "-c", program])
    _until(lambda: note.is_file() and bool(note.read_text()))
    child = int(note.read_text())
    parent.kill()
    parent.wait()

    _until(lambda: not psutil.pid_exists(child) or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _until(holds: object, seconds: float = 120.0) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
