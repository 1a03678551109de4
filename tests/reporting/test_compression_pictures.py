"""The picture and the table of a sweep, from records written by hand."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path

from compression.made_up import MEASURED

from agiwb.compression.candidate import Candidate, describe
from agiwb.compression.sweep import SweepConfig, SweepRecord
from agiwb.reporting.compression import candidate_table, plot_tradeoff
from agiwb.reporting.picture import Picture
from agiwb.runs.provenance import Provenance
from agiwb.runs.record import RunInfo
from agiwb.statistics import Interval

BASELINE = MEASURED.model_copy(
    update={"size_bytes": 61_440, "gzip_bytes": 51_200, "latency_ms_p50": 0.0204}
)
SMALL = BASELINE.model_copy(
    update={
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
    }
)
USABLE = (
    Candidate(name="baseline", measured=BASELINE),
    Candidate(name="int8", measured=SMALL, on_front=True),
)
FAILED = Candidate(name="dynamic", reason="No <b>8-bit</b> version & no hope.")
GUESSING = Candidate(name="prune_99", reason="It is no better than chance.", measured=SMALL)


def sweep_of(*candidates: Candidate, chosen: str | None = None) -> SweepRecord:
    """Return a record of these candidates, each with the verdict that a sweep would give it."""
    now = datetime(2024, 1, 1, tzinfo=UTC)
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
    return SweepRecord(
        run=RunInfo(
            id="0", step="sweep", folder=Path(), cache_key="", started_at=now, provenance=provenance
        ),
        config=SweepConfig(),
        model_name="digits-cnn",
        dataset="digits",
        test_examples=360,
        chance_level=0.1,
        candidates=tuple(
            candidate.model_copy(update={"verdict": describe(candidate, BASELINE, 360)})
            for candidate in candidates
        ),
        latency_noise_ratio=1.0,
        latency_floor=1.02,
        chosen=chosen,
        choice_reason="",
    )


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
    assert size_of_png(plot_tradeoff(sweep_of(*USABLE, FAILED, chosen="int8"))) == (1100, 462)


def test_the_text_alternative_names_each_candidate_and_says_what_was_measured():
    alt = plot_tradeoff(sweep_of(*USABLE, FAILED, GUESSING)).alt
    assert alt == (
        "Trade-off among forms of digits-cnn: "
        "baseline 97.5%, 51,200 bytes after gzip, 1.00 of the baseline's time; "
        "int8 97.2%, 14,336 bytes after gzip, 0.62 of the baseline's time; "
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
    assert size_of_png(picture) == (1100, 462)
    for words in (picture.alt, picture.get_supxlabel()):
        assert "only the baseline is usable; not usable, so not drawn: dynamic" in words


def test_a_bound_that_rounding_puts_inside_its_value_is_drawn():
    bounds = {"accuracy_interval": Interval(0.95, 0.99999), "test_accuracy": 1.0}
    perfect = Candidate(name="baseline", measured=BASELINE.model_copy(update=bounds))
    size_of_png(plot_tradeoff(sweep_of(perfect)))


def test_candidates_are_drawn_beside_a_baseline_that_is_not_usable():
    guessing = Candidate(name="baseline", reason="No better than chance.", measured=BASELINE)
    picture = plot_tradeoff(sweep_of(guessing, USABLE[1]))
    size_of_png(picture)
    assert picture.alt.endswith("not usable, so not drawn: baseline.")


def test_if_none_is_usable_the_picture_says_so():
    picture = plot_tradeoff(sweep_of(FAILED, GUESSING))
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
        "accuracy": "97.20%",
        "95 % interval": "94.5% to 98.6%",
        "worse / better": "3 / 2",
        "file": "16.0 KiB",
        "gzip": "14.0 KiB",
        "p50 latency": "0.0126 ms",
        "of baseline": "0.62 (0.60 to 0.64)",
        "verdict": "3.6 times smaller after gzip, no detectable loss of accuracy "
        "(3 worse, 2 better), 0.62 of the baseline's time.",
    }
    assert rows["baseline"]["p50 latency"] == "0.0204 ms"
    assert rows["dynamic"]["verdict"] == f"Not usable: {FAILED.reason}"
    assert {rows["dynamic"][column] for column in table.columns[1:-1]} == {""}
    assert rows["prune_99"]["accuracy"] == "97.20%"
    assert rows["prune_99"]["verdict"] == "Not usable: It is no better than chance."


def test_a_reason_cannot_become_html():
    html = candidate_table(sweep_of(*USABLE, FAILED)).html()
    assert "No &lt;b&gt;8-bit&lt;/b&gt; version &amp; no hope." in html
    assert "<b>" not in html


def test_a_name_cannot_become_html():
    named = sweep_of(*USABLE).model_copy(update={"model_name": '"><script>alert(1)</script>'})
    assert "<script>" not in plot_tradeoff(named).html()
