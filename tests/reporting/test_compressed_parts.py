"""The pictures of a compressed model's layers and of a recipe's stages."""

from __future__ import annotations

import pytest

from agiwb.compression.sensitivity import LayerSensitivity
from agiwb.reporting.compressed_layers import plot_layer_sparsity, plot_sensitivity
from agiwb.reporting.stage_sizes import plot_waterfall
from tests.compression.rows import BASELINE_ROW, row
from tests.reporting.sweeps import sweep_of

NAME = "prune_80+cluster_16+int8"
PRUNED = row(NAME, 0.968, 100).model_copy(
    update={
        "layer_sparsity": {"conv": 0.8, "dense": 0.4},
        "stage_bytes": {"prune_80": 380, "prune_80+cluster_16": 190},
    }
)
RECORD = sweep_of(BASELINE_ROW, PRUNED)


def test_each_layer_has_a_bar_as_long_as_its_share_of_zeros():
    picture = plot_layer_sparsity(RECORD)
    (axes,) = picture.axes
    assert [bar.get_width() for bar in axes.patches] == [80, 40]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv", "dense"]
    assert picture.alt == f"Share of zeros in the kernels of {NAME}: conv 80%, dense 40%."
    assert picture.png().startswith(b"\x89PNG")


def test_without_layers_the_picture_says_so():
    words = "Of baseline the sparsity of layers is not known."
    assert plot_layer_sparsity(RECORD, "baseline").alt == words
    with pytest.raises(KeyError):
        plot_layer_sparsity(RECORD, "int8")


def test_each_layer_has_a_bar_for_each_way_to_compress_it():
    found = tuple(
        LayerSensitivity(
            layer=layer, weights=50, accuracy=0.97, pruned_accuracy=pruned, rounded_accuracy=0.9
        )
        for layer, pruned in (("conv", 0.5), ("dense", 0.96))
    )
    picture = plot_sensitivity(RECORD.model_copy(update={"sensitivity": found}))
    (axes,) = picture.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([50, 96, 90, 90])
    assert "conv 50.0% pruned, 90.0% rounded" in picture.alt
    assert "97.0% unchanged" in picture.alt
    assert picture.png().startswith(b"\x89PNG")
    assert "was not measured" in plot_sensitivity(RECORD).alt


def test_the_waterfall_has_a_bar_for_each_stage():
    picture = plot_waterfall(RECORD)
    (axes,) = picture.axes
    filled = [bar for bar in axes.patches if bar.get_facecolor()[3]]
    assert [round(1024 * bar.get_height()) for bar in filled] == [1000, 380, 190, 100]
    assert [bool(bar.get_hatch()) for bar in filled] == [False, True, True, False]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "baseline",
        "+ prune_80",
        "+ cluster_16",
        "+ int8",
    ]
    assert picture.get_supxlabel() == "dotted: the weights alone"
    assert picture.alt == (
        f"Bytes after gzip, stage by stage: baseline 1,000, prune_80 380, prune_80+cluster_16 190, "
        f"{NAME} 100."
    )
    assert picture.png().startswith(b"\x89PNG")


def test_the_waterfall_of_the_baseline_is_one_bar():
    (axes,) = plot_waterfall(RECORD, "baseline").axes
    assert len(axes.patches) == 1
