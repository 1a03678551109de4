"""Processes forked for pieces of work: what they return, and every way in which they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agiwb.crews import nursery as nurseries
from agiwb.crews.crew import Died, Line, Raised, Report, Returned, Said
from agiwb.crews.nursery import LocalProcesses, Nursery, dismiss_kept, hired_ahead
from agiwb.errors import CancelledError, ConfigError, WorkError

pytestmark = pytest.mark.slow


def get_ready() -> None:
    from agiwb.tensorflow_quietly import import_tensorflow

    import_tensorflow()


def nothing_to_import() -> None:
    pass


def sleep_long() -> None:
    time.sleep(600)


def double(number: int, line: Line) -> dict[str, Any]:
    line.tell(("doubling", number))
    return {"result": 2 * number, "imported": "tensorflow" in sys.modules, "pid": os.getpid()}


def ask_thrice(number: int, line: Line) -> list[Any]:
    return [line.ask(number + step) for step in range(3)]


def end_in_order(number: int, line: Line) -> None:
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        line.tell(os.getpid())
        while True:  # a signal that comes just before one long sleep begins would not end it
            time.sleep(0.1)
    finally:
        Path(os.environ["ENDED_FILE"]).write_text(str(number))


def refuse(number: int, line: Line) -> None:
    raise ConfigError(f"{number} is wrong.", "Give another.")


def refuse_unpicklably(number: int, line: Line) -> None:
    class LocalError(Exception):
        pass

    raise LocalError("only here")


def crash(number: int, line: Line) -> None:
    os.kill(os.getpid(), number)


def leave_at_once(number: int, line: Line) -> None:
    print("the last that was said", file=sys.stderr, flush=True)
    os._exit(number)


def begin_and_hang(number: int, line: Line) -> None:
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    line.tell((os.getpid(), grandchild.pid))
    time.sleep(600)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    found = Nursery(get_ready, tmp_path_factory.mktemp("logs"))
    yield found
    found.close()


def last(nursery: Nursery) -> Report:
    """Return how the only child ends."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for report in nursery.wait(0.1):
            if not isinstance(report, Said):
                return report
    raise AssertionError("It did not end.")


def first_said(nursery: Nursery) -> Any:
    while True:
        for report in nursery.wait(0.1):
            assert isinstance(report, Said)
            return report.what


def is_gone(pid: int) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_work_is_done_in_another_process_that_has_tensorflow(nursery: Nursery):
    nursery.start(1, double, 21)
    assert first_said(nursery) == ("doubling", 21)
    report = last(nursery)
    assert isinstance(report, Returned)
    assert (report.number, report.value["result"], report.value["imported"]) == (1, 42, True)
    assert report.value["pid"] != os.getpid()


def test_several_at_once_are_told_apart(nursery: Nursery):
    for number in range(4):
        nursery.start(number, double, number)
    found: dict[int, int] = {}
    while len(found) < 4:
        for report in nursery.wait(0.1):
            if isinstance(report, Returned):
                found[report.number] = report.value["result"]
    assert found == {0: 0, 1: 2, 2: 4, 3: 6}


def test_an_exception_arrives_as_it_was(nursery: Nursery):
    nursery.start(7, refuse, 3)
    report = last(nursery)
    assert isinstance(report, Raised)
    assert isinstance(report.error, ConfigError)
    assert (report.error.problem, report.error.fix) == ("3 is wrong.", "Give another.")
    nursery.start(8, refuse_unpicklably, 0)
    report = last(nursery)
    assert isinstance(report, Raised)
    assert str(report.error) == "only here"


def test_a_process_that_dies_says_how(nursery: Nursery):
    nursery.start(1, crash, signal.SIGSEGV)
    report = last(nursery)
    assert report == Died(1, "Its process was ended by signal 11 (SIGSEGV).", -11)
    nursery.start(2, crash, signal.SIGKILL)
    report = last(nursery)
    assert isinstance(report, Died)
    assert "signal 9 (SIGKILL), perhaps for lack of memory" in report.reason
    nursery.start(3, leave_at_once, 5)
    words = "Its process ended with exit code 5: the last that was said"
    assert last(nursery) == Died(3, words, 5)


def test_what_takes_too_long_is_ended_with_all_it_started(nursery: Nursery):
    nursery.timeout_s = 600.0
    nursery.start(1, begin_and_hang, 0)
    nursery.timeout_s = None
    pids = first_said(nursery)
    nursery._children[1].began -= 600
    report = last(nursery)
    assert report == Died(1, "It was not finished after 600 s, and was ended.")
    assert all(map(is_gone, pids))


def test_closing_leaves_the_process_that_forks_to_the_next_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nursery = Nursery(nothing_to_import, tmp_path)
    nursery.start(1, begin_and_hang, 0)
    pids = first_said(nursery)
    nursery.close()
    assert all(map(is_gone, pids))
    following = Nursery(nothing_to_import, tmp_path)
    assert following._hired is nursery._hired
    following.start(2, double, 4)
    assert first_said(following) == ("doubling", 4)
    assert isinstance(last(following), Returned)
    monkeypatch.setattr(nurseries, "_KEPT_S", 0.1)
    following.close()
    assert is_gone(following._hired.process.pid)


def test_another_environment_or_changed_code_meets_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nursery = Nursery(nothing_to_import, tmp_path)
    nursery.close()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    elsewhere = Nursery(nothing_to_import, tmp_path)
    elsewhere.close()
    monkeypatch.setattr(nurseries, "code_on_disk", lambda: "changed")
    later = Nursery(nothing_to_import, tmp_path)
    later.close()
    pids = {each._hired.process.pid for each in (nursery, elsewhere, later)}
    assert len(pids) == 3
    dismiss_kept()
    assert all(map(is_gone, pids))


def test_a_process_in_the_middle_of_an_answer_is_not_left_to_the_next(tmp_path: Path):
    nursery = Nursery(nothing_to_import, tmp_path)
    nursery._hired.requests.close()
    with pytest.raises(WorkError, match="has ended"):
        nursery.start(1, double, 4)
    nursery.close()
    assert is_gone(nursery._hired.process.pid)


def test_whoever_waits_for_it_to_get_ready_may_give_up(tmp_path: Path):
    nursery = Nursery(sleep_long, tmp_path)

    def give_up() -> None:
        raise CancelledError("Enough.")

    with pytest.raises(CancelledError):
        nursery.start(1, double, 4, give_up)
    nursery.close()
    assert is_gone(nursery._hired.process.pid)


def test_a_killed_owner_leaves_no_process(tmp_path: Path):
    code = (
        "import sys, pathlib\n"
        "from agiwb.crews.nursery import Nursery\n"
        "from tests.crews.test_nursery import begin_and_hang, first_said, nothing_to_import\n"
        "nursery = Nursery(nothing_to_import, pathlib.Path(sys.argv[1]))\n"
        "nursery.start(1, begin_and_hang, 0)\n"
        "print(*first_said(nursery), nursery._hired.process.pid, flush=True)\n"
        "nursery.wait(600)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child, grandchild, process = map(int, owner.stdout.readline().split())
        owner.kill()
    assert is_gone(process)
    assert is_gone(child)
    assert is_gone(grandchild)


def test_what_is_asked_is_answered_to_who_asked(tmp_path: Path):
    heard: list[tuple[int, Any]] = []
    ticks: list[None] = []

    def told(number: int, what: Any) -> Any:
        heard.append((number, what))
        return what * 10

    crew = LocalProcesses(2, Nursery(nothing_to_import, tmp_path))
    try:
        assert crew.size() == 2
        crew.start(1, ask_thrice, 1)
        crew.start(2, ask_thrice, 5)
        endings: dict[int, Any] = {}
        while len(endings) < 2:
            for ending in crew.wait(told, lambda: ticks.append(None)):
                assert isinstance(ending, Returned)
                endings[ending.number] = ending.value
    finally:
        crew.close()
    assert endings == {1: [10, 20, 30], 2: [50, 60, 70]}
    assert sorted(heard) == [(1, 1), (1, 2), (1, 3), (2, 5), (2, 6), (2, 7)]
    assert ticks


def test_work_that_is_given_time_to_end_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ENDED_FILE", str(tmp_path / "ended"))
    nursery = Nursery(nothing_to_import, tmp_path, grace_s=30)
    nursery.start(4, end_in_order, 4)
    pid = first_said(nursery)
    began = time.monotonic()
    nursery.close()
    assert time.monotonic() - began < 30
    assert (tmp_path / "ended").read_text() == "4"
    assert is_gone(pid)


def test_a_nursery_hired_ahead_is_the_one_that_is_used(tmp_path: Path):
    dismiss_kept()
    others = children()
    with hired_ahead(nothing_to_import):
        ahead = children() - others
        nursery = Nursery(nothing_to_import, tmp_path)
        try:
            assert len(ahead) == 1
            assert children() == ahead | others
            nursery.start(1, double, 4)
            said, returned = nursery.wait(30), nursery.wait(30)
            assert isinstance(said[0], Said)
            assert isinstance(returned[0], Returned)
            assert returned[0].value["result"] == 8
        finally:
            nursery.close()
    assert children() == ahead | others
    with hired_ahead(nothing_to_import):
        assert children() == ahead | others
    assert children() == ahead | others
    dismiss_kept()
    assert children() == others


def test_a_nursery_hired_ahead_that_nobody_takes_ends():
    dismiss_kept()
    others = children()
    with hired_ahead(nothing_to_import):
        assert len(children() - others) == 1
    assert children() == others


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}
