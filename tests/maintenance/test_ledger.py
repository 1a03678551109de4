"""The ledger: one truth for many who decide at once, whoever is killed and wherever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from agiwb.errors import UnreachableError, WorkspaceError
from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.ledger import Ledger, SupersededError
from agiwb.maintenance.ledger_database import DatabaseLines, models_in
from agiwb.maintenance.ledger_file import FileLines
from agiwb.maintenance.ledger_lines import LedgerLines
from agiwb.runs.database_url import parsed_url
from tests.maintenance.at_once import let_go
from tests.postgres import PASSWORD, SPELT, PostgresServer


def version(number: int) -> ModelVersion:
    return ModelVersion(version=number, run_id=f"run{number}")


@dataclass
class Kept:
    """Where a ledger's lines are kept: opened again, and damaged as something else would."""

    lines: LedgerLines
    rewrite: Callable[[list[bytes]], None]
    environment: dict[str, str]
    is_shared: bool
    """Whether people with workspaces of their own have it in common."""

    def ledger(self) -> Ledger:
        return Ledger(self.lines, "m")


@pytest.fixture(params=["file", "database"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    environment = {"AGIWB_WORKSPACE": str(tmp_path)}
    here = FileLines(tmp_path / "maintenance" / "m")
    if request.param == "file":
        return Kept(here, lambda lines: _rewrite_file(here.file, lines), environment, False)
    postgres: PostgresServer = request.getfixturevalue("postgres")
    address = postgres.new_database("ledger")
    lines = DatabaseLines(parsed_url(address), "m", here)
    environment["AGIWB_TRACKING_URI"] = address
    return Kept(lines, lambda lines: _rewrite_table(address, lines), environment, True)


def _rewrite_file(file: Path, lines: list[bytes]) -> None:
    file.write_bytes(b"".join(lines))


def _rewrite_table(address: str, lines: list[bytes]) -> None:
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM agiwb_promotions")
        cursor.executemany(
            "INSERT INTO agiwb_promotions VALUES ('m', %s, %s)", list(enumerate(lines, start=1))
        )


@pytest.fixture
def ledger(kept: Kept) -> Ledger:
    return kept.ledger()


def decide(ledger: Ledger, number: int, **more: object) -> Standing:
    return ledger.decide(
        "promote", version(number), lambda _: {"champion": version(number)},
        **{"who": "me", **more},  # type: ignore[arg-type]
    )  # fmt: skip


def test_what_was_decided_is_read_by_another(kept: Kept, ledger: Ledger) -> None:
    assert ledger.standing() == Standing()
    decide(ledger, 3, why="better", evidence=("ab", "run9"), server="http://s")
    other = kept.ledger()
    assert other.standing() == Standing(revision=1, champion=version(3))
    (line,) = other.decisions()
    assert (line.who, line.why, line.evidence, line.server) == ("me", "better", "ab", "http://s")


def test_a_decision_upon_an_old_revision_is_told_who_came_first(ledger: Ledger) -> None:
    decide(ledger, 1, who="ann", why="first")
    with pytest.raises(SupersededError, match=r"revision 1, not 0.*ann decided .* version 1"):
        decide(ledger, 2, expected=0)
    assert ledger.standing().champion == version(1)


def test_of_many_who_decide_upon_one_revision_one_wins(kept: Kept, ledger: Ledger) -> None:
    won, lost = [], []

    def promote(number: int) -> None:
        try:
            decide(kept.ledger(), number, expected=0)
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


def test_half_a_line_counts_for_nothing_and_is_cut_off(tmp_path: Path) -> None:
    lines = FileLines(tmp_path / "m")
    ledger = Ledger(lines, "m")
    decide(ledger, 1)
    whole = lines.file.read_bytes()
    lines.file.write_bytes(whole + whole[: len(whole) // 2])
    assert ledger.standing().champion == version(1)
    decide(ledger, 2, expected=1)
    assert [one.subject.version for one in ledger.decisions()] == [1, 2]
    assert lines.file.read_bytes().startswith(whole)


def test_a_line_that_was_changed_or_taken_out_is_found(kept: Kept, ledger: Ledger) -> None:
    for number in (1, 2, 3):
        decide(ledger, number)
    lines = kept.lines.read()
    kept.rewrite([lines[0].replace(b'"me"', b'"you"'), *lines[1:]])
    with pytest.raises(WorkspaceError, match=r"Line 2 of the ledger .* does not follow"):
        ledger.decisions()
    kept.rewrite([lines[0], lines[2]])
    with pytest.raises(WorkspaceError, match="Line 2"):
        decide(ledger, 4)
    kept.rewrite([b"nonsense\n"])
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
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.ledger import ledger_of

ledger = ledger_of("m")
while True:
    chosen = ModelVersion(version=1, run_id="r")
    stands = ledger.decide("promote", chosen, lambda _: {"champion": chosen}, who="w" * 3000)
    print(stands.revision, flush=True)
"""


@pytest.mark.slow
def test_whoever_is_killed_loses_nothing_that_was_told(kept: Kept, ledger: Ledger) -> None:
    told = 0
    for round_number in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", DECIDES_FOREVER],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **kept.environment},
        ) as process:
            assert process.stdout is not None
            told = int(process.stdout.readline())
            time.sleep(0.04 * round_number)
            process.send_signal(signal.SIGKILL)
            told = max([told, *(int(line) for line in process.stdout if line.endswith("\n"))])
        assert ledger.standing().revision in {told, told + 1}
    decide(ledger, 2)
    for line in kept.lines.read():
        json.loads(line)


DECIDES_ONCE = """
import sys
from agiwb.errors import WorkError
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.ledger import ledger_of

ledger = ledger_of("m")
print("ready", flush=True)
sys.stdin.readline()
chosen = ModelVersion(version=int(sys.argv[1]), run_id="r")
try:
    ledger.decide("promote", chosen, lambda _: {"champion": chosen}, who=sys.argv[2], expected=0)
    print("promoted", flush=True)
except WorkError as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.mark.slow
def test_of_two_people_at_once_one_wins_and_the_other_is_told(
    kept: Kept, ledger: Ledger, tmp_path: Path
) -> None:
    people = ["ann", "bob"]
    own = {
        who: {"AGIWB_WORKSPACE": str(tmp_path / who)} if kept.is_shared else {} for who in people
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DECIDES_ONCE, str(number), who],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **kept.environment, **own[who]},
        )
        for number, who in enumerate(people, start=1)
    ]  # fmt: skip
    let_go(processes)
    said = [process.communicate()[0] for process in processes]
    assert said.count("promoted\n") == 1
    (decision,) = ledger.decisions()
    assert decision.who == people[said.index("promoted\n")]
    (told,) = [words for words in said if words != "promoted\n"]
    assert told.startswith("SupersededError Somebody else decided about m meanwhile")
    assert f"{decision.who} decided at {decision.time}" in told


def test_what_was_decided_before_there_was_a_database_is_carried_over(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    here = FileLines(tmp_path / "m")
    for number in (1, 2):
        decide(Ledger(here, "m"), number)
    url = parsed_url(postgres.new_database("carried_over"))
    shared = Ledger(DatabaseLines(url, "m", here), "m")
    assert shared.standing().champion == version(2)
    assert models_in(url) == []
    decide(shared, 3, expected=2)
    elsewhere = Ledger(DatabaseLines(url, "m", FileLines(tmp_path / "other")), "m")
    assert [one.subject.version for one in elsewhere.decisions()] == [1, 2, 3]
    assert models_in(url) == ["m"]


def test_a_database_that_is_away_is_told_of_and_nothing_is_decided(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = parsed_url(postgres.new_database("away"))
    ledger = Ledger(DatabaseLines(url, "m", FileLines(tmp_path / "m")), "m")
    decide(ledger, 1)
    postgres.stop()
    try:
        for ask in (ledger.standing, lambda: decide(ledger, 2)):
            with pytest.raises(UnreachableError, match="cannot be reached") as caught:
                ask()
            assert PASSWORD not in str(caught.value)
            assert SPELT not in str(caught.value)
    finally:
        postgres.start()
    assert ledger.standing() == Standing(revision=1, champion=version(1))


def test_a_line_whose_connection_was_lost_is_written_once_or_not_at_all(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = parsed_url(postgres.new_database("lost"))
    lines = DatabaseLines(url, "m", FileLines(tmp_path / "m"))
    ledger = Ledger(lines, "m")
    decide(ledger, 1)

    def cut_off(_: Standing) -> dict[str, object]:
        with psycopg.connect(postgres.url(), autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [url.database],
            )
        return {"champion": version(2)}

    with pytest.raises(WorkspaceError, match=r"cannot be written.*Nothing was changed"):
        ledger.decide("promote", version(2), cut_off, who="me")
    assert ledger.standing() == Standing(revision=1, champion=version(1))

    def somebody_faster(before: Standing) -> dict[str, object]:
        cut_off(before)
        with psycopg.connect(postgres.url(url.database), autocommit=True) as other:
            other.execute("INSERT INTO agiwb_promotions VALUES ('m', 2, 'theirs')")
        return {"champion": version(3)}

    with pytest.raises(WorkspaceError):
        ledger.decide("promote", version(3), somebody_faster, who="me")
    assert lines.read()[1:] == [b"theirs"]
