from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from agiwb import check_input_skew

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(0, 256, (100, 8, 8)).astype(np.float32)
TABLE = pd.DataFrame(
    {
        "age": DRAW.normal(40, 10, 200),
        "town": DRAW.choice(["Rome", "Paris", "Bonn"], 200),
        "note": [f"remark {index}" for index in range(200)],
    }
)


def said(reference: object, given: object) -> str:
    return " ".join(finding.sentence() for finding in check_input_skew(reference, given))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (PIXELS / 255, "divided by 255.*Multiply by 255"),
        (PIXELS * 255, "division by 255 seems to have been forgotten"),
        ((PIXELS - PIXELS.mean()) / PIXELS.std(), "standardised"),
        (PIXELS * 37, "37 times"),
        (PIXELS - 300, "lie well outside 0 to 255"),
        (PIXELS[:, :4], r"shape \(4, 8\) in the given data, and \(8, 8\)"),
        (np.where(PIXELS > 200, np.nan, PIXELS), "missing in 2.*of the given data"),
        (PIXELS.astype(str), "numbers in the reference and text in the given data"),
    ],
)
def test_arrays_that_a_model_cannot_know(given: np.ndarray, words: str) -> None:
    findings = check_input_skew(PIXELS, given)
    assert "problem" in {finding.severity for finding in findings}
    assert pd.Series([said(PIXELS, given)]).str.contains(words).item()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"age": None}, "lack the columns 'age'"),
        ({"age": TABLE["age"] * 12}, "age: .*a division by 12 seems"),
        ({"town": "Berlin"}, "Town: 100.0% of the rows .* 'Berlin'"),
        ({"town": ""}, "Town is missing in 100.0%"),
        ({"height": 1.8}, "have the columns 'height'"),
        ({"age": TABLE["age"].astype(str)}, "Age holds numbers .* and text"),
    ],
)
def test_tables_that_a_model_cannot_know(change: dict[str, object], words: str) -> None:
    given = TABLE.assign(**change)
    given = given.drop(columns=[name for name, value in change.items() if value is None])
    assert pd.Series([said(TABLE, given).lower()]).str.contains(words.lower()).item()


def test_data_of_the_same_kind_have_no_skew() -> None:
    other = DRAW.integers(0, 256, (50, 8, 8)).astype(np.float32)
    assert check_input_skew(PIXELS, other) == ()
    assert check_input_skew(PIXELS, PIXELS[:1]) == ()
    assert check_input_skew(TABLE, TABLE.sample(30, random_state=0)) == ()
    texts = np.array([f"another text {index}" for index in range(50)], object)
    assert check_input_skew(texts, texts[::-1]) == ()


def test_columns_of_an_array_are_compared_one_by_one() -> None:
    reference = DRAW.normal(size=(500, 3)) * [1, 100, 1e4]
    given = reference.copy()
    given[:, 1] /= 1000
    (finding,) = check_input_skew(reference, given)
    assert finding.what.startswith("Feature 1: ")
    assert [curve.name for curve in finding.evidence.curves] == ["reference", "given data"]


def test_a_structured_array_is_a_table() -> None:
    columns = [("age", np.float32), ("town", object)]
    rows = np.array(list(zip(TABLE["age"], TABLE["town"], strict=True)), columns)
    assert check_input_skew(rows, rows[:20]) == ()
    assert "lack the columns 'note'" in said(TABLE, rows)
