"""The one thread that looks at what other processes write."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

import pytest

from agiwb.errors import WorkError
from widgets.guard import GuardedState
from widgets.poller import watch


class Counter:
    def __init__(self, until: int, at_end: Callable[[Counter], None] | None = None) -> None:
        self.looks, self.until, self.at_end = 0, until, at_end
        self.threads: set[str] = set()

    def look(self) -> bool:
        self.looks += 1
        self.threads.add(threading.current_thread().name)
        if self.looks == self.until and self.at_end is not None:
            self.at_end(self)
        return self.looks < self.until


def wait_for(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_looks_until_told_that_there_is_no_more() -> None:
    one, other = Counter(2), Counter(4)
    watch(one)
    watch(other)
    wait_for(lambda: other.looks == 4)
    assert one.looks == 2
    assert one.threads == other.threads == {"agiwb-poller"}


def test_who_asks_anew_while_the_last_look_goes_on_is_looked_at_again() -> None:
    counter = Counter(1, at_end=watch)  # as a job that is resumed the moment it has ended
    watch(counter)
    wait_for(lambda: counter.looks == 2)


def test_what_raises_is_told_once_looked_at_again_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Counter):
        def look(self) -> bool:
            again = super().look()
            if self.looks in {1, 2, 4}:
                raise ZeroDivisionError
            return again

    broken, sound = Broken(5), Counter(3)
    watch(broken)
    watch(sound)
    wait_for(lambda: broken.looks == 5)
    assert sound.looks == 3
    assert caplog.text.count("could not be brought up to date") == 2


def test_a_panel_shows_what_its_look_has_raised_until_one_succeeds() -> None:
    class Looking(GuardedState):
        looks = 0

        def look(self) -> bool:
            self.looks += 1
            if self.looks == 1:
                raise WorkError("The disk is full.", "Make room.")
            return self.looks < 3

    panel = Looking()
    seen: list[str] = []
    panel.observe(lambda change: seen.append(change["new"]), "error")
    watch(panel)
    wait_for(lambda: panel.looks == 3)
    assert seen == ["The disk is full. Make room.", ""]


def test_what_nobody_holds_is_forgotten() -> None:
    held = [Counter(1_000_000)]
    watch(held[0])
    wait_for(lambda: held[0].looks > 1)
    gone = weakref.ref(held.pop())
    wait_for(lambda: gone() is None)
