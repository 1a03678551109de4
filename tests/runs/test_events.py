"""Events on disk while they are written, and how many of them there are."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from agiwb.runs import events as module
from agiwb.runs.events import Event, EventFile, Pace, last_progress, read_events


def written(path: Path, *messages: str) -> None:
    with closing(EventFile(path)) as history:
        for message in messages:
            history(Event(message=message))


def test_events_come_back_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_events(path) == ([], 0)
    written(path, "one", "two")
    with path.open("ab") as stream:
        stream.write(b'{"message": "thr')
    events, offset = read_events(path)
    assert [event.message for event in events] == ["one", "two"]
    assert read_events(path, offset) == ([], offset)
    with path.open("ab") as stream:
        stream.write(b'ee"}\n')
    events, end = read_events(path, offset)
    assert [event.message for event in events] == ["three"]
    assert end == path.stat().st_size


def test_half_a_line_of_a_killed_process_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    written(path, "one")
    _, offset = read_events(path)
    with path.open("ab") as stream:
        stream.write(b'{"message": "tw')
    written(path, "two")
    assert [event.message for event in read_events(path)[0]] == ["one", "two"]
    assert [event.message for event in read_events(path, offset)[0]] == ["two"]


def test_a_line_that_is_no_event_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"mess\n{"message": "one"}\n\xff\n')
    assert [event.message for event in read_events(path)[0]] == ["one"]


def test_the_last_progress_is_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert last_progress(path) is None
    with closing(EventFile(path)) as history:
        for done in range(1000):
            history(Event(message="", phase="epoch", done=done, total=1000))
        history(Event(message="a word"))
    found = last_progress(path)
    assert found is not None
    assert found.done == 999


def test_progress_is_told_ten_times_a_second_and_at_each_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: clock)
    pace, told = Pace(), []
    for phase in ("one", "two"):
        for done in range(1, 1001):
            clock += 0.001
            if pace.allows(phase, done, 1000):
                told.append((phase, done))
    assert told[0] == ("one", 1)
    assert ("one", 1000) in told
    assert ("two", 1) in told
    assert told[-1] == ("two", 1000)
    assert 20 <= len(told) <= 24
    assert time.monotonic() == clock
