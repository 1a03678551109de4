"""The picture and the table of a sweep, from records written by hand."""

from __future__ import annotations

import struct

from matplotlib.text import Text

from agiwb.compression.candidate import Candidate
from agiwb.compression.sweep import SweepConfig
from agiwb.reporting.compression import candidate_table, plot_tradeoff
from agiwb.reporting.picture import Picture
from agiwb.statistics import Interval
from tests.compression.made_up import MEASURED
from tests.reporting.sweeps import sweep_of

BASELINE = MEASURED.model_copy(
    update={
        "size_bytes": 61_440,
        "gzip_bytes": 51_200,
        "packed_bytes": None,
        "latency_ms_p50": 0.0204,
    }
)
SMALL = BASELINE.model_copy(
    update={
        "validation_accuracy": 0.968,
        "test_accuracy": 0.972,
        "accuracy_interval": Interval(0.945, 0.986),
        "worse": 3,
        "better": 2,
        "size_bytes": 16_384,
        "gzip_bytes": 14_336,
        "latency_ms_p50": 0.0126,
        "latency_ratio": 0.62,
        "latency_ratio_interval": Interval(0.6, 0.64),
        "speed": "faster",
        "batch_speed": "faster",
        "batch_latency_ratio": 0.71,
    }
)
USABLE = (
    Candidate(name="baseline", measured=BASELINE),
    Candidate(name="int8", measured=SMALL),
)
FAILED = Candidate(name="dynamic", reason="No <b>8-bit</b> version & no hope.")
GUESSING = Candidate(name="prune_99", reason="It is no better than chance.", measured=SMALL)


POOR = Candidate(name="baseline", reason="It is no better than chance.", measured=BASELINE)


def size_of_png(picture: Picture) -> tuple[int, int]:
    """Return width and height in pixels as the PNG's header has them."""
    png = picture.png()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert png.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def words_in(picture: Picture) -> str:
    """Return all that is written in the picture outside of its axes."""
    return " ".join(text.get_text() for text in picture.findobj() if hasattr(text, "get_text"))


def test_the_picture_is_a_png_of_its_size():
    assert size_of_png(plot_tradeoff(sweep_of(*USABLE, FAILED, chosen="int8"))) == (1210, 550)


def test_the_text_alternative_names_each_candidate_and_says_what_was_measured():
    alt = plot_tradeoff(sweep_of(*USABLE, FAILED, GUESSING)).alt
    assert alt == (
        "Trade-off among forms of digits-cnn: "
        "baseline 97.0% right of the validation split, 51,200 bytes after gzip, "
        "1.00 of the baseline's time; "
        "int8 96.8% right of the validation split, 14,336 bytes after gzip, "
        "0.62 of the baseline's time; "
        "not usable, so not drawn: dynamic, prune_99."
    )


def test_only_usable_candidates_are_drawn_and_the_others_named_below():
    picture = plot_tradeoff(sweep_of(*USABLE, FAILED, GUESSING))
    for axes in picture.axes:
        assert {text.get_text() for text in axes.texts} == {"baseline", "int8"}
    assert picture.get_supxlabel().endswith("not usable, so not drawn: dynamic, prune_99")


def test_the_chosen_is_square_and_the_front_is_filled():
    size = plot_tradeoff(sweep_of(*USABLE, chosen="int8")).axes[0]
    baseline, chosen = (container.lines[0] for container in size.containers)
    assert (baseline.get_marker(), baseline.get_markerfacecolor()) == ("o", "white")
    assert (chosen.get_marker(), chosen.get_markerfacecolor()) == ("s", chosen.get_color())


def test_a_baseline_alone_is_drawn():
    picture = plot_tradeoff(sweep_of(USABLE[0], FAILED, chosen="baseline"))
    assert size_of_png(picture) == (1210, 550)
    for words in (picture.alt, picture.get_supxlabel()):
        assert "only the baseline is usable; not usable, so not drawn: dynamic" in words


def test_a_bound_that_rounding_puts_inside_its_value_is_drawn():
    bounds = {"validation_interval": Interval(0.95, 0.99999), "validation_accuracy": 1.0}
    perfect = Candidate(name="baseline", measured=BASELINE.model_copy(update=bounds))
    size_of_png(plot_tradeoff(sweep_of(perfect)))


def test_candidates_are_drawn_beside_a_baseline_that_is_not_usable():
    picture = plot_tradeoff(sweep_of(POOR, USABLE[1]))
    size_of_png(picture)
    assert picture.alt.endswith("not usable, so not drawn: baseline.")


def test_if_none_is_usable_the_picture_says_so():
    picture = plot_tradeoff(sweep_of(POOR, FAILED, GUESSING))
    size_of_png(picture)
    assert picture.axes == []
    for words in (picture.alt, words_in(picture)):
        assert "No form of digits-cnn is usable" in words
        assert "dynamic, prune_99" in words


def test_the_table_has_a_row_for_every_candidate():
    table = candidate_table(sweep_of(*USABLE, FAILED, GUESSING))
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == ["baseline", "int8", "dynamic", "prune_99"]
    assert rows["int8"] == {
        "candidate": "int8",
        "pick": "quality, balanced, compact",
        "validation": "96.80%",
        "test": "97.20%",
        "95 % interval": "94.5% to 98.6%",
        "worse / better": "3 / 2",
        "file": "16.0 KiB",
        "gzip": "14.0 KiB",
        "xz": "46.9 KiB",
        "packed": "",
        "p50 latency": "0.0126 ms",
        "of baseline": "0.62 (0.60 to 0.64)",
        "in batches of 32": "0.71",
        "load": "2 ms",
        "memory": "2.9 MiB",
        "verdict": "3.6 times smaller after gzip, no detectable loss of accuracy "
        "(3 worse, 2 better), 0.62 of the baseline's time.",
    }
    assert rows["baseline"]["p50 latency"] == "0.0204 ms"
    assert rows["dynamic"]["verdict"] == f"Not usable: {FAILED.reason}"
    assert {rows["dynamic"][column] for column in table.columns[1:-1]} == {""}
    assert rows["prune_99"]["test"] == "97.20%"
    assert rows["prune_99"]["verdict"] == "Not usable: It is no better than chance."


def test_a_reason_cannot_become_html():
    html = candidate_table(sweep_of(*USABLE, FAILED)).html()
    assert "No &lt;b&gt;8-bit&lt;/b&gt; version &amp; no hope." in html
    assert "<b>" not in html


def test_a_name_cannot_become_html():
    named = sweep_of(*USABLE).model_copy(update={"model_name": '"><script>alert(1)</script>'})
    assert "<script>" not in plot_tradeoff(named).html()


def test_the_limits_of_the_choice_are_drawn():
    config = SweepConfig(max_bytes=20_480, max_latency_ratio=0.8)
    size, speed = plot_tradeoff(sweep_of(*USABLE, config=config)).axes
    drawn = [{line.get_label(): line for line in axes.lines} for axes in (size, speed)]
    assert drawn[0]["limit: 20,480 bytes"].get_xdata()[0] == 20
    assert drawn[1]["limit: 0.8 of the baseline's time"].get_xdata()[0] == 0.8
    for lines in drawn:
        assert lines["limit: 1 point less"].get_ydata()[0] == 96
        assert lines["baseline"].get_ydata()[0] == 97


def test_the_front_joins_what_no_other_dominates():
    worse = BASELINE.model_copy(update={"gzip_bytes": 90_000})
    lossy = SMALL.model_copy(
        update={"gzip_bytes": 4_096, "validation_accuracy": 0.9, "validation_p_value": 0.001}
    )
    record = sweep_of(
        *USABLE, Candidate(name="onnx", measured=worse), Candidate(name="qat", measured=lossy)
    )
    size = plot_tradeoff(record).axes[0]
    assert size.get_ylabel() == "validation accuracy (%), which front and choice go by"
    (line,) = (line for line in size.lines if line.get_label() == "front of these two")
    assert list(line.get_xdata()) == [4, 14]
    assert list(line.get_ydata()) == [90, 96.8]


def test_candidates_that_noise_alone_keeps_apart_share_a_number():
    near = SMALL.model_copy(update={"gzip_bytes": 15_000, "latency_ratio": 0.61})
    size = plot_tradeoff(sweep_of(*USABLE, Candidate(name="prune_80+int8", measured=near))).axes[0]
    assert {text.get_text() for text in size.texts} == {
        "baseline",
        "int8 =1",
        "prune_80+int8 =1",
    }


def test_latencies_far_apart_are_drawn_on_a_log_axis():
    slow = {"latency_ratio": 40.0, "latency_ratio_interval": Interval(38, 42), "speed": "slower"}
    record = sweep_of(*USABLE, Candidate(name="int16x8", measured=BASELINE.model_copy(update=slow)))
    assert plot_tradeoff(record).axes[1].get_xscale() == "log"
    assert plot_tradeoff(sweep_of(*USABLE)).axes[1].get_xscale() == "linear"


def test_names_do_not_cover_each_other():
    crowd = [
        Candidate(
            name=f"cluster_{number}+int8",
            measured=SMALL.model_copy(update={"gzip_bytes": 14_000 + number}),
        )
        for number in range(2, 10)
    ]
    picture = plot_tradeoff(sweep_of(*USABLE, *crowd))
    picture.draw_without_rendering()
    for axes in picture.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without its line
        assert len(boxes) == len(crowd) + 2
        for index, box in enumerate(boxes):
            # A pixel is what the estimate of a letter's width may be off by.
            assert not any(box.padded(-2).overlaps(other.padded(-2)) for other in boxes[:index])
