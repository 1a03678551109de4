"""Columns and the names that files give them."""

from __future__ import annotations

from agiwb.artifacts.input_names import columns_of_inputs, fitting_name


def test_a_column_is_found_by_its_own_name_and_by_the_fitting_one() -> None:
    columns = ("mean radius", "größe", "hue")
    assert [fitting_name(name) for name in columns] == ["mean_radius", "gr__e", "hue"]
    found = columns_of_inputs(["mean_radius", "gr__e", "hue", "age"], columns)
    assert found == {"mean_radius": "mean radius", "gr__e": "größe", "hue": "hue"}


def test_of_two_columns_that_fit_the_one_called_so_is_meant() -> None:
    assert columns_of_inputs(["a_b"], ["a_b", "a b"]) == {"a_b": "a_b"}
