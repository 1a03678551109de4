"""The matrix of formats and checks, as a picture and as a table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from agiwb.conversion.convert import ConvertedArtifact
from agiwb.reporting.conversion import parity_table, plot_parity


def made(kind: str, error: float, agreement: float | None, **others: Any) -> ConvertedArtifact:
    values = {
        "format": kind, "path": kind, "size_bytes": 2048, "max_abs_error": error,
        "max_rel_error": error, "top1_agreement": agreement, "kl_nats": None, "test_score": 0.9,
        "passed": True, "diverges": False, "seconds": 1.25, "check_seconds": 0.5,
    }  # fmt: skip
    return ConvertedArtifact.model_validate(values | others)


def record_of(*artifacts: ConvertedArtifact, metric: str = "accuracy") -> Any:
    return SimpleNamespace(model_name="digits-mlp", metric=metric, artifacts=artifacts)


def test_each_format_is_a_row_with_its_errors_size_and_times() -> None:
    record = record_of(
        made("onnx", 2.4e-7, 1.0, kl_nats=0.0),
        made("litert_int8", 0.6, 0.99999, kl_nats=0.3, passed=False),
        made("litert", 0.3, 0.97, kl_nats=0.1, passed=False, diverges=True),
    )
    table = parity_table(record)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["verdict"] for row in rows] == ["passed", "FAILED", "DIVERGES"]
    assert [row["decided alike"] for row in rows] == ["100 %", "99.99 %", "97.00 %"]
    assert (rows[0]["largest error"], rows[0]["KL (nats)"]) == ("2.4e-07", "exact")
    assert (rows[0]["size (KiB)"], rows[0]["written in (s)"]) == ("2.0", "1.2")
    assert "litert_int8 FAILED, with errors up to 6.0e-01" in plot_parity(record).alt


def test_the_larger_the_error_the_darker_the_cell_and_black_stays_readable() -> None:
    errors = (0.0, 1e-7, 1e-3, 0.5, 50.0)
    picture = plot_parity(record_of(*(made("onnx", error, 1.0) for error in errors)))
    (axes,) = picture.axes
    columns = len(axes.get_xticklabels())
    greys = [axes.collections[row * columns + 1].get_facecolor()[0][0] for row in range(5)]
    assert greys == sorted(greys, reverse=True)
    assert greys[0] == 1
    assert min(greys) > 0.5


def test_a_regression_has_no_decisions() -> None:
    table = parity_table(record_of(made("onnx", 1e-6, None, test_score=54.321), metric="rmse"))
    assert "decided alike" not in table.columns
    assert dict(zip(table.columns, table.rows[0], strict=True))["test rmse"] == "54.32"


def test_a_conversion_without_artifacts_has_a_picture_too(tmp_path: Path) -> None:
    (tmp_path / "empty.png").write_bytes(plot_parity(record_of()).png())
    assert (tmp_path / "empty.png").stat().st_size > 0
