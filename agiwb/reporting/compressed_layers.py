"""The layers of a compressed model: where its zeros are, and which layers bear what."""

from __future__ import annotations

from agiwb.compression.sensitivity import BITS, PERCENT
from agiwb.compression.sweep import SweepRecord
from agiwb.reporting.picture import BLUE, HALO, ORANGE, Picture

_INCHES_PER_LAYER = 0.45


def plot_layer_sparsity(record: SweepRecord, name: str | None = None) -> Picture:
    """Return the share of zeros in each layer of a candidate, as bars.

    Args:
        record: A sweep's.
        name: A candidate; by default the one chosen.

    Raises:
        KeyError: There is no candidate of that name.
    """
    name = name or record.chosen or ""
    layers = record.candidate(name).layer_sparsity if name else {}
    title = f"zeros in the kernels of {name}"
    if not layers:
        return _words(f"Of {name or 'no candidate'} the sparsity of layers is not known.")
    said = ", ".join(f"{layer} {share:.0%}" for layer, share in layers.items())
    picture = Picture(6, 1.3 + _INCHES_PER_LAYER * len(layers), f"Share of {title}: {said}.")
    (axes,) = picture.axes_row(1)
    bars = axes.barh(
        list(layers), [100 * share for share in layers.values()], color=BLUE, height=0.6
    )
    axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="zeros (% of the weights)", xlim=(0, 108), title=title)
    return picture


def plot_sensitivity(record: SweepRecord) -> Picture:
    """Return for each layer what the model loses if it alone is compressed, as bars.

    Measured on the validation split without any training, so that it shows an order of layers,
    not what a candidate will lose.
    """
    found = record.sensitivity
    if not found:
        return _words("What compressing single layers costs was not measured.")
    picture = Picture(
        7.5, 1.6 + 1.3 * _INCHES_PER_LAYER * len(found),
        "Accuracy with one layer alone compressed: " + "; ".join(
            f"{each.layer} {each.pruned_accuracy:.1%} pruned, {each.rounded_accuracy:.1%} rounded"
            for each in found
        ) + f"; {found[0].accuracy:.1%} unchanged.",
    )  # fmt: skip
    (axes,) = picture.axes_row(1)
    kinds = (
        (f"{PERCENT} % of its weights removed", "pruned_accuracy", BLUE, "", -0.2),
        (f"its weights rounded to {BITS} bits", "rounded_accuracy", ORANGE, "////", 0.2),
    )
    for label, field, colour, hatch, shift in kinds:
        bars = axes.barh(
            [place + shift for place in range(len(found))],
            [100 * getattr(each, field) for each in found],
            height=0.36, color=colour, hatch=hatch, edgecolor="white", label=label,
        )  # fmt: skip
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8, path_effects=HALO)
    axes.axvline(100 * found[0].accuracy, color="0.3", linewidth=1, linestyle="--",
                 label="model as it is")  # fmt: skip
    axes.set_yticks(
        range(len(found)), [f"{each.layer}\n{each.weights:,} weights" for each in found], fontsize=8
    )
    axes.invert_yaxis()
    axes.set(xlabel="validation accuracy (%), that layer alone compressed", xlim=(0, 112))
    picture.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=3)
    return picture


def _words(sentence: str) -> Picture:
    """Return a picture of words alone."""
    picture = Picture(7, 0.8, sentence)
    picture.text(0.5, 0.4, sentence, ha="center")
    return picture
