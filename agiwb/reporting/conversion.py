"""The parity of converted artifacts, as a picture and as a table."""

from __future__ import annotations

from agiwb.conversion.convert import ConvertRecord
from agiwb.reporting.picture import BLUE, VERMILION, Picture
from agiwb.reporting.tables import Table

_KIB = 1024
_SMALLEST_SHOWN = 1e-9  # a log axis has no zero


def plot_parity(record: ConvertRecord) -> Picture:
    """Return each format's largest deviation from Keras, beside its size."""
    artifacts = [artifact for artifact in record.artifacts if artifact.max_abs_error is not None]
    picture = Picture(
        9, 0.45 * len(artifacts) + 1.2,
        f"Parity of {record.model_name} in {len(artifacts)} formats: "
        + "; ".join(f"{a.format} deviates by at most {a.max_abs_error:.1e}" for a in artifacts),
    )  # fmt: skip
    error, size = picture.axes_row(2)
    names = [artifact.format for artifact in artifacts][::-1]
    colours = [BLUE if artifact.passed else VERMILION for artifact in artifacts][::-1]
    errors = [max(a.max_abs_error or 0, _SMALLEST_SHOWN) for a in artifacts][::-1]
    error.barh(names, errors, color=colours, left=0, height=0.5)
    error.set(xscale="log", xlim=(_SMALLEST_SHOWN, 1), xlabel="largest deviation of a probability")
    for index, artifact in enumerate(artifacts[::-1]):
        label = f"{artifact.max_abs_error:.1e}" if artifact.max_abs_error else "exact"
        error.annotate(label, (errors[index], index), xytext=(4, 0),
                       textcoords="offset points", va="center", fontsize=8)  # fmt: skip
    size.barh(names, [a.size_bytes / _KIB for a in artifacts][::-1], color="0.7", height=0.5)
    size.set(xlabel="size of all files (KiB)")
    return picture


def parity_table(record: ConvertRecord) -> Table:
    """Return a row for each format: what it deviates by, how often it agrees, and its size."""
    rows = [
        {
            "format": artifact.format,
            "parity": "passed" if artifact.passed else "FAILED",
            "largest deviation": _figure(artifact.max_abs_error, ".1e"),
            "same class": _figure(artifact.top1_agreement, ".2%"),
            "test accuracy": _figure(artifact.test_accuracy, ".2%"),
            "size": f"{artifact.size_bytes / _KIB:.1f} KiB",
        }
        for artifact in record.artifacts
    ]
    return Table.of(rows)


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
