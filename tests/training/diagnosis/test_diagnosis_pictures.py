from __future__ import annotations

from dataclasses import dataclass

import pytest

from agiwb.reporting.diagnosis import findings_table, plot_diagnosis, suspects_table
from agiwb.training.diagnosis.finding import Curve, Evidence, Finding


@dataclass
class Record:
    findings: tuple[Finding, ...]
    model_name: str = "digits-mlp"


def finding(rule: str, evidence: Evidence) -> Finding:
    return Finding(
        rule=rule, severity="hint", what="It <b>hurts</b>.", evidence=evidence, advice="Rest."
    )


CURVES = finding(
    "over_fitting",
    Evidence(
        x_label="epoch",
        y_label="cross-entropy (nats)",
        curves=(
            Curve(name="training", x=(1, 2, 3), y=(1.0, 0.5, 0.2)),
            Curve(name="validation", x=(1, 2, 3), y=(1.0, 0.7, float("nan"))),
        ),
        levels={"best": 0.7},
        log_scale=True,
    ),
)
BARS = finding(
    "vanishing_gradients",
    Evidence(
        x_label="layer, from input to output",
        y_label="norm of the gradient",
        bars={f"layer_{number}": 10.0**-number for number in range(30)},
        log_scale=True,
    ),
)
ROWS = finding(
    "label_noise",
    Evidence(
        y_label="rows", bars={"3 → 8": 2.0}, rows=({"row": 7, "given": "3", "margin": 0.87654},)
    ),
)


def test_each_finding_has_a_panel_with_named_axes() -> None:
    picture = plot_diagnosis(Record((CURVES, BARS)))
    curves, bars = picture.axes
    assert (curves.get_xlabel(), curves.get_ylabel()) == ("epoch", "cross-entropy (nats)")
    assert [text.get_text() for text in curves.get_legend().get_texts()] == [
        "training", "validation", "best",
    ]  # fmt: skip
    assert (bars.get_xlabel(), bars.get_xscale()) == ("norm of the gradient", "log")
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert (len(names), names[0], names[-1]) == (12, "layer_0", "layer_29")
    assert curves.get_title(loc="left") == "over fitting (hint)"
    assert picture.png().startswith(b"\x89PNG")
    assert "<b>" not in picture.html()


def test_more_than_four_are_left_to_the_table() -> None:
    picture = plot_diagnosis(Record((ROWS,) * 6))
    assert len(picture.axes) == 4
    assert picture.get_supxlabel() == "and 2 more: see the table"
    assert len(findings_table(Record((ROWS,) * 6)).rows) == 6


def test_no_finding_is_said_in_words() -> None:
    picture = plot_diagnosis(Record(()))
    assert picture.axes == []
    assert "Nothing conspicuous" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_the_tables_say_what_and_where() -> None:
    table = findings_table(Record((CURVES,)))
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "severity": "hint",
        "finding": "over fitting",
        "what": "It <b>hurts</b>.",
        "advice": "Rest.",
    }
    suspects = suspects_table(ROWS)
    assert suspects.columns == ("row", "given", "margin")
    assert suspects.rows == (("7", "3", "0.877"),)


@pytest.mark.slow
def test_a_real_record_is_drawn(digits_run: object) -> None:
    picture = plot_diagnosis(digits_run)
    assert len(picture.axes) == min(4, len(digits_run.findings))
    assert picture.png().startswith(b"\x89PNG")
