"""The space of recipes: its grid, its points, and what it refuses."""

from __future__ import annotations

import pytest

from agiwb.compression.recipe import parse_recipe
from agiwb.compression.sweep import SweepConfig
from agiwb.compression.trials.space import make_space
from agiwb.compression.trials.workshop import grid_of
from agiwb.errors import ConfigError


def test_a_grid_is_the_product_of_ranges_and_forms():
    grid = make_space(["prune"], ["float32", "int8"]).grid()
    names = [recipe.name for recipe in grid]
    # Without pruning; or 4 percentages, 2 schedules, 2 scopes: each in 2 forms.
    assert len(names) == len(set(names)) == 2 * (1 + 4 * 2 * 2)
    assert names[:2] == ["baseline", "int8"]
    assert "prune_10" in names
    assert "prune_99:scope=global:schedule=constant+int8" in names
    assert [parse_recipe(name) for name in names] == grid


def test_techniques_come_in_the_order_of_a_recipe():
    space = make_space(["cluster", "prune"], ["float16"])
    assert space.grid_size() == len(space.grid()) == (1 + 16) * (1 + 6 * 3)
    for recipe in space.grid():
        assert parse_recipe(recipe.name) == recipe


def test_a_sample_of_a_grid_is_the_seeds():
    config = {"strategy": "grid", "techniques": ("prune",), "trials": 6}
    first = grid_of(SweepConfig(**config))
    assert len(set(first)) == 6
    assert first == grid_of(SweepConfig(**config))
    assert first != grid_of(SweepConfig(**config, seed=1))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"strategy": "tpe"}, "There is nothing to search"),
        ({"strategy": "tpe", "techniques": ("prun",)}, "Did you mean `prune`"),
        ({"strategy": "grid", "techniques": ("prune",), "precisions": ("qat",)}, "that trains"),
        ({"strategy": "nsga2", "techniques": ("prune",), "precisions": ("int9",)}, "int9"),
        ({"techniques": ("prune",)}, "Give one as `strategy`"),
        ({"scheduler": "here"}, "scheduler"),
        ({"storage": "postgresql://a:secret@host/db"}, "has a password"),
        (
            {"strategy": "grid", "techniques": ("shrink", "rank", "prune", "cluster", "distil")},
            "Take fewer techniques",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_at_once(values: dict[str, object], match: str):
    with pytest.raises(ConfigError, match=match):
        SweepConfig(**values)
