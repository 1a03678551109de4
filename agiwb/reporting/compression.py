"""The trade-off of a sweep, as a picture and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from agiwb.compression.sweep import Candidate, SweepRecord
from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture

if TYPE_CHECKING:
    import pandas as pd

_KIB = 1024


def plot_tradeoff(record: SweepRecord) -> Picture:
    """Return test accuracy against compressed size and against latency, with 95 % intervals."""
    usable = [candidate for candidate in record.candidates if candidate.status == "ok"]
    baseline = usable[0]
    picture = Picture(
        10, 4.2,
        f"Trade-off of {len(usable)} compressed forms of {record.model_name}: "
        + "; ".join(f"{c.name} {c.test_accuracy:.1%}, {c.gzip_bytes} bytes" for c in usable),
    )  # fmt: skip
    size, speed = picture.axes_row(2)
    for axes in (size, speed):
        axes.axhline(100 * baseline.test_accuracy, color="0.8", linewidth=1, zorder=0)
    for candidate in usable:
        colour = _colour(candidate, record)
        accuracy = 100 * candidate.test_accuracy
        spread = [[accuracy - 100 * candidate.accuracy_interval.low],
                  [100 * candidate.accuracy_interval.high - accuracy]]  # fmt: skip
        style = {
            "color": colour,
            "marker": "s" if candidate.name == record.chosen else "o",
            "markerfacecolor": colour if candidate.on_front else "white",
            "linestyle": "none",
            "capsize": 2,
            "elinewidth": 0.8,
        }
        size.errorbar(candidate.gzip_bytes / _KIB, accuracy, yerr=spread, **style)
        ratio, bounds = candidate.latency_ratio, candidate.latency_ratio_interval
        sideways = [[max(0.0, ratio - bounds.low)], [max(0.0, bounds.high - ratio)]]
        speed.errorbar(ratio, accuracy, yerr=spread, xerr=sideways, **style)
    _annotate(size, [(c.gzip_bytes / _KIB, c) for c in usable])
    _annotate(speed, [(c.latency_ratio, c) for c in usable])
    size.set(xlabel="size after gzip (KiB, log)", ylabel="test accuracy (%)", xscale="log")
    speed.set(xlabel="p50 latency, batch 1 (ratio to baseline)", ylabel="test accuracy (%)")
    noise = abs(record.latency_noise_ratio - 1)
    speed.axvspan(1 - noise, 1 + noise, color="0.93", zorder=0, label="noise of the clock (A/A)")
    speed.legend(frameon=False, loc="lower right", fontsize=8)
    picture.supxlabel(
        "bars: 95 % intervals · filled: on the front · square: chosen · line: baseline", fontsize=8
    )
    return picture


def candidate_table(record: SweepRecord) -> pd.DataFrame:
    """Return a row for each candidate, failed ones with their reason."""
    import pandas as pd

    rows = [
        {
            "candidate": candidate.name,
            "accuracy": f"{candidate.test_accuracy:.2%}",
            "95 % interval": "{:.1%} to {:.1%}".format(*candidate.accuracy_interval),
            "worse / better": f"{candidate.worse} / {candidate.better}",
            "file": f"{candidate.size_bytes / _KIB:.1f} KiB",
            "gzip": f"{candidate.gzip_bytes / _KIB:.1f} KiB",
            "latency": f"{candidate.latency_ratio:.2f}x",
            "verdict": candidate.verdict,
        }
        if candidate.status == "ok"
        else {"candidate": candidate.name, "verdict": candidate.reason}
        for candidate in record.candidates
    ]
    return pd.DataFrame(rows).set_index("candidate").fillna("")


def _colour(candidate: Candidate, record: SweepRecord) -> str:
    if candidate.name == record.chosen:
        return VERMILION
    return BLUE if candidate.on_front else GREY


def _annotate(axes: Axes, points: list[tuple[float, Candidate]]) -> None:
    """Write each candidate's name beside its point, neighbours above and below in turn."""
    for index, (x, candidate) in enumerate(sorted(points, key=lambda point: point[0])):
        axes.annotate(
            candidate.name,
            (x, 100 * candidate.test_accuracy),
            xytext=(5, 7 if index % 2 else -13),
            textcoords="offset points",
            fontsize=8,
        )
