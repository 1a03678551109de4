"""The trade-off without a browser: what is drawn, what is chosen, and what a click does."""

from __future__ import annotations

import math

import pytest

from agiwb.compression.candidate import Candidate
from agiwb.statistics import Interval
from tests.compression.made_up import MEASURED
from tests.reporting.sweeps import sweep_of
from widgets.guard import STRICT
from widgets.tradeoff import TradeoffState, TradeoffView
from widgets.tradeoff.marks import size_front, size_marks, speed_marks


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


def candidate(name: str, accuracy: float, gzip_bytes: int, latency: float) -> Candidate:
    update = {
        "validation_accuracy": accuracy,
        "validation_interval": Interval(accuracy - 0.02, min(1.0, accuracy + 0.02)),
        "validation_p_value": 1.0 if accuracy == 0.97 else 0.001,
        "gzip_bytes": gzip_bytes,
        "latency_ratio": latency,
        "latency_ratio_interval": Interval(latency - 0.02, latency + 0.02),
        "speed": "faster" if latency < 0.9 else "same",
    }
    return Candidate(name=name, measured=MEASURED.model_copy(update=update))


RECORD = sweep_of(
    candidate("baseline", 0.97, 51_200, 1.0),
    candidate("float16", 0.97, 25_600, 0.97),
    candidate("int8", 0.965, 14_336, 0.5),
    candidate("prune_80+int8", 0.93, 7_168, 0.5),
    Candidate(name="dynamic", reason="No 8-bit version <here>."),
)


def test_the_state_begins_with_what_the_sweep_has_chosen() -> None:
    state = TradeoffState(record=RECORD)
    assert RECORD.chosen == "int8"
    assert (state.choice.name, state.choice.reason) == (RECORD.chosen, RECORD.choice_reason)
    assert state.inspected == "int8"


def test_other_limits_choose_others_and_can_be_taken_back() -> None:
    state = TradeoffState(record=RECORD)
    state.allow_accuracy(0.925)
    assert state.accuracy_drop == pytest.approx(0.045)
    assert state.choice.name == "prune_80+int8"
    state.accuracy_drop = 0.0
    assert state.choice.name == "float16"
    state.latency_ratio = 0.6
    assert (state.choice.name, state.choice.nearest) == (None, "int8")
    state.restore_limits()
    assert state.choice.name == "int8"
    assert state.limit_fields() == {
        "max_accuracy_drop": 0.01,
        "max_bytes": None,
        "max_latency_ratio": None,
    }


def test_what_is_drawn_is_what_decides() -> None:
    marks = {mark["name"]: mark for mark in size_marks(RECORD)}
    assert set(marks) == {"baseline", "float16", "int8", "prune_80+int8"}
    assert (marks["int8"]["x"], marks["int8"]["y"]) == (14.0, 96.5)
    assert (marks["int8"]["y_low"], marks["int8"]["x_low"]) == (pytest.approx(94.5), None)
    fast = next(mark for mark in speed_marks(RECORD) if mark["name"] == "int8")
    assert (fast["x_low"], fast["x"], fast["x_high"]) == (0.48, 0.5, 0.52)
    assert "0.50 of the baseline's time" in fast["told"]
    assert size_front(RECORD) == ["prune_80+int8", "int8", "float16"]


def test_a_click_looks_at_a_point_and_another_compares() -> None:
    view = TradeoffView(RECORD)
    view.size.inspected = "float16"
    assert view.state.inspected == view.speed.inspected == view.inspect.value == "float16"
    assert "<b>float16</b>" in view.verdict.value
    view.speed.compared = "prune_80+int8"
    assert view.compare.value == view.size.compared == "prune_80+int8"
    assert "0.28 times its bytes after gzip; -4.00 points" in view.verdict.value
    assert ">25.0 KiB</td><td>7.0 KiB<" in view.figures.value
    view.inspect.value = "prune_80+int8"
    assert view.state.compared == ""


def test_a_candidate_that_failed_can_be_looked_at_in_the_menu() -> None:
    view = TradeoffView(RECORD)
    view.inspect.value = "dynamic"
    assert "No 8-bit version &lt;here&gt;." in view.verdict.value


def test_a_line_that_is_dragged_moves_the_other_picture_and_the_boxes() -> None:
    view = TradeoffView(RECORD)
    assert view.size.y_limit == view.speed.y_limit == pytest.approx(96)
    view.size.y_limit = 92.5
    assert view.speed.y_limit == view.size.y_limit == 92.5
    assert view.limits.drop.value == pytest.approx(4.5)
    assert view.size.chosen == "prune_80+int8"
    assert "Would be chosen: prune_80+int8." in view.choice.value
    view.speed.x_limit = 0.4
    assert view.limits.latency.value == "0.4"
    assert view.size.chosen == ""
    assert "None would be chosen." in view.choice.value
    view.speed.x_limit = None
    view.size.x_limit = 6.5
    assert view.limits.size.value == str(math.floor(6.5 * 1024))


def test_the_boxes_take_numbers_and_refuse_the_rest() -> None:
    view = TradeoffView(RECORD)
    view.limits.size.value = "30,000"
    assert (view.state.gzip_bytes, view.size.x_limit) == (30_000, 30_000 / 1024)
    view.limits.size.value = "many"
    assert view.limits.size.value == "30000"
    view.limits.latency.value = "nan"
    assert (view.limits.latency.value, view.state.latency_ratio) == ("", None)
    view.limits.drop.value = 50.0
    assert view.state.choice.name == "prune_80+int8"
    view.limits.restore.click()
    assert view.state.choice.name == "int8"


def test_without_a_kernel_it_is_a_picture_and_a_table() -> None:
    shown = TradeoffView(RECORD)._repr_mimebundle_()["text/html"]
    assert 'src="data:image/png;base64,' in shown
    assert "prune_80+int8" in shown
    assert "No 8-bit version &lt;here&gt;." in shown
    assert "no sweep to show" in TradeoffView()._repr_mimebundle_()["text/html"]
