"""How many bytes each stage of a recipe saves, as a waterfall."""

from __future__ import annotations

from agiwb.compression.sweep import SweepRecord
from agiwb.compression.waterfall import waterfall
from agiwb.reporting.picture import BLUE, GREY, Picture

_KIB = 1024


def plot_waterfall(record: SweepRecord, name: str | None = None) -> Picture:
    """Return the bytes after gzip that are left after each stage of a candidate's recipe.

    Args:
        record: A sweep's.
        name: A candidate; by default the one chosen, or without one the nearest.

    Raises:
        KeyError: There is no candidate of that name.
    """
    name = name or record.chosen or record.nearest or record.candidates[0].name
    falls = waterfall(record.candidates, name)
    said = ", ".join(f"{fall.recipe} {fall.gzip_bytes:,}" for fall in falls)
    picture = Picture(
        max(5.0, 1.8 * len(falls)), 3.4, f"Bytes after gzip, stage by stage: {said or 'unknown'}."
    )
    (axes,) = picture.axes_row(1)
    whole = falls[0].gzip_bytes if falls else 0
    for place, fall in enumerate(falls):
        left = fall.gzip_bytes / _KIB
        axes.bar(place, left, width=0.62, color=BLUE, hatch="...." if fall.weights_only else "",
                 edgecolor="white")  # fmt: skip
        before = falls[place - 1].gzip_bytes / _KIB if place else left
        if before > left:
            axes.bar(place, before - left, bottom=left, width=0.62, color="none", edgecolor=GREY,
                     linestyle=":")  # fmt: skip
        gain = f"\n1/{whole / fall.gzip_bytes:.1f}" if place else ""
        axes.text(place, max(before, left), f"{left:.1f} KiB{gain}", ha="center", va="bottom",
                  fontsize=8)  # fmt: skip
    axes.set_xticks(
        range(len(falls)),
        [fall.recipe.split("+")[-1] if place == 0 else f"+ {fall.recipe.split('+')[-1]}"
         for place, fall in enumerate(falls)],
        fontsize=8,
    )  # fmt: skip
    axes.margins(y=0.22)
    axes.set(ylabel="after gzip (KiB)", title=name)
    if any(fall.weights_only for fall in falls):
        picture.supxlabel("dotted: the weights alone", fontsize=8)
    return picture
