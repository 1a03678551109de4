"""What a model's answers rest on, as pictures of examples and of slices."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from agiwb.errors import InputError
from agiwb.explanation.explain import ExplainRecord
from agiwb.explanation.stored import (
    ATTRIBUTIONS_FILE,
    EXAMPLES_FILE,
    FEATURES_FILE,
    WORDS_FILE,
)
from agiwb.reporting.picture import BLUE, GREY, Picture

if TYPE_CHECKING:
    import pandas as pd

_DIVERGING = "PuOr_r"  # told apart with every common colour blindness; white at zero
_COLUMNS = 4
_BARS = 15
_HEAT_COLUMNS = 12


@dataclass(frozen=True)
class ShadedTexts:
    """Texts with each word shaded by what it adds; a notebook or page shows them as HTML."""

    markup: str
    alt: str

    def html(self) -> str:
        """Return the texts as HTML, every word escaped."""
        return self.markup

    def _repr_html_(self) -> str:
        return self.markup


def plot_explanation(record: ExplainRecord, examples: int = 8) -> Picture | ShadedTexts:
    """Return what matters: in single images, sequences or texts, else as bars with intervals.

    Args:
        record: Of ``explain``.
        examples: How many single ones to show at most, spread evenly.
    """
    if record.method != "integrated_gradients":
        return _bars(record)
    if record.kind == "text":
        return _shaded_texts(record, examples)
    stored = np.load(record.file(ATTRIBUTIONS_FILE))
    features, contributions = stored["features"], stored["contributions"]
    if features.ndim == 2 and record.kind == "array":
        return _bars(record)
    table = _examples(record)
    chosen = _spread(len(table), examples)
    return _maps(record, features[chosen], contributions[chosen], table.iloc[chosen])


def plot_explanation_slices(record: ExplainRecord) -> Picture:
    """Return how much each of the main features matters in each slice, as a heatmap.

    Of images it is a map for each slice.

    Raises:
        InputError: The record has no slices.
    """
    if not record.slices:
        raise InputError(
            "The explanation has no slices to compare.", "Explain with a `slice_column`."
        )
    if record.kind == "image" and record.method == "integrated_gradients":
        return _slice_maps(record)
    return _slice_heatmap(record)


def _bars(record: ExplainRecord) -> Picture:
    shown = record.features[:_BARS][::-1]
    picture = Picture(
        8, 0.3 * len(shown) + 1.1,
        f"What matters to {record.model_name}, by {_quantity(record)}: "
        + "; ".join(f"{one.feature} {one.importance:.3g}" for one in record.features[:_BARS]),
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    places = range(len(shown))
    means = [one.importance for one in shown]
    axes.barh(places, means, color=BLUE, height=0.6)
    for place, one in zip(places, shown, strict=True):
        axes.plot(list(one.interval), [place, place], color="black", linewidth=1.2)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(places, [one.feature for one in shown], parse_math=False)
    axes.set(xlabel=f"{_quantity(record)}, with 95 % interval")
    return picture


def _maps(
    record: ExplainRecord,
    features: NDArray[Any],
    contributions: NDArray[Any],
    table: pd.DataFrame,
) -> Picture:
    """Return a grid of examples under their attributions."""
    captions = [_caption(record, row) for _, row in table.iterrows()]
    columns = min(_COLUMNS, len(captions))
    rows = -(-len(captions) // columns)
    picture = Picture(
        2.4 * columns + 1, 2.4 * rows + 0.3,
        f"What each part adds to the {record.unit}: {'; '.join(captions)}.",
    )  # fmt: skip
    is_image, step = record.kind == "image", "sample" if record.kind == "audio" else "step"
    heat = contributions.sum(axis=3) if is_image and contributions.ndim == 4 else contributions
    reach = float(np.quantile(np.abs(heat), 0.999)) or 1.0  # a single pixel must not fade the rest
    scale, all_axes = Normalize(-reach, reach), []
    for index, caption in enumerate(captions):
        axes = picture.add_subplot(rows, columns, index + 1)
        all_axes.append(axes)
        axes.set_title(caption, fontsize=8, parse_math=False)
        values = heat[index] if is_image else _as_rows(heat[index])
        if is_image:
            axes.imshow(_grey(features[index]), cmap="gray_r", alpha=0.6)
            axes.set_axis_off()
        else:
            axes.set(xlabel=step, ylabel="channel" if heat.ndim == 3 else "", yticks=[])
        # Where a pixel adds little, the image shows through.
        strength = np.sqrt(np.clip(np.abs(values) / reach, 0, 1))
        axes.imshow(
            values, cmap=_DIVERGING, norm=scale, alpha=0.9 * strength if is_image else None,
            aspect="equal" if is_image else "auto", interpolation="nearest",
        )  # fmt: skip
    label = f"adds to the {record.unit}"
    colours = ScalarMappable(scale, _DIVERGING)  # without the transparency
    picture.colorbar(colours, ax=all_axes, label=label, shrink=0.8, extend="both")
    return picture


def _shaded_texts(record: ExplainRecord, count: int) -> ShadedTexts:
    import pandas as pd

    words, table = pd.read_parquet(record.file(WORDS_FILE)), _examples(record)
    reach = float(words["attribution"].abs().max()) if len(words) else 0.0
    parts = []
    for number in _spread(len(table), count):
        own = words[words["example"] == number]
        spans = "".join(
            _shaded(str(word), float(value), reach)
            for word, value in zip(own["word"], own["attribution"], strict=True)
        )
        title = html.escape(_caption(record, table.iloc[number]))
        parts.append(f"<p><b>{title}</b><br>{spans or '(no words)'}</p>")
    legend = (
        f"Below each word: what it adds to the {record.unit}, from "
        f"{_shaded('less', -reach, reach)} to {_shaded('more', reach, reach)}"
    )
    return ShadedTexts(f"<div>{''.join(parts)}<p>{legend}</p></div>", "Texts with shaded words.")


def _shaded(word: str, value: float, reach: float) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    share = value / reach if reach else 0.0
    # The map's dark ends would hide black letters.
    colour = to_hex(colormaps[_DIVERGING](0.5 + 0.3 * share))
    return (
        f'<span style="display: inline-block; text-align: center; margin: 1px; padding: 0 3px; '
        f'color: black; background: {colour}">{html.escape(word)}<br>'
        f'<small>{value:+.2g}</small></span>'
    )  # fmt: skip


def _slice_heatmap(record: ExplainRecord) -> Picture:
    features = [one.feature for one in record.features[:_HEAT_COLUMNS]]
    table = _features(record)
    values = (
        table[table["slice_column"] != ""]
        .pivot_table(index="slice_value", columns="feature", values="importance", dropna=False)
        .reindex(index=[part.value for part in record.slices], columns=features)
        .to_numpy()
    )
    lowest = float(np.nanmin(values, initial=0.0))
    reach = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    picture = Picture(
        0.55 * len(features) + 3.5, 0.35 * len(record.slices) + 2,
        f"{_quantity(record)} by {record.slices[0].column}: {_slices_in_words(record)}",
    )  # fmt: skip
    axes = picture.add_subplot(1, 1, 1)
    signed = lowest < 0
    drawn = axes.imshow(
        values, aspect="auto", cmap=_DIVERGING if signed else "viridis",
        vmin=-reach if signed else 0, vmax=reach,
    )  # fmt: skip
    axes.set_xticks(
        range(len(features)), features, rotation=40, ha="right", fontsize=8, parse_math=False
    )
    _label_slices(axes, record)
    picture.colorbar(drawn, ax=axes, label=_quantity(record))
    return picture


def _slice_maps(record: ExplainRecord) -> Picture:
    stored = np.load(record.file(ATTRIBUTIONS_FILE))
    shape = stored["features"].shape[1:3]
    maps = stored["slice_means"].reshape(-1, *shape)
    columns = min(2 * _COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    picture = Picture(
        1.4 * columns + 1.2, max(2.8, 1.6 * rows + 0.3),
        f"{_quantity(record)} by {record.slices[0].column}: {_slices_in_words(record)}",
    )  # fmt: skip
    scale, all_axes = Normalize(0, float(np.nanmax(maps)) or 1.0), []
    for index, (part, image) in enumerate(zip(record.slices, maps, strict=True)):
        axes = picture.add_subplot(rows, columns, index + 1)
        all_axes.append(axes)
        axes.set_title(f"{part.value} (n={part.examples})", fontsize=8, parse_math=False)
        axes.set_axis_off()
        axes.imshow(image, cmap="viridis", norm=scale)
    colours = ScalarMappable(scale, "viridis")
    picture.colorbar(colours, ax=all_axes, label=_quantity(record), shrink=0.8)
    return picture


def _label_slices(axes: Axes, record: ExplainRecord) -> None:
    labels = [f"{part.value} (n={part.examples})" for part in record.slices]
    axes.set_yticks(range(len(labels)), labels, fontsize=8, parse_math=False)
    axes.set_ylabel(record.slices[0].column, parse_math=False)


def _slices_in_words(record: ExplainRecord) -> str:
    return "; ".join(
        f"{part.value} rests most on {part.features[0].feature}" for part in record.slices
    )


def _quantity(record: ExplainRecord) -> str:
    """Return what an importance is, with its unit."""
    if record.method == "permutation":
        worse = "rise" if record.unit == "rmse" else "drop"
        return f"{worse} of {record.unit} when shuffled"
    return f"mean |attribution| ({record.unit})"


def _caption(record: ExplainRecord, row: pd.Series[Any]) -> str:
    if not record.classes:
        return f"{row['answer']:.4g}, reference {row['reference_answer']:.4g}"
    return f"{row['target']} ({row['answer']:.0%}), true: {row['label']}"


def _examples(record: ExplainRecord) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(record.file(EXAMPLES_FILE))


def _features(record: ExplainRecord) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(record.file(FEATURES_FILE))


def _spread(available: int, count: int) -> NDArray[np.intp]:
    shown = min(available, count)
    return np.linspace(0, available - 1, shown).round().astype(np.intp)


def _grey(image: NDArray[Any]) -> NDArray[Any]:
    """Return the brightness of an image: ``(height, width)``."""
    return np.asarray(image.mean(axis=2)) if image.ndim == 3 else image


def _as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Return a sequence with time going to the right: ``(channels, steps)``."""
    return values[np.newaxis] if values.ndim == 1 else values.reshape(len(values), -1).T
