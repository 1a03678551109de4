"""The Maintain panel without a browser: a real gate, a real server, real decisions."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain import maintain
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.promotion import challenge, find_version
from agiwb.runs.store import open_store
from agiwb.serving.detached import DetachedServer
from tests.maintenance.challenged import challenged_server
from tests.maintenance.versions import MODEL
from widgets.guard import STRICT
from widgets.maintain import MaintainPanel
from widgets.selection import Selection
from widgets.serve import ServePanel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DetachedServer]:
    """A server of version 1, the champion; version 2 challenges it and is as good."""
    with challenged_server(tmp_path_factory.mktemp("maintained")) as server:
        yield server


@pytest.fixture
def panel(served: DetachedServer) -> MaintainPanel:
    return MaintainPanel(Selection(model=MODEL))


def until(is_so: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def champion() -> int:
    standing = ledger_of(MODEL).standing().champion
    assert standing is not None
    return standing.version


def answering(server: DetachedServer) -> int:
    endpoint = server.endpoint()
    try:
        return int(endpoint.rollout()["champion"])
    finally:
        endpoint.disconnect()


def test_a_standing_is_shown_and_its_server_taken(
    served: DetachedServer, panel: MaintainPanel
) -> None:
    assert panel.model.value == MODEL
    elsewhere = Selection(model="of another tab")
    assert MaintainPanel(elsewhere).model.value == MODEL
    assert elsewhere.model == "of another tab", "only who chooses here selects for the others"
    assert panel.state.server == served.id == panel.decision.server.value
    assert panel.panels["Watch"].state.form.values["server"] == served.id
    assert panel.panels["Gate"].state.form.values["model"] == MODEL
    shown = panel.standing.value
    assert "champion" in shown
    assert "challenger" in shown
    assert "The gate has not compared the two yet." in shown
    assert "Version 2 became the challenger" in panel.timeline.value
    assert "a newer one" in panel.static_html()
    assert panel.decision.roll_back.disabled
    panel.state.count_labels()
    panel.state.counting.settle()
    assert panel.labels.value.startswith('<p role="status">0 labelled rows')


def test_only_a_person_chooses_the_model_and_the_server(panel: MaintainPanel) -> None:
    state = panel.state
    state.models = ("a newer one", MODEL)  # as when another was registered
    assert (state.model, panel.model.value) == (MODEL, MODEL)
    state.models = ("a newer one",)  # as when this one is gone, and the state knows it next
    assert (state.model, panel.model.value) == (MODEL, None)
    state.model = "a newer one"
    assert panel.model.value == "a newer one"
    state.refresh()
    panel.model.value = MODEL
    assert (state.model, state.selection.model) == (MODEL, MODEL)
    panel.decision.server.value = ""
    state.refresh()
    assert state.server == panel.decision.server.value == ""


def test_nothing_is_promoted_past_the_gate_or_unconfirmed(
    panel: MaintainPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STRICT, raising=False)
    panel.decision.promote.click()
    panel.state.settle()
    panel.state.refresh()  # as the poller does every other second
    assert "The gate has not compared version 2" in panel.state.error
    assert panel.decision.asking.layout.display == "none"
    panel.decision.version.value = "two"
    panel.decision.promote.click()
    assert panel.state.error.startswith("'two' is no version.")
    panel.decision.version.value = ""
    panel.decision.why.value, panel.decision.ungated.value = "a whim", True
    panel.decision.promote.click()
    panel.state.settle()
    assert panel.state.error == ""
    assert "The gate has not given its consent." in panel.decision.question.value
    panel.decision.withdraw.click()
    assert panel.decision.asking.layout.display == "none"
    assert (champion(), panel.state.told) == (1, "Nothing was changed.")
    panel.decision.confirm.click()
    panel.state.settle()
    assert champion() == 1


def test_gate_promotion_watch_and_roll_back(
    served: DetachedServer, panel: MaintainPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STRICT, "1")
    gate = panel.panels["Gate"]
    gate.state.form.change({"max_latency_ratio": None})
    gate.button.click()
    until(lambda: gate.state.result or gate.state.error or gate.state.job.problem)
    assert isinstance(gate.state.record, GateRecord), gate.state.job.problem
    assert "may take the place of" in gate.state.result
    assert 'alt="Challenger less champion: ' in gate.state.result
    assert "may take the place of" in panel.standing.value

    before = answering(served)
    panel.decision.why.value = "as good"
    panel.decision.promote.click()
    panel.state.settle()
    assert panel.state.asked == (
        f"Version 2 of {MODEL} becomes the champion, in place of version 1, and server "
        f"{served.id} follows."
    )
    panel.decision.confirm.click()
    panel.state.settle()
    assert (champion(), panel.state.error) == (2, "")
    assert answering(served) != before
    assert "as good" in panel.timeline.value

    looked = maintain(MaintainConfig(model=MODEL, server=served.id))
    assert looked.stands.champion is not None
    assert looked.stands.champion.version == 2  # what a person decided is not undone

    watch = panel.panels["Watch"]
    watch.button.click()
    until(lambda: watch.state.job.messages or watch.state.job.problem)
    panel.state.refresh()
    assert "watches it" in panel.watched.value, watch.state.job.problem
    panel.stop.click()
    until(lambda: watch.state.job.has_ended)
    panel.state.refresh()
    assert panel.stop.layout.display == "none"

    panel.decision.roll_back.click()
    panel.state.settle()
    panel.decision.confirm.click()
    panel.state.settle()
    assert (champion(), answering(served)) == (1, before)
    assert [one.action for one in ledger_of(MODEL).decisions()] == [
        "promote", "challenge", "promote", "roll_back",
    ]  # fmt: skip


def test_the_tab_serve_decides_by_the_same_ledger(
    served: DetachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STRICT, raising=False)
    serve = ServePanel()
    until(lambda: serve.state.look() and serve.state.state == "running")
    count = len(ledger_of(MODEL).decisions())
    traffic = serve.traffic
    traffic.canary(f"{MODEL}/2", 50.0)
    traffic.settle()
    traffic.promote("tried in the tab")
    traffic.settle()
    assert "answers everybody" in traffic.told, traffic.error  # the gate has let it pass before
    last = ledger_of(MODEL).decisions()[-1]
    assert (champion(), last.why, len(str(last.evidence))) == (2, "tried in the tab", 64)
    traffic.roll_back("and back")
    traffic.settle()
    assert (champion(), len(ledger_of(MODEL).decisions())) == (1, count + 2)


def test_who_confirms_too_late_is_told(
    panel: MaintainPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STRICT, raising=False)
    panel.decision.promote.click()
    assert panel.state.error.startswith("There is no challenger to promote.")
    panel.state.ask_to_promote("2", "a whim", ungated=True)
    panel.state.settle()
    store = open_store()
    challenge(MODEL, find_version(MODEL, 2, store), store, who="bob", why="was faster")
    panel.decision.confirm.click()
    panel.state.settle()
    assert "Somebody else decided about linear meanwhile" in panel.state.error
    assert "bob" in panel.state.error


def test_a_ledger_that_does_not_answer_keeps_nobody_waiting(
    served: DetachedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2"
        monkeypatch.setenv("AGIWB_TRACKING_URI", address)
        panel = MaintainPanel(Selection(model=MODEL))
        assert panel.state.reading.busy == "reading the ledger"
        assert "Reading where it stands." in panel.static_html()
        panel.state.reading.settle()
    assert "cannot be reached: connection timeout expired" in panel.static_html()
    assert "Reading" not in panel.static_html()
    assert panel.decision.promote.disabled
    monkeypatch.delenv("AGIWB_TRACKING_URI")
    panel.state.refresh()
    assert panel.state.unread == ""
    assert "challenger" in panel.standing.value


def test_a_workspace_without_models_says_so(workspace: Path) -> None:
    code = "from widgets import MaintainPanel; print(MaintainPanel().static_html())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "No model is registered yet" in done.stdout
