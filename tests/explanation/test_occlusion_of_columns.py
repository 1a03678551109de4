"""What an answer about a table's row rests on, of a model whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agiwb.explanation.occlusion import replace_columns
from agiwb.reporting.occlusion import columns_html


def linear(rows: Sequence[dict[str, Any]]) -> NDArray[np.floating]:
    return np.array([[0.0, 2 * row["a"] - row["b"]] for row in rows])


def test_a_columns_figure_is_its_part_of_a_linear_answer() -> None:
    falls = replace_columns(
        {"a": 3.0, "b": 1.0, "c": 9.0}, {"a": 1.0, "b": 0.0, "c": 0.0}, 1, linear
    )
    assert dict(falls) == {"a": pytest.approx(4.0), "b": pytest.approx(-1.0), "c": 0.0}


def test_the_page_has_the_most_important_first_and_escapes_names() -> None:
    page = columns_html([("b<", -1.0), ("a", 4.0)], "yes & no")
    assert page.index(">a<") < page.index("b&lt;")
    assert "yes &amp; no" in page
    assert "width: 25%" in page
