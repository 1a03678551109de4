from __future__ import annotations

import pytest

from agiwb.errors import NotFoundError
from widgets.guard import STRICT, GuardedState, guarded
from widgets.wording import problem_line


class Sample(GuardedState):
    @guarded
    def run(self, error: Exception | None = None) -> None:
        if error is not None:
            raise error


def test_an_error_is_shown_and_goes_with_the_next_success(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = Sample()
    state.run(NotFoundError("No such run.", "List them."))
    assert state.error == "No such run. List them."
    assert not caplog.records
    state.run()
    assert state.error == ""


def test_a_bug_is_shown_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    state = Sample()
    state.run(ZeroDivisionError("a bug"))
    assert state.error == "ZeroDivisionError('a bug')"
    assert "ZeroDivisionError: a bug" in caplog.text
    line = problem_line(state)
    assert "a bug" in line.value
    assert "test_guard.py" in line.value, "the traceback is not shown"
    state.run(NotFoundError("No such run.", "List them."))
    assert "Traceback" not in line.value


def test_tests_can_ask_for_the_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")
    for error in (ZeroDivisionError("a bug"), NotFoundError("No such run.", "List them.")):
        with pytest.raises(type(error)):
            Sample().run(error)
