"""The pictures and the table of a search, from a record written by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agiwb.reporting.search import plot_importance, plot_search, plot_settings, trial_table
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import RunInfo
from agiwb.statistics import Interval
from agiwb.training.config import TrainConfig
from agiwb.training.search.config import SearchConfig
from agiwb.training.search.record import SearchRecord, TrialResult, flags

SPACE = {"learning_rate": "0.0001..0.1:log", "optimizer": "adam,sgd", "units": "16..64:16"}


def trial(number: int, value: float, rate: float, optimizer: str, units: int) -> TrialResult:
    return TrialResult(
        number=number,
        state="complete",
        params={"learning_rate": rate, "optimizer": optimizer, "units": units},
        values=(value - 0.01, value + 0.01),
        value=value,
        standard_error=0.01,
        epochs=(3, 4),
        duration_s=2.5,
    )


TRIALS = (
    trial(0, 0.80, 0.001, "adam", 16),
    trial(1, 0.95, 0.01, "adam", 64),
    TrialResult(
        number=2,
        state="failed",
        params={"learning_rate": 0.1, "optimizer": "sgd", "units": 16},
        reason="The loss became <b>NaN</b>.",
    ),
    trial(3, 0.90, 0.0005, "sgd", 48),
)


def record(metric: str = "accuracy", *, lower_is_better: bool = False) -> SearchRecord:
    values = [each for each in TRIALS if each.value is not None]
    best = (min if lower_is_better else max)(values, key=lambda each: each.value or 0)
    provenance = Provenance(
        inputs={},
        parents={},
        packages={},
        code_sha256="",
        git_commit=None,
        git_dirty=None,
        python="",
        machine="",
    )
    return SearchRecord(
        run=RunInfo(
            id="0",
            step="search",
            folder=Path(),
            cache_key="",
            started_at=datetime(2024, 1, 1, tzinfo=UTC),
            provenance=provenance,
        ),
        config=SearchConfig(architecture="mlp", space=SPACE),
        model_name="digits-mlp",
        architecture="mlp",
        task="classification",
        kind="image",
        parameters=10,
        classes=("a", "b"),
        examples={"train": 10, "validation": 0, "test": 5},
        curves=(),
        loss="cross_entropy",
        main_metric="accuracy",
        test_interval=Interval(0.9, 1.0),
        fitted=TrainConfig(
            architecture="mlp", batch_norm=True, learning_rate=0.01, optimizer="adam", units=64
        ),
        fitted_epochs=3,
        metric=metric,
        lower_is_better=lower_is_better,
        value_of="the last epoch",
        space=SPACE,
        trials=TRIALS,
        interrupted=(),
        best=best,
        importance={"learning_rate": 0.7, "units": 0.3},
        importance_note="From 3 completed trials in 3 dimensions: a hint, no more.",
        study="digits-mlp-0",
        storage="sqlite:///x.db",
    )


def test_the_history_shows_each_trial_and_the_best_so_far() -> None:
    picture = plot_search(record())
    assert picture.png().startswith(b"\x89PNG")
    assert picture.alt == (
        "History of the search digits-mlp: 4 trials, 3 completed, 1 failed; the best is trial 1 "
        "with validation accuracy 95.00 ± 1 %."
    )
    axes = picture.axes[0]
    assert axes.get_ylabel() == "validation accuracy (%)"
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["best so far"] == [80, 95, 95]
    assert lines["failed"] == [0.02]


def test_the_best_so_far_falls_where_lower_is_better() -> None:
    picture = plot_search(record("rmse", lower_is_better=True))
    lines = {line.get_label(): list(line.get_ydata()) for line in picture.axes[0].lines}
    assert lines["best so far"] == [0.8, 0.8, 0.8]
    assert picture.axes[0].get_ylabel() == (
        "validation root mean squared error (the target's unit)"
    )


def test_importance_is_bars_with_what_to_hold_of_them() -> None:
    picture = plot_importance(record())
    assert [bar.get_width() for bar in picture.axes[0].patches] == [30, 70]
    assert picture.get_supxlabel().endswith("a hint, no more.")
    assert picture.png().startswith(b"\x89PNG")
    unknown = record().model_copy(update={"importance": {}, "importance_note": "Too few."})
    assert "Too few." in plot_importance(unknown).alt


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_each_completed_trial_is_a_line_through_its_settings(lower_is_better: bool) -> None:
    made = record(lower_is_better=lower_is_better)
    picture = plot_settings(made)
    assert picture.png().startswith(b"\x89PNG")
    axes = picture.axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    assert len(lines) == 3
    thickest = max(lines, key=lambda line: line.get_linewidth())
    # learning_rate 0.01 of 1e-4 to 1e-1, adam of adam and sgd, 64 of 16 to 64; the best value
    expected = [1 / 3, 0, 0, 0] if lower_is_better else [2 / 3, 0, 1, 1]
    assert thickest.get_ydata() == pytest.approx(expected, abs=1e-9)
    others = sorted(
        (line for line in lines if line is not thickest), key=lambda x: x.get_ydata()[3]
    )
    lightness = [sum(line.get_color()[:3]) for line in others]
    assert lightness == sorted(lightness, reverse=not lower_is_better)
    assert next(label.get_text() for label in axes.get_xticklabels()) == "learning rate\n(log)"


def test_the_table_has_the_best_first_and_says_why_others_have_no_value() -> None:
    table = trial_table(record())
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["trial"] for row in rows] == ["1", "3", "0", "2"]
    assert rows[0]["validation accuracy"] == "95.00 ± 1 %"
    assert rows[0]["learning_rate"] == "0.01"
    assert rows[-1]["note"] == "failed: The loss became <b>NaN</b>."
    assert "<b>" not in table.html()
    assert len(trial_table(record(), most=2).rows) == 2


def test_the_best_is_written_as_flags_to_type() -> None:
    made = record()
    assert made.best_flags == "--learning-rate 0.01 --optimizer adam --units 64"
    assert made.best_command == (
        "agiwb train --architecture mlp --batch-norm "
        "--learning-rate 0.01 --optimizer adam --units 64"
    )
    assert flags({"batch_norm": False, "layers": None, "options": {"a": 1}}) == (
        "--no-batch-norm --options a=1"
    )


def test_a_record_comes_back_from_its_json() -> None:
    made = record()
    assert SearchRecord.model_validate_json(made.model_dump_json()) == made
