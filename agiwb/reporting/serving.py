"""Load tests as pictures."""

from __future__ import annotations

import numpy as np

from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.serving.load_test import LoadTest

_BINS = 60
_PERCENTS = (50, 90, 99)


def plot_load_test(result: LoadTest) -> Picture:
    """Return the distribution of the latencies, and its percentiles up to the slowest request."""
    picture = Picture(9, 3.4, str(result))
    histogram, percentiles = picture.axes_row(2)
    latencies = result.latencies_ms
    if not len(latencies):
        percentiles.set_axis_off()
        histogram.set_axis_off()
        histogram.set_title("no request was answered")
        return picture
    low, high = float(latencies[0]), float(latencies[-1])
    edges = np.geomspace(max(low, 1e-3) * 0.99, max(high, 1e-3) * 1.01, _BINS)
    histogram.hist(latencies, bins=list(edges), color=BLUE)
    histogram.set(xscale="log", xlabel="latency (ms)", ylabel="requests")
    histogram.set_title(f"{result.requests_per_s:.0f} requests/s, {result.failed} failed")
    # At 1 in 10, 1 in 100, ... requests: equal steps show the tail, where the trouble is.
    slower = 1.0 - np.arange(len(latencies)) / len(latencies)
    percentiles.step(slower, latencies, color=VERMILION, where="post")
    percentiles.set(
        xscale="log", yscale="log", xlabel="share of requests that are slower",
        ylabel="latency (ms)",
    )  # fmt: skip
    percentiles.invert_xaxis()
    for percent in _PERCENTS:
        value = result.percentile_ms(percent)
        at = (1 - percent / 100, value)
        percentiles.plot(*at, "o", color=GREY, markersize=4)
        percentiles.annotate(
            f"p{percent}: {value:.3g} ms", at, xytext=(6, -4), textcoords="offset points",
            va="top", ha="left", color=GREY, fontsize="small",
        )  # fmt: skip
    load = f"{result.concurrency} at once" if result.rate is None else f"{result.rate:g} a second"
    percentiles.set_title(f"with {load}")
    return picture
