"""The ledger: one truth for many who decide at once, whoever is killed and wherever."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agiwb.errors import WorkspaceError
from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.ledger import Ledger, SupersededError


def version(number: int) -> ModelVersion:
    return ModelVersion(version=number, run_id=f"run{number}")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "m", "m")


def decide(ledger: Ledger, number: int, **more: object) -> Standing:
    return ledger.decide(
        "promote", version(number), lambda _: {"champion": version(number)},
        **{"who": "me", **more},  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_was_decided_is_read_by_another(ledger: Ledger) -> None:
    assert ledger.standing() == Standing()
    decide(ledger, 3, why="better", evidence=("ab", "run9"), server="http://s")
    other = Ledger(ledger.folder, "m")
    assert other.standing() == Standing(revision=1, champion=version(3))
    (line,) = other.decisions()
    assert (line.who, line.why, line.evidence, line.server) == ("me", "better", "ab", "http://s")


def test_a_decision_upon_an_old_revision_is_told_who_came_first(ledger: Ledger) -> None:
    decide(ledger, 1, who="ann", why="first")
    with pytest.raises(SupersededError, match=r"revision 1, not 0.*ann decided .* version 1"):
        decide(ledger, 2, expected=0)
    assert ledger.standing().champion == version(1)


def test_of_many_who_decide_upon_one_revision_one_wins(ledger: Ledger) -> None:
    won, lost = [], []

    def promote(number: int) -> None:
        try:
            decide(Ledger(ledger.folder, "m"), number, expected=0)
            won.append(number)
        except SupersededError:
            lost.append(number)

    threads = [threading.Thread(target=promote, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert ledger.standing().champion == version(won[0])


def test_half_a_line_counts_for_nothing_and_is_cut_off(ledger: Ledger) -> None:
    decide(ledger, 1)
    whole = ledger.file.read_bytes()
    ledger.file.write_bytes(whole + whole[: len(whole) // 2])
    assert ledger.standing().champion == version(1)
    decide(ledger, 2, expected=1)
    assert [one.subject.version for one in ledger.decisions()] == [1, 2]
    assert ledger.file.read_bytes().startswith(whole)


def test_a_line_that_was_changed_or_taken_out_is_found(ledger: Ledger) -> None:
    for number in (1, 2, 3):
        decide(ledger, number)
    lines = ledger.file.read_bytes().splitlines(keepends=True)
    ledger.file.write_bytes(lines[0].replace(b'"me"', b'"you"') + lines[1] + lines[2])
    with pytest.raises(WorkspaceError, match=r"Line 2 of the ledger .* does not follow"):
        ledger.decisions()
    ledger.file.write_bytes(lines[0] + lines[2])
    with pytest.raises(WorkspaceError, match="Line 2"):
        decide(ledger, 4)
    ledger.file.write_bytes(b"nonsense\n")
    with pytest.raises(WorkspaceError, match=r"Line 1 of the ledger .* is no decision"):
        ledger.standing()


def test_what_cannot_be_carried_out_is_undone_and_both_are_kept(ledger: Ledger) -> None:
    decide(ledger, 1)

    def fail(_: Standing) -> None:
        raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError):
        decide(ledger, 2, then=fail)
    assert ledger.standing() == Standing(revision=3, champion=version(1))
    last = ledger.decisions()[-1]
    assert last.action == "roll_back"
    assert "the server is gone" in last.why


DECIDES_FOREVER = """
import sys
from pathlib import Path
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]), "m")
while True:
    chosen = ModelVersion(version=1, run_id="r")
    stands = ledger.decide("promote", chosen, lambda _: {"champion": chosen}, who="w" * 3000)
    print(stands.revision, flush=True)
"""


@pytest.mark.slow
def test_whoever_is_killed_loses_nothing_that_was_told(ledger: Ledger) -> None:
    told = 0
    for round_number in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", DECIDES_FOREVER, str(ledger.folder)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(0.02 * round_number)
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        assert ledger.standing().revision in {told, told + 1}
    decide(ledger, 2)
    for line in ledger.file.read_text().splitlines():
        json.loads(line)
