from __future__ import annotations

import numpy as np

from agiwb.reporting.serving import plot_load_test
from agiwb.serving.load_test import LoadTest


def test_the_latencies_are_drawn_with_their_units():
    latencies = np.sort(np.random.default_rng(0).lognormal(1, 0.5, 2000))
    picture = plot_load_test(LoadTest("u", 8, None, 2.0, 2003, {"503": 3}, latencies))
    histogram, percentiles = picture.axes
    assert histogram.get_xlabel() == percentiles.get_ylabel() == "latency (ms)"
    assert sum(patch.get_height() for patch in histogram.patches) == 2000
    assert histogram.get_title() == "1000 requests/s, 3 failed"
    drawn = percentiles.lines[0].get_ydata()
    assert drawn[-1] == latencies[-1]
    p90 = np.percentile(latencies, 90)
    assert percentiles.texts[1].get_text() == f"p90: {p90:.3g} ms"
    assert "3 x 503" in picture.alt
    assert picture.png().startswith(b"\x89PNG")


def test_a_test_without_an_answer_says_so():
    picture = plot_load_test(LoadTest("u", 8, 100.0, 2.0, 5, {"timeout": 5}, np.zeros(0)))
    assert picture.axes[0].get_title() == "no request was answered"
    assert picture.png().startswith(b"\x89PNG")
