"""The reports without a browser: what they say, and what a stranger's values do to them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agiwb.monitoring.dashboard import Asked, read_dashboard
from tests.reported_workspace import SERVED, START, Reported
from widgets.guard import STRICT
from widgets.reports.audit import AuditReport
from widgets.reports.evaluation import EvaluationReport, EvaluationState
from widgets.reports.model_card import ModelCard, ModelCardState
from widgets.reports.monitoring import MonitoringReport, MonitoringState
from widgets.reports.tradeoff import TradeoffReport

pytestmark = pytest.mark.slow

REPORTS = (AuditReport, EvaluationReport, ModelCard, MonitoringReport, TradeoffReport)


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STRICT, "1")


def words(html: str) -> str:
    """Return what is read on a page, without its style."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL).split())


@pytest.mark.parametrize("report", REPORTS)
def test_each_says_of_when_and_of_which_model_it_is(report: type, reported: Reported) -> None:
    made = report()
    assert made.state.error == ""
    said = words(made.static_html())
    assert re.search(r"As of \d{4}-\d\d-\d\d \d\d:\d\d UTC · model [0-9a-f]{12} ", said)
    assert not re.search(r"<script|\bsrc=.(?!data:)", made.static_html())


@pytest.mark.parametrize("report", REPORTS)
def test_an_empty_workspace_says_so(report: type, workspace: Path) -> None:
    made = report()
    assert made.state.error == ""
    assert "in this workspace yet" in words(made.static_html())


def test_no_report_loads_what_would_make_it_wait(reported: Reported) -> None:
    code = (
        "import sys\n"
        "from widgets import *\n"
        "all = AuditReport, EvaluationReport, ModelCard, MonitoringReport, TradeoffReport\n"
        "for made in all:\n"
        "    made().static_html()\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'tensorflow_model_analysis', 'apache_beam'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_evaluation_compares_and_moves_its_threshold(reported: Reported) -> None:
    state = EvaluationState()
    state.refresh()
    state.select(reported.evaluated.run.id)
    page = words(state.page)
    overall = reported.evaluated.metrics["test_accuracy"]
    assert f"is right in {overall:.1%}" in page
    assert "intervals are paired" in page
    ours, theirs = (one.metrics["test_accuracy"] for one in (reported.evaluated, reported.baseline))
    assert f"({ours - theirs:+.4f})" in page
    assert "expected calibration error" in page
    assert "Gaps between groups" in page
    assert "Fairness By stroke_weight, " in page
    assert "equal odds exclude each other" in page

    (confusion,) = [reported.evaluated.confusion]
    state.move("all examples", "3", 0.0)
    assert f"360 examples are named and {sum(confusion[3])} of them rightly" in words(
        state.at_threshold
    )
    assert "By stroke_weight, 3 is named in 100.0% for" in words(state.at_threshold)
    state.move("label = 3", "3", 1.0)
    assert "0 examples are named" in words(state.at_threshold)

    state.compare(reported.baseline.run.id)
    assert "as if both had been asked other examples" in words(state.page)


def test_a_strangers_values_change_nothing(reported: Reported) -> None:
    state = EvaluationState()
    state.refresh()
    before = state.selected, state.slice_name, state.class_name, state.threshold, state.compared
    values: list[Any] = ["../../etc/passwd", "<script>", None, ["a"], float("nan")]
    for nonsense in values:
        state.select(nonsense)
        state.compare(nonsense)
        state.move(nonsense, nonsense, nonsense)
    assert before == (
        state.selected, state.slice_name, state.class_name, state.threshold, state.compared
    )  # fmt: skip

    shown = MonitoringState()
    shown.refresh()
    page = shown.page
    values = ["'; DROP TABLE predictions", "1 OR 1=1", None, 3, {}]
    for nonsense in values:
        shown.select(nonsense)
        shown.ask(version=nonsense, slice_name=nonsense, stretch=nonsense)
    assert words(shown.page) == words(page)


def test_the_monitoring_shows_the_stretch_and_the_version_asked_for(
    reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = MonitoringState()
    state.refresh()
    state.ask(stretch="All")
    assert "240 examples were asked" in words(state.page)
    assert reported.monitored.run.id[:8] in state.page
    assert "Each against the same slice of the training data" in words(state.page)
    assert "hour = " in words(state.page)
    state.ask(version="2")
    assert "120 examples were asked" in words(state.page)
    state.ask(version="All", stretch="Between two times", since="2026-09-21 13:00", until="")
    found = read_dashboard(SERVED, Asked(START, START + 20_000))
    assert found.rows == 120
    monkeypatch.delenv(STRICT)
    page = state.page
    state.ask(since="yesterday <b>")
    assert "is no time of ISO 8601" in state.error
    assert state.page == page
    state.ask(since="2026-09-22", until="2026-09-21")
    assert "not before the last" in state.error


def test_the_audit_has_the_decisions_with_their_evidence(reported: Reported) -> None:
    report = AuditReport()
    report.state.select(reported.model.model_name)
    page = report.static_html()
    assert "by ada" in words(page)
    assert "eeeeeeeeeeee" in page
    assert "better on &lt;every&gt; slice" in page
    for one in (reported.evaluated, reported.monitored):
        assert one.run.id[:8] in page
    assert "are as they were when the runs ended" in page


def test_a_view_that_waited_shows_what_was_made_meanwhile(reported: Reported) -> None:
    card = ModelCard()
    listed = card.menu.options
    card.state.runs = []
    assert card.menu.options == ()
    card._view_count = 1  # as the browser says when it comes into view
    assert card.menu.options == listed


def test_choosing_in_the_menu_changes_the_card(reported: Reported) -> None:
    card = ModelCard()
    card.menu.value = reported.other.run.id
    accuracy = f"accuracy on 360 test examples is {reported.other.metrics['test_accuracy']:.1%}"
    assert accuracy in card.page.value
    card.menu.value = reported.model.run.id
    assert "is a cnn" in card.page.value


def test_what_goes_wrong_is_shown(reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STRICT)
    state = ModelCardState()
    state.refresh()
    state.runs = [*state.runs, ("gone", "0" * 32)]
    state.select("0" * 32)
    assert "has no run" in state.error
