"""The gate as a picture and in words, and decisions as a list to read."""

from __future__ import annotations

import numpy as np

from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.gate import GateRecord
from agiwb.maintenance.history import Event
from agiwb.maintenance.verdict import OVERALL, Terms, Verdict, compare, decide
from agiwb.reporting.decisions import timeline_html, verdict_words
from agiwb.reporting.maintenance import gate_sections, gate_table, plot_gate


def compared(rights: float, slices: int = 30) -> GateRecord:
    """Return the gate's record of a challenger right in so many of 3,000 rows, in many slices."""
    draw = np.random.default_rng(0)
    champion = (draw.random(3000) < 0.9).astype(float)
    challenger = (draw.random(3000) < rights).astype(float)
    place = np.arange(3000) % slices
    named = {f"part={number}": place == number for number in range(slices)}
    found = compare(champion, challenger, named, Terms(0.02, 0.05, 0.05, 0.8, 30))
    verdict, sentences, labels = decide(found, (), 0.8)
    return GateRecord.model_construct(
        model_name="digits", champion=ModelVersion(version=1, run_id="a"),
        challenger=ModelVersion(version=2, run_id="b"), verdict=verdict, sentences=sentences,
        compared=found, checks=(), labels_needed=labels, metrics={"challenger_accuracy": rights},
    )  # fmt: skip


def test_of_many_slices_the_worst_are_drawn_and_all_are_in_the_table() -> None:
    record = compared(0.7)
    picture = plot_gate(record)
    labels = [label.get_text() for label in picture.axes[0].get_yticklabels()]
    assert len(labels) == 24
    assert labels[-1] == "all rows (n=3000)"  # at the top
    lowest = min(record.compared[1:], key=lambda one: one.interval.low if one.interval else 1)
    assert f"{lowest.name} (n={lowest.rows})" in labels
    assert picture.alt.startswith("Challenger less champion: Version 2 of digits may not take")
    assert len(gate_table(record).rows) == 31
    assert gate_table(record).rows[0][0] == OVERALL


def test_each_verdict_is_a_sentence() -> None:
    said: dict[Verdict, str] = {
        "promote": "Version 2 of digits may take the place of version 1, the champion.",
        "reject": "Version 2 of digits may not take the place of version 1, the champion.",
        "not enough evidence": "Version 2 of digits cannot be judged yet against version 1, the "
        "champion.",
    }
    shares = {0.97: "promote", 0.7: "reject", 0.88: "not enough evidence"}
    for rights, verdict in shares.items():
        record = compared(rights, slices=2)
        assert record.verdict == verdict
        assert verdict_words(record) == said[record.verdict]
        assert gate_sections(record)[0].passed == (verdict == "promote")


def test_decisions_are_told_the_newest_first_and_escaped() -> None:
    first = Event("2026-11-22T20:00:00.000+00:00", "ledger", "ann", "promote", "1", "", "", "")
    second = first._replace(time="2026-11-22T21:00:00.000+00:00", where="server", why="<b>&")
    shown = timeline_html([first, second])
    assert shown.index("21:00:00") < shown.index("20:00:00")
    assert "&lt;b&gt;&amp;" in shown
    assert "decided on the server" in shown
    assert timeline_html([]) == "<p>Nothing was decided yet.</p>"
