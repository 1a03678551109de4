"""One candidate or two in words: verdict, figures side by side, recipe, pictures."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from agiwb.compression.candidate import Candidate
from agiwb.compression.sweep import SweepRecord

_NO_RECIPE = "No recipe was kept with this candidate."


def verdict_html(record: SweepRecord, name: str, other: str = "") -> str:
    """Return the verdict on ``name``, and if there is an ``other`` one, on that and on the pair."""
    shown = [record.candidate(each) for each in (name, other) if each]
    parts = [_verdict(candidate) for candidate in shown]
    if len(shown) == 2:
        parts.append(f"<p><b>{escape(_pair(*shown))}</b></p>")
    return "".join(parts)


def figures_html(record: SweepRecord, name: str, other: str = "") -> str:
    """Return what was measured, a row for each measure and a column for each of the two."""
    from agiwb.reporting.compression import candidate_table

    table = candidate_table(record)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    names = [each for each in (name, other) if each]
    measures = [column for column in table.columns if column not in {"candidate", "verdict"}]
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in names)
    body = "".join(
        f'<tr><th scope="row">{escape(measure)}</th>'
        + "".join(f"<td>{escape(rows[each][measure])}</td>" for each in names)
        + "</tr>"
        for measure in measures
        if any(rows[each][measure] for each in names)
    )
    return f'<table><thead><tr><th scope="col">measure</th>{head}</tr></thead>{body}</table>'


def recipe_html(record: SweepRecord, name: str) -> str:
    """Return the file that makes the candidate again."""
    file = record.candidate(name).recipe_file
    try:
        text = record.file(file).read_text("utf-8") if file else _NO_RECIPE
    except OSError:
        text = _NO_RECIPE
    return (
        f"<details><summary>The recipe of {escape(name)}, as "
        f"<code>agiwb sweep --config FILE.yaml</code> reads it</summary>"
        f"<pre>{escape(text)}</pre></details>"
    )


def picture_html(record: SweepRecord, name: str, what: str) -> str:
    """Return the picture ``what`` of a candidate as HTML; see PICTURES."""
    return f'<figure class="agiwb-scroll">{PICTURES[what](record, name)}</figure>'


def still_html(record: SweepRecord) -> str:
    """Return the whole trade-off for a page without a kernel: picture, choice and table."""
    from agiwb.reporting.compression import candidate_table, plot_tradeoff

    return (
        f"<figure>{plot_tradeoff(record).html()}</figure>"
        f"<p>{escape(record.choice_reason)}</p>{candidate_table(record).html()}"
    )


def _bytes_by_stage(record: SweepRecord, name: str) -> str:
    from agiwb.reporting.stage_sizes import plot_waterfall

    return plot_waterfall(record, name).html()


def _zeros_by_layer(record: SweepRecord, name: str) -> str:
    from agiwb.reporting.compressed_layers import plot_layer_sparsity

    return plot_layer_sparsity(record, name).html()


def _sensitivity(record: SweepRecord, name: str) -> str:
    from agiwb.reporting.compressed_layers import plot_sensitivity

    return plot_sensitivity(record).html()


PICTURES: dict[str, Callable[[SweepRecord, str], str]] = {
    "Bytes after each stage": _bytes_by_stage,
    "Zeros in each layer": _zeros_by_layer,
    "What each layer bears (of the model)": _sensitivity,
}
"""The pictures of a candidate, by what they show."""


def _verdict(candidate: Candidate) -> str:
    picks = "".join(f" · the {pick} pick" for pick in candidate.picks)
    said = candidate.verdict or candidate.reason or "Nothing is said of it."
    return f"<p><b>{escape(candidate.name)}</b>{escape(picks)}: {escape(said)}</p>"


def _pair(one: Candidate, other: Candidate) -> str:
    """Return what sets two apart, in a sentence."""
    if one.measured is None or other.measured is None:
        return "They cannot be compared: one of them was not measured."
    if other.name in one.ties:
        same = "noise alone keeps their accuracy and latency apart"
    else:
        points = 100 * (other.measured.validation_accuracy - one.measured.validation_accuracy)
        ratio = other.measured.latency_ratio / one.measured.latency_ratio
        same = f"{points:+.2f} points of validation accuracy and {ratio:.2f} times its latency"
    size = other.measured.gzip_bytes / one.measured.gzip_bytes
    return f"{other.name} beside {one.name}: {size:.2f} times its bytes after gzip; {same}."
