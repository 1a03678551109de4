"""Menus that are filled anew: only a person's choice is told, and what is chosen stays."""

from __future__ import annotations

from typing import Any

import pytest

from widgets.menu import ListBox, Menu

ABC = [("first", "a"), ("second", "b"), ("third", "c")]


@pytest.fixture(params=[Menu, ListBox])
def menu(request: pytest.FixtureRequest) -> Any:
    return request.param(description="Choose")


def test_only_a_choice_is_told(menu: Any) -> None:
    told: list[Any] = []
    menu.on_choice(told.append)
    menu.fill(ABC, "b")
    menu.fill([("new", "z"), *ABC], menu.value)
    menu.fill([("new", "z"), *ABC], "c")
    assert (menu.value, told) == ("c", [])
    menu.index = 0  # as the browser has it
    assert told == ["z"]


def test_what_is_gone_gives_way_to_the_next_wanted(menu: Any) -> None:
    menu.fill(ABC, "gone", "c", "a")
    assert menu.label == "third"
    menu.fill(ABC[:2], menu.value, "a")
    assert menu.value == "a"
    menu.fill(ABC, "gone")
    assert (menu.value, menu.index) == (None, None)
    menu.fill([], "a")
    menu.fill(ABC, "b")
    assert menu.index == 1


def test_the_browser_has_one_message_or_none(menu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    menu.fill(ABC, "c")
    sent: list[set[str]] = []
    monkeypatch.setattr(menu, "send_state", lambda key=None: sent.append(set(key)))
    menu.fill([("new", "z"), *ABC], "c")
    assert sent == [{"_options_labels", "index"}]
    menu.fill([("new", "z"), *ABC], "c")
    assert len(sent) == 1
