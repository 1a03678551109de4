"""A search as pictures and as a table: how it went, what mattered, and the best trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from agiwb.reporting.picture import BLUE, GREY, VERMILION, Picture
from agiwb.reporting.tables import Table
from agiwb.training.search.record import SearchRecord, TrialResult
from agiwb.training.search.space import Choices, Range, Span, Value, parse_range

# Of even steps in lightness, so that it reads the same in grey and with every colour blindness.
_COLOURS = "cividis"
_LONGEST_LABEL = 14
_NAMES = {
    "auc": "area under the ROC curve",
    "rmse": "root mean squared error",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "r2": "R²",
    "f1_macro": "macro F1",
    "loss": "loss with penalties",
}
_SHARES = frozenset({"accuracy", "auc", "binary_accuracy", "precision", "recall", "f1_macro"})
_UNITS = {"rmse": "the target's unit", "mae": "the target's unit", "mse": "its square"}


def plot_search(record: SearchRecord) -> Picture:
    """Return each trial's value in the order they were drawn, and the best so far.

    Bars are standard errors over the folds. Trials that were pruned or failed have no value: they
    are marks on the lower edge.
    """
    complete = _complete(record)
    style = _style(record.metric)
    picture = Picture(
        9, 3.4,
        f"History of the search {record.model_name}: {_counts(record)}; the best is trial "
        f"{record.best.number} with validation {record.metric} {_written(record, record.best)}.",
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    numbers, values = [trial.number for trial in complete], _values(complete)
    axes.errorbar(
        numbers,
        [style.factor * value for value in values],
        yerr=[style.factor * (trial.standard_error or 0) for trial in complete],
        color=BLUE, marker="o", markersize=4, linestyle="none", elinewidth=0.8, label="trial",
    )  # fmt: skip
    better = min if record.lower_is_better else max
    best = [style.factor * better(values[: index + 1]) for index in range(len(values))]
    axes.step(
        numbers, best,
        where="post", color=VERMILION, label="best so far",
    )  # fmt: skip
    for state, marker in (("pruned", "|"), ("failed", "x")):
        without = [trial.number for trial in record.trials if trial.state == state]
        if without:
            axes.plot(
                without, [0.02] * len(without), marker,
                color=GREY, transform=axes.get_xaxis_transform(), label=state,
            )  # fmt: skip
    axes.set(xlabel="trial", ylabel=style.label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return picture


def plot_importance(record: SearchRecord) -> Picture:
    """Return how much of the variance of the trials' values each field explains."""
    shares = record.importance
    if not shares:
        picture = Picture(9, 1.0, f"What mattered is not known. {record.importance_note}")
        picture.text(0.5, 0.5, record.importance_note, ha="center")
        return picture
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    picture = Picture(9, 1.2 + 0.35 * len(shares), f"What mattered: {told}.")
    (axes,) = picture.axes_row(1)
    names = list(shares)[::-1]
    bars = axes.barh(names, [100 * shares[name] for name in names], color=BLUE)
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set(xlabel=f"share of the variance of the validation {record.metric} (%)")
    if record.importance_note:
        picture.supxlabel(record.importance_note, fontsize=8)
    return picture


def plot_settings(record: SearchRecord) -> Picture:
    """Return each completed trial as a line through its settings, darker the better it was.

    The best is the thick red line; the last axis is the value itself.
    """
    complete = _complete(record)
    style = _style(record.metric)
    columns = [_Column(name, parse_range(name, text)) for name, text in record.space.items()]
    picture = Picture(
        max(6, 1.7 * (len(columns) + 1)), 4,
        f"Settings of {len(complete)} completed trials; the best is {record.best_flags}.",
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    values = [style.factor * value for value in _values(complete)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    # The dark end is the better one.
    colours = mpl.colormaps[f"{_COLOURS}{'' if record.lower_is_better else '_r'}"]
    mapped = ScalarMappable(Normalize(low, low + span), colours)
    ordered = sorted(
        zip(complete, values, strict=True),
        key=lambda pair: pair[1],
        reverse=record.lower_is_better,
    )
    places = range(len(columns) + 1)
    for trial, value in ordered:
        heights = [column.height(trial.params[column.name]) for column in columns]
        is_best = trial.number == record.best.number
        axes.plot(
            places, [*heights, (value - low) / span],
            color=VERMILION if is_best else colours((value - low) / span),
            linewidth=2.5 if is_best else 1, zorder=3 if is_best else 1,
        )  # fmt: skip
    for place, column in enumerate(columns):
        _draw_column(axes, place, column.ticks())
    _draw_column(axes, len(columns), [(0, f"{low:.4g}"), (1, f"{low + span:.4g}")])
    axes.set(xticks=list(places), yticks=[], ylim=(-0.05, 1.05), xlim=(-0.3, len(columns) + 0.6))
    axes.set_xticklabels([*(column.label for column in columns), style.label.replace(" (", "\n(")])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    picture.colorbar(mapped, ax=axes, label=style.label, pad=0.02)
    return picture


def trial_table(record: SearchRecord, most: int = 10) -> Table:
    """Return the best trials first, then those that were pruned or failed, ``most`` in all."""
    sign = 1 if record.lower_is_better else -1
    ordered = sorted(
        record.trials,
        key=lambda trial: (trial.value is None, sign * (trial.value or 0), trial.number),
    )
    return Table.of(
        [
            {
                "trial": str(trial.number),
                f"validation {record.metric}": _written(record, trial),
                **{name: _short(value) for name, value in trial.params.items()},
                "epochs": ", ".join(map(str, trial.epochs)),
                "time": f"{trial.duration_s:.3g} s",
                "note": "" if trial.state == "complete" else f"{trial.state}: {trial.reason}",
            }
            for trial in ordered[:most]
        ]
    )


@dataclass(frozen=True)
class _Style:
    """How a metric is drawn."""

    label: str
    factor: float


@dataclass(frozen=True)
class _Column:
    """One searched field as an axis from 0 to 1."""

    name: str
    range: Range

    @property
    def label(self) -> str:
        is_log = isinstance(self.range, Span) and self.range.log
        return self.name.replace("_", " ") + ("\n(log)" if is_log else "")

    def height(self, value: Value) -> float:
        """Return where on the axis ``value`` lies."""
        if isinstance(self.range, Choices):
            last = len(self.range.values) - 1
            return self.range.values.index(value) / last if last else 0.5
        if not isinstance(value, int | float):
            return math.nan
        low, high = self.range.low, self.range.high
        if self.range.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return what is written on the axis, and where."""
        if isinstance(self.range, Choices):
            return [(self.height(value), _short(value)) for value in self.range.values]
        return [(0, _short(self.range.low)), (1, _short(self.range.high))]


def _complete(record: SearchRecord) -> list[TrialResult]:
    return [trial for trial in record.trials if trial.value is not None]


def _values(complete: list[TrialResult]) -> list[float]:
    return [trial.value for trial in complete if trial.value is not None]


def _style(metric: str) -> _Style:
    name = f"validation {_NAMES.get(metric, metric.replace('_', ' '))}"
    if metric in _SHARES:
        return _Style(f"{name} (%)", 100)
    unit = f" ({_UNITS[metric]})" if metric in _UNITS else ""
    return _Style(f"{name}{unit}", 1)


def _written(record: SearchRecord, trial: TrialResult) -> str:
    """Return a trial's value with its standard error; nothing if it has none."""
    if trial.value is None:
        return ""
    style, unit = (".2f", " %") if record.metric in _SHARES else (".4g", "")
    factor = _style(record.metric).factor
    error = trial.standard_error
    spread = f" ± {factor * error:{'.2g'}}" if error is not None else ""
    return f"{factor * trial.value:{style}}{spread}{unit}"


def _counts(record: SearchRecord) -> str:
    states = [trial.state for trial in record.trials]
    words = [f"{states.count('complete')} completed"]
    words += [f"{states.count(s)} {s}" for s in ("pruned", "failed") if s in states]
    return f"{len(states)} trials, {', '.join(words)}"


def _draw_column(axes: Axes, place: int, ticks: list[tuple[float, str]]) -> None:
    axes.axvline(place, color="0.7", linewidth=0.8, zorder=0)
    for height, text in ticks:
        shown = text if len(text) <= _LONGEST_LABEL else f"…{text[-_LONGEST_LABEL:]}"
        axes.text(
            place + 0.03, height, shown, fontsize=8, va="center", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
