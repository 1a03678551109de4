"""A plan as a picture: latency against replicas and against load, with what it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes

from agiwb.planning.plan import PlanRecord
from agiwb.planning.sizing import Prediction
from agiwb.reporting.picture import BLUE, GREY, HALO, VERMILION, Picture

_WIDE = 165


def plot_plan(record: PlanRecord) -> Picture:
    """Return latency against the number of replicas, and of one replica against its load.

    The bar that was asked for is drawn in both; the assumptions are below them in words.
    """
    sizing, bar = record.sizing, record.config.p99_ms
    chosen = sizing.chosen
    picture = Picture(11, 6.2, _alt(record))
    by_replicas, by_load = picture.axes_row(2)
    _lines(by_replicas, [str(one.replicas) for one in sizing.by_replicas], sizing.by_replicas, bar)
    place = [one.replicas for one in sizing.by_replicas].index(chosen.replicas)
    by_replicas.plot(
        [place], [chosen.p99_ms], "s", color=VERMILION, markersize=11, fillstyle="none"
    )
    by_replicas.set_xlabel(f"replicas for {record.config.rps:g} requests per second")
    by_replicas.set_ylabel("milliseconds")
    by_replicas.set_title(f"{chosen.replicas} replicas: p99 {chosen.p99_ms:.3g} ms")
    _lines(by_load, [100 * one.load for one in sizing.by_load], sizing.by_load, bar)
    by_load.axvline(100 * (1 - record.config.headroom), color=GREY, linestyle=":")
    by_load.annotate(
        "headroom",
        (100 * (1 - record.config.headroom), by_load.get_ylim()[0]),
        color=GREY,
        rotation=90,
        ha="right",
        va="bottom",
        path_effects=HALO,
    )
    by_load.set_xlabel("load of a replica, % of its capacity")
    by_load.set_title(f"one replica: at most {_capacity(record):.0f} requests per second")
    text = "\n".join(
        line for said in record.assumptions for line in textwrap.wrap(f"- {said}", _WIDE)
    )
    picture.supxlabel(text, fontsize=8, ha="left", x=0.01, color="#333333")
    return picture


def _lines(
    axes: Axes, places: Sequence[str] | Sequence[float], made: Sequence[Prediction], bar: float
) -> None:
    axes.plot(places, [one.p99_ms for one in made], "o-", color=BLUE, label="p99")
    axes.plot(places, [one.p50_ms for one in made], "o--", color=GREY, label="median")
    axes.axhline(bar, color=VERMILION, label=f"asked for: {bar:g} ms")
    axes.set_yscale("log")
    axes.legend(fontsize=8)


def _capacity(record: PlanRecord) -> float:
    return record.metrics["capacity_rps_per_replica"]


def _alt(record: PlanRecord) -> str:
    chosen = record.sizing.chosen
    return (
        f"{chosen.replicas} replicas answer {record.config.rps:g} requests per second, 99 of 100 "
        f"within {chosen.p99_ms:.3g} ms, the median {chosen.p50_ms:.3g} ms; asked for were "
        f"{record.config.p99_ms:g} ms. " + " ".join(record.assumptions)
    )
