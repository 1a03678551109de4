"""Recipes: their notation, read and written, and what it refuses."""

from __future__ import annotations

import pytest

from agiwb.compression.recipe import Conversion, Recipe, parse_recipe
from agiwb.compression.sweep import SweepConfig
from agiwb.compression.techniques.clustering import Cluster
from agiwb.compression.techniques.fake_quantization import QuantizationAware
from agiwb.compression.techniques.magnitude_pruning import MagnitudePruning
from agiwb.compression.techniques.two_four import TwoFour
from agiwb.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "recipe"),
    [
        ("baseline", Recipe()),
        ("prune_80", Recipe((MagnitudePruning(percent=80),))),
        ("int8", Recipe((Conversion(form="int8"),))),
        ("prune_5+float16", Recipe((MagnitudePruning(percent=5), Conversion(form="float16")))),
        (
            "two_four+cluster_16+qat+int8",
            Recipe((TwoFour(), Cluster(clusters=16), QuantizationAware(), Conversion(form="int8"))),
        ),
    ],
)
def test_the_name_is_the_notation(text: str, recipe: Recipe):
    assert parse_recipe(text) == recipe
    assert recipe.name == text


def test_spaces_and_leading_zeros_do_not_make_another_recipe():
    assert parse_recipe(" prune_080 + int8 ").name == "prune_80+int8"


def test_a_recipe_says_what_trains_and_what_the_file_holds():
    recipe = parse_recipe("prune_80+int8")
    assert recipe.training == (MagnitudePruning(percent=80),)
    assert recipe.precision == "int8"
    assert parse_recipe("prune_80").precision == "float32"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("int_8", "Did you mean `int8`?"),
        ("prune80+int8", "Did you mean `prune_80`?"),
        ("prun_65", "Did you mean `prune_65`?"),
        ("magic", "Write `baseline`, or stages joined by `+`"),
        ("cluster", "Did you mean `cluster_50`?"),
        ("qat_3", "Did you mean `qat`?"),
        ("", "empty stage"),
        ("prune_80+", "empty stage"),
        ("prune_0", "`percent` cannot be 0"),
        ("prune_100", "`percent` cannot be 100"),
        ("cluster_1", "`clusters` cannot be 1"),
        ("qat+prune_80", "Write `prune_80+qat`."),
        ("cluster_16+distil_50", "Write `distil_50+cluster_16`."),
        ("int8+prune_80", "Write `prune_80+int8`."),
        ("int8+float16", "two stages of the same kind"),
        ("prune_50+prune_80", "two stages of the same kind"),
        ("baseline+int8", "means no compression"),
    ],
)
def test_what_is_no_recipe_is_refused_with_what_to_write_instead(text: str, says: str):
    with pytest.raises(ConfigError) as caught:
        parse_recipe(text)
    assert says in str(caught.value)
    assert f"`{text}`" in str(caught.value)


def test_a_config_holds_plain_names_each_once_and_the_baseline_first():
    config = SweepConfig(recipes=("int8", "prune_080", "int8"))
    assert config.recipes == ("baseline", "int8", "prune_80")
    assert SweepConfig(recipes=("int8", "baseline")).recipes == ("baseline", "int8")


def test_a_config_refuses_a_misspelt_recipe():
    with pytest.raises(ConfigError, match="Did you mean `dynamic`"):
        SweepConfig(recipes=("dinamic",))
