"""What waits: in order, whole, and delivered whoever is interrupted."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from agiwb.errors import UnreachableError
from agiwb.runs.history_write import Discard, HistoryWrite, Registration, RunWrite
from agiwb.runs.history_writer import HistoryWriter
from agiwb.runs.outbox import Outbox
from agiwb.runs.tracking_address import tracking_address


def point(run_id: str, index: int) -> RunWrite:
    return RunWrite(run_id=run_id, points=(("loss", 1.0, 0, index),))


def indices(writes: list[HistoryWrite], run_id: str) -> list[int]:
    ours = [one for one in writes if isinstance(one, RunWrite) and one.run_id == run_id]
    return [index for one in ours for _, _, _, index in one.points]


def test_each_run_is_delivered_in_its_order_whoever_wrote_at_once(tmp_path: Path) -> None:
    def write(run_id: str) -> None:
        for index in range(5):
            Outbox(tmp_path).put(point(run_id, index))

    threads = [threading.Thread(target=write, args=(run_id,)) for run_id in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outbox, came = Outbox(tmp_path), list[HistoryWrite]()
    assert outbox.count() == 15
    outbox.deliver(came.append)
    assert [indices(came, run_id) for run_id in "abc"] == [[0, 1, 2, 3, 4]] * 3
    assert outbox.count() == 0


def test_points_of_a_run_go_together_and_its_end_with_them(tmp_path: Path) -> None:
    outbox, came = Outbox(tmp_path), list[HistoryWrite]()
    for write in (
        point("a", 0), point("a", 1), RunWrite(run_id="a", status="FINISHED", ended_ms=1),
        point("a", 2), point("b", 0), Discard(run_id="b"),
    ):  # fmt: skip
        outbox.put(write)
    outbox.deliver(came.append)
    points = (*point("a", 0).points, *point("a", 1).points)
    assert came == [
        RunWrite(run_id="a", points=points, status="FINISHED", ended_ms=1),
        point("a", 2), point("b", 0), Discard(run_id="b"),
    ]  # fmt: skip


def test_what_is_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    outbox, came = Outbox(tmp_path), list[HistoryWrite]()
    for run_id in "abc":
        outbox.put(Registration(name="m", run_id=run_id, source="/"))

    def apply(write: HistoryWrite) -> None:
        came.append(write)
        if len(came) == 2:
            raise UnreachableError("It is away.")

    with pytest.raises(UnreachableError):
        outbox.deliver(apply)
    assert outbox.count() == 2
    outbox.put(Discard(run_id="d"))
    Outbox(tmp_path).deliver(came.append)
    assert [write.run_id for write in came] == ["a", "b", "b", "c", "d"]  # type: ignore[union-attr]
    assert came[1] == came[2]


def test_a_damaged_file_holds_up_nothing(tmp_path: Path) -> None:
    outbox, came = Outbox(tmp_path), list[HistoryWrite]()
    outbox.put(point("a", 0))
    next(tmp_path.glob("*.json")).write_text("{")
    outbox.put(point("a", 1))
    outbox.deliver(came.append)
    assert indices(came, "a") == [1]
    assert [path.suffix for path in tmp_path.glob("0*")] == [".damaged"]


def test_a_running_step_does_not_try_each_time_but_its_end_does(tmp_path: Path) -> None:
    tried: list[HistoryWrite] = []
    is_away = True

    def apply(write: HistoryWrite) -> None:
        tried.append(write)
        if is_away:
            raise UnreachableError("It is away.")

    address = tracking_address(SecretStr("postgresql://host/db"), tmp_path)
    writer = HistoryWriter(address, Outbox(tmp_path), apply)
    for index in range(3):
        writer.write(point("a", index))
    assert len(tried) == 1
    assert writer.behind().startswith("The run history postgresql://host/db cannot be reached")
    is_away = False
    writer.write(RunWrite(run_id="a", status="FINISHED"), last=True)
    assert writer.behind() == ""
    assert indices(tried[1:], "a") == [0, 1, 2]
    assert tried[-1] == RunWrite(run_id="a", status="FINISHED")
    here = HistoryWriter(tracking_address(None, tmp_path), Outbox(tmp_path / "here"), apply)
    is_away = True
    with pytest.raises(UnreachableError):  # a file that cannot be written is not away
        here.write(point("a", 0))
    assert here.behind() == ""
