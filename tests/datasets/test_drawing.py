"""Drawing some of the examples: scikit-learn's own draw, to the last index."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agiwb.datasets.drawing import draw_apart
from agiwb.datasets.registry import load_dataset


@settings(deadline=None, max_examples=200)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
    by_class=st.booleans(),
)
def test_the_draw_is_that_of_scikit_learn(
    counts: list[int], share: float, seed: int, by_class: bool
) -> None:
    from sklearn.model_selection import train_test_split

    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows, classes = np.arange(len(labels)), labels if by_class else None
    try:
        expected = train_test_split(rows, test_size=share, stratify=classes, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match=r"empty|too few|cannot hold"):
            draw_apart(len(rows), share, seed, classes)
    else:
        for one, other in zip(draw_apart(len(rows), share, seed, classes), expected, strict=True):
            assert np.array_equal(one, other)


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    source, data = load_digits(), load_dataset("digits")
    ours = np.concatenate([split.features for split in (data.train, data.validation, data.test)])
    labels = np.concatenate([split.labels for split in (data.train, data.validation, data.test)])
    rows = np.column_stack([ours.reshape(len(ours), -1), labels])
    theirs = np.column_stack([source.data, source.target])
    assert sorted(map(tuple, rows)) == sorted(map(tuple, theirs))


def test_loading_digits_imports_no_scikit_learn() -> None:
    code = (
        "import sys; from agiwb.datasets.registry import load_dataset; load_dataset('digits');"
        "print({'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"
