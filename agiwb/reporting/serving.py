"""Load tests as pictures, rollouts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


def describe_shadow(rollout: Mapping[str, Any]) -> str:
    """Return how an endpoint's shadow compares with its champion, as sentences.

    Args:
        rollout: What ``Endpoint.rollout`` returned.
    """
    found = rollout["comparison"]
    if found is None:
        return "No version is a shadow."
    if not found["requests_compared"]:
        return f"Version {found['version']} is a shadow, and nothing was compared yet."
    low, high = found["disagreement_interval"]
    text = (
        f"Version {found['version']} answered {found['requests_compared']:,} of the requests too: "
        f"for {found['rows_disagreeing']:,} of {found['rows_compared']:,} rows it disagrees with "
        f"version {rollout['champion']} ({found['disagreement']:.1%}; 95 % interval {low:.1%} to "
        f"{high:.1%})."
    )
    if found["latency_ratio_interval"] is not None:
        low, high = found["latency_ratio_interval"]
        text += (
            f" It takes {found['latency_ratio']:.2f} of the champion's time ({low:.2f} to "
            f"{high:.2f})."
        )
    if found["requests_failed"]:
        text += f" It failed on {found['requests_failed']:,} requests: {found['last_failure']}"
    return text
