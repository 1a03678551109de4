"""What a matrix expands to: GitHub's own examples, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from agiwb import MatrixConfig
from agiwb.batch.matrix_combinations import combinations
from agiwb.errors import ConfigError


def test_every_value_meets_every_other_in_order() -> None:
    made = combinations({"notebook": ["a.ipynb", "b.ipynb"], "epochs": [1, 2]})
    assert made == [
        {"notebook": "a.ipynb", "epochs": 1},
        {"notebook": "a.ipynb", "epochs": 2},
        {"notebook": "b.ipynb", "epochs": 1},
        {"notebook": "b.ipynb", "epochs": 2},
    ]
    assert combinations({"notebook": "a.ipynb", "epochs": 3}) == [
        {"notebook": "a.ipynb", "epochs": 3}
    ]


def test_include_is_as_in_githubs_documentation() -> None:
    made = combinations(
        {
            "fruit": ["apple", "pear"],
            "animal": ["cat", "dog"],
            "include": [
                {"color": "green"},
                {"color": "pink", "animal": "cat"},
                {"fruit": "apple", "shape": "circle"},
                {"fruit": "banana"},
                {"fruit": "banana", "animal": "cat"},
            ],
        }
    )
    assert made == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_rows_of_include_alone_are_combinations() -> None:
    rows = [{"site": "production"}, {"site": "staging"}]
    assert combinations({"include": rows}) == rows


def test_exclude_needs_only_some_of_the_values_and_comes_before_include() -> None:
    made = combinations(
        {
            "os": ["mac", "win"],
            "version": [12, 14, 16],
            "exclude": [{"os": "mac", "version": 12}, {"os": "win"}],
            "include": [{"os": "win", "version": 14}, {"version": 16, "npm": 6}],
        }
    )
    assert made == [
        {"os": "mac", "version": 14},
        {"os": "mac", "version": 16, "npm": 6},
        {"os": "win", "version": 14},
    ]


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ({"notebook": []}, "`matrix.notebook` is empty"),
        ({"notebook": ["a"], "exclude": [{"notbook": "a"}]}, "Did you mean `notebook`?"),
        ({"notebook": ["a"], "include": {"n": 1}}, "must be a list of mappings"),
        ({"notebook": ["a"], "exclude": [{"notebook": "a"}]}, "has no combination"),
        ({}, "has no combination"),
        ({"notebook": ["a"], "n": list(range(10_001))}, "10,001 combinations"),
        ({"n": [1, 2]}, r"\(n=1\) names no notebook"),
    ],
)
def test_what_makes_no_sense_is_refused_at_the_field(matrix: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        MatrixConfig(matrix=matrix)
    assert "matrix" in caught.value.fields


def test_entries_have_names_and_files_of_their_own() -> None:
    config = MatrixConfig(
        matrix=["notebook=[x/a.ipynb, y/a.ipynb]", "path=[/one/two, '/one:two']"],
        cell_timeout_s=7,
    )
    entries = config.entries()
    assert entries[0].name == "a (path=/one/two)"
    assert entries[0].config.parameters == {"path": "/one/two"}
    assert entries[0].config.cell_timeout_s == 7
    slugs = [entry.slug for entry in entries]
    assert len(set(slugs)) == 4
    assert not any(set("/: ") & set(slug) for slug in slugs)
