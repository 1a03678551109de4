"""Some training examples of a data set, drawn as what they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset, Split
from agiwb.datasets.quality.report import QualityReport
from agiwb.reporting.picture import BLUE, GREY, ORANGE, VERMILION

_SAMPLE = 2000
_GRID_COLUMNS, _GRID_ROWS = 8, 4
_SHOWN_COLUMNS, _SHOWN_CLASSES = 6, 4
_SHOWN_TEXTS, _SNIPPET = 6, 64
_SHOWN_BARS = 20
_COLOURS = (BLUE, ORANGE, VERMILION, GREY)


def draw_preview(figure: SubFigure, data: Dataset) -> None:
    """Draw examples of the training split into ``figure``."""
    sample = data.train.sample(_SAMPLE)
    draw = {
        "image": _images, "table": _columns, "text": _texts, "audio": _sounds,
        "sequence": _sequences, "pairs": _interactions, "array": _columns,
    }[data.kind]  # fmt: skip
    draw(figure, data, sample)


def draw_balance(axes: Axes, data: Dataset, report: QualityReport) -> None:
    """Draw how many examples each class has, or how the targets are spread."""
    axes.spines[["top", "right"]].set_visible(False)
    if not report.classes:
        labels = data.train.sample(_SAMPLE).labels
        axes.hist(labels, bins=30, color=BLUE)
        axes.set(xlabel="target", ylabel="training examples (of a sample)")
        return
    names = list(report.classes)[:_SHOWN_BARS]
    left = np.zeros(len(names))
    for split, colour in zip(report.examples, (BLUE, ORANGE, GREY), strict=True):
        counts = np.array([report.classes[name][split] for name in names])
        axes.barh(range(len(names)), counts, left=left, color=colour, label=split)
        left += counts
    axes.set_yticks(range(len(names)))
    axes.set_yticklabels([_short(name, 18) for name in names], parse_math=False)
    axes.invert_yaxis()
    hidden = len(report.classes) - len(names)
    axes.set(xlabel="examples", ylabel=f"class (and {hidden} more)" if hidden > 0 else "class")
    axes.legend(
        frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3,
        columnspacing=1, handlelength=1,
    )  # fmt: skip


def _images(figure: SubFigure, data: Dataset, sample: Split) -> None:
    """Draw a grid of images, class by class."""
    chosen = _of_each_class(data, sample, _GRID_ROWS * _GRID_COLUMNS)
    figure.supxlabel("training examples", fontsize=9)
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(_GRID_ROWS, _GRID_COLUMNS, place + 1)
        image = sample.features[row]
        if image.ndim == 3 and image.shape[-1] == 1:
            image = image[..., 0]
        if image.ndim == 3:
            axes.imshow(np.clip(image[..., :3] / data.scale, 0, 1))
        else:
            axes.imshow(image, cmap="gray", vmin=0, vmax=data.scale)
        axes.set_title(_short(_label(data, sample, row), 14), fontsize=7, parse_math=False)
        axes.set_axis_off()


def _columns(figure: SubFigure, data: Dataset, sample: Split) -> None:
    """Draw the distribution of the first columns, by class."""
    columns = _values_of_columns(sample)
    shown = list(columns.items())[:_SHOWN_COLUMNS]
    groups = _groups(data, sample)
    for place, (name, values) in enumerate(shown):
        axes = figure.add_subplot(-(-len(shown) // 3), min(3, len(shown)), place + 1)
        axes.spines[["top", "right"]].set_visible(False)
        if values.dtype.kind == "f":
            _histogram(axes, values, groups)
        else:
            _bars_of_texts(axes, values)
        axes.set_xlabel(_short(name, 24), fontsize=8, parse_math=False)
        axes.set_ylabel("examples" if place % 3 == 0 else "", fontsize=8)
        axes.tick_params(labelsize=7)
    handles, names = next(
        (found for axes in figure.axes if (found := axes.get_legend_handles_labels())[0]), ([], [])
    )
    if len(groups) > 1 and handles:
        legend = figure.legend(
            handles, names, frameon=False, fontsize=8, loc="outside upper center", ncols=4
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    if len(columns) > len(shown):
        figure.supxlabel(f"{len(shown)} of {len(columns)} columns", fontsize=9)


def _texts(figure: SubFigure, data: Dataset, sample: Split) -> None:
    snippets, lengths = figure.subplots(2, 1, height_ratios=(1.4, 1))
    snippets.set_axis_off()
    chosen = _of_each_class(data, sample, _SHOWN_TEXTS)
    for place, row in enumerate(chosen):
        height = 1 - (place + 0.5) / max(1, len(chosen))
        words = " ".join(str(sample.features[row]).split())
        snippets.text(
            0, height, f"{_short(_label(data, sample, row), 14)}: {_short(words, _SNIPPET)}",
            fontsize=8, va="center", parse_math=False,
        )  # fmt: skip
    counts = [len(str(text).split()) for text in sample.features]
    lengths.hist(counts, bins=min(40, max(counts) + 1), color=BLUE)
    lengths.spines[["top", "right"]].set_visible(False)
    lengths.set(xlabel="words of a text", ylabel="examples")


def _sounds(figure: SubFigure, data: Dataset, sample: Split) -> None:
    """Draw waveforms, and the spectrogram of the first below its own."""
    rate = data.sample_rate_hz or 1
    chosen = _of_each_class(data, sample, 3)
    grid = figure.subplots(2, len(chosen), squeeze=False)
    seconds = np.arange(sample.features.shape[1]) / rate
    for column, row in enumerate(chosen):
        wave, spectrum = grid[0][column], grid[1][column]
        sound = sample.features[row]
        wave.plot(seconds, sound, color=BLUE, linewidth=0.5)
        wave.set_title(_short(_label(data, sample, row), 18), fontsize=8, parse_math=False)
        window = min(256, len(sound))
        spectrum.specgram(
            # Silence, such as the padding at the end, is drawn as that: 100 dB below full scale.
            sound + np.random.default_rng(0).normal(scale=1e-5, size=len(sound)),
            NFFT=window, Fs=rate, noverlap=window // 2, cmap="magma", vmin=-130, vmax=-20,
        )  # fmt: skip
        spectrum.set_xlabel("time (s)", fontsize=8)
        if column == 0:
            wave.set_ylabel("amplitude", fontsize=8)
            spectrum.set_ylabel("frequency (Hz)", fontsize=8)
        for axes in (wave, spectrum):
            axes.tick_params(labelsize=7)


def _sequences(figure: SubFigure, data: Dataset, sample: Split) -> None:
    chosen = _of_each_class(data, sample, 4)
    grid = figure.subplots(len(chosen), 1, sharex=True, squeeze=False)[:, 0]
    for axes, row in zip(grid, chosen, strict=True):
        for channel, colour in zip(sample.features[row].T, _COLOURS, strict=False):
            axes.plot(channel, color=colour, linewidth=0.8)
        axes.set_ylabel(_short(_label(data, sample, row), 12), fontsize=8, parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7)
    grid[-1].set_xlabel("step (a line for each channel, four at most)")


def _interactions(figure: SubFigure, data: Dataset, sample: Split) -> None:
    """Draw how many interactions users and items have: few have many, on log axes a line."""
    for axes, column in zip(figure.subplots(1, 2), ("user", "item"), strict=True):
        counts = sorted(Counter(sample.features[column]).values(), reverse=True)
        axes.loglog(range(1, len(counts) + 1), counts, ".", color=BLUE)
        axes.set(xlabel=f"{column}s, by rank", ylabel="examples (of a sample)")
        axes.spines[["top", "right"]].set_visible(False)


def _values_of_columns(sample: Split) -> dict[str, NDArray[Any]]:
    features = sample.features
    if features.dtype.names:
        return {name: features[name] for name in features.dtype.names}
    flat = features.reshape(len(features), -1)
    return {f"feature {number}": flat[:, number] for number in range(flat.shape[1])}


def _groups(data: Dataset, sample: Split) -> dict[str, NDArray[np.bool_]]:
    """Return which examples are of which of the most frequent classes; one group without any."""
    if data.task not in CLASSIFYING:
        return {"all": np.ones(len(sample), bool)}
    common = [number for number, _ in Counter(sample.labels.tolist()).most_common(_SHOWN_CLASSES)]
    return {_short(data.classes[number], 14): sample.labels == number for number in sorted(common)}


def _histogram(axes: Axes, values: NDArray[Any], groups: dict[str, NDArray[np.bool_]]) -> None:
    finite = np.isfinite(values)
    if not finite.any():
        axes.text(0.5, 0.5, "no values", ha="center", transform=axes.transAxes)
        return
    edges = np.histogram_bin_edges(values[finite].astype(np.float64), 25).tolist()
    for (name, inside), colour in zip(groups.items(), _COLOURS, strict=False):
        # A name that begins with an underscore would be left out of the legend.
        axes.hist(
            values[finite & inside], edges, histtype="step", color=colour, label=f" {name}"
        )  # fmt: skip


def _bars_of_texts(axes: Axes, values: NDArray[Any]) -> None:
    counts = Counter(str(value) or "(empty)" for value in values).most_common(6)
    axes.bar(range(len(counts)), [count for _, count in counts], color=GREY)
    axes.set_xticks(range(len(counts)))
    axes.set_xticklabels(
        [_short(name, 8) for name, _ in counts], rotation=30, fontsize=7, parse_math=False
    )


def _of_each_class(data: Dataset, sample: Split, count: int) -> list[int]:
    """Return at most ``count`` rows of the sample, as many of each class as there is room for."""
    if data.task not in CLASSIFYING:
        return list(range(min(len(sample), count)))
    by_class = [np.flatnonzero(sample.labels == number) for number in range(len(data.classes))]
    present = [found for found in by_class if len(found)]
    each = max(1, count // max(1, len(present)))
    return [int(row) for found in present for row in found[:each]][:count]


def _label(data: Dataset, sample: Split, row: int) -> str:
    label = sample.labels[row]
    if data.task in CLASSIFYING:
        return data.classes[int(label)]
    if data.task == "multilabel":
        held = [name for name, holds in zip(data.classes, label, strict=True) if holds]
        return ", ".join(held) or "none"
    return f"{float(label):.3g}"


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
