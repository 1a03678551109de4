"""The parity of converted artifacts, as a matrix of formats and checks and as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agiwb.conversion.convert import ConvertedArtifact, ConvertRecord
from agiwb.reporting.picture import VERMILION, Picture
from agiwb.reporting.tables import Table

_KIB = 1024
_LEAST, _MOST = 1e-8, 1.0
"""Ends of the scale of grey: less is as good as exact, more than 1 as bad as can be."""
_DARKEST = 0.55  # black figures stay readable on it


@dataclass(frozen=True)
class _Cell:
    """What a check found: in words, and as an error if it is one."""

    text: str
    error: float | None = None


def plot_parity(record: ConvertRecord) -> Picture:
    """Return a matrix: each format's errors, the darker the larger, beside its size and times."""
    artifacts = record.artifacts
    rows = [_cells(artifact, record) for artifact in artifacts]
    columns = list(rows[0]) if rows else []
    picture = Picture(
        1.5 + 0.8 * max(1, len(columns)), 0.42 * len(rows) + 1.2,
        f"Parity of {record.model_name} in {len(artifacts)} formats: "
        + "; ".join(f"{a.format} {_verdict(a)}, with errors up to {a.max_abs_error:.1e}"
                    for a in artifacts),
    )  # fmt: skip
    axes = picture.add_subplot()
    axes.set(xlim=(-0.5, max(1, len(columns)) - 0.5), ylim=(max(1, len(rows)) - 0.5, -0.5))
    for y, (artifact, row) in enumerate(zip(artifacts, rows, strict=True)):
        for x, name in enumerate(columns):
            cell = row[name]
            failed = name == "verdict" and not artifact.passed
            axes.fill_between(
                [x - 0.5, x + 0.5], y - 0.5, y + 0.5,
                facecolor=_grey(cell.error), edgecolor="0.4" if failed else "white",
                hatch="////" if failed else None, linewidth=1.5,
            )  # fmt: skip
            axes.text(
                x, y, cell.text, ha="center", va="center", fontsize=9,
                fontweight="bold" if failed else "normal",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5} if failed else None,
                color=VERMILION if failed else "black",
            )  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, fontsize=9)
    axes.set_yticks(range(len(rows)), [artifact.format for artifact in artifacts], fontsize=9)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        f"errors on a logarithmic scale of grey, from {_LEAST:.0e} (white) to 1 (darkest)",
        fontsize=9,
    )
    return picture


def parity_table(record: ConvertRecord) -> Table:
    """Return a row for each format, with the columns of the matrix."""
    return Table.of(
        [
            {"format": artifact.format}
            | {
                name.replace("\n", " "): cell.text
                for name, cell in _cells(artifact, record).items()
            }
            for artifact in record.artifacts
        ]
    )


def _cells(artifact: ConvertedArtifact, record: ConvertRecord) -> dict[str, _Cell]:
    """Return the checks by name; every artifact of a record has the same ones, in one order."""
    agreement, kl = artifact.top1_agreement, artifact.kl_nats
    cells = {
        "verdict": _Cell(_verdict(artifact)),
        "largest\nerror": _Cell(_error(artifact.max_abs_error), artifact.max_abs_error),
        "relative\nerror": _Cell(_error(artifact.max_rel_error), artifact.max_rel_error),
    }
    if kl is not None:
        cells["KL\n(nats)"] = _Cell(_error(kl), kl)
    if agreement is not None:
        cells["decided\nalike"] = _Cell(_share(agreement), 1 - agreement)
    if record.metric is not None and artifact.test_score is not None:
        cells[f"test\n{record.metric}"] = _Cell(_score(record.metric, artifact.test_score))
    cells["size\n(KiB)"] = _Cell(f"{artifact.size_bytes / _KIB:,.1f}")
    cells["written\nin (s)"] = _Cell(f"{artifact.seconds:.1f}")
    cells["checked\nin (s)"] = _Cell(f"{artifact.check_seconds:.1f}")
    return cells


def _verdict(artifact: ConvertedArtifact) -> str:
    if artifact.passed:
        return "passed"
    return "DIVERGES" if artifact.diverges else "FAILED"


def _error(value: float) -> str:
    return f"{value:.1e}" if value else "exact"


def _share(value: float) -> str:
    """Return a share in per cent; what is not all never reads as 100 %."""
    return "100 %" if value == 1 else f"{min(100 * value, 99.99):.2f} %"


def _score(metric: str, value: float) -> str:
    return f"{value:.4g}" if metric == "rmse" else f"{100 * value:.2f} %"


def _grey(error: float | None) -> str:
    """Return a grey for an error, the darker the larger; white for what is none."""
    if error is None or error <= _LEAST:
        return "1.0"
    place = min(1.0, math.log(error / _LEAST) / math.log(_MOST / _LEAST))
    return f"{1 - place * (1 - _DARKEST):.3f}"
