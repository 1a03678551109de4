"""The built-in tables, all real: four that scikit-learn embeds, one that Keras downloads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.columns import as_structured, is_sliceable
from agiwb.datasets.dataset import Dataset, Split, Task, stratified_splits
from agiwb.datasets.download import fetch, with_validation
from agiwb.datasets.splitting import TEST_SHARE, VALIDATION_SHARE

_HOUSING_COLUMNS = (
    "longitude", "latitude", "housing_median_age", "total_rooms",
    "total_bedrooms", "population", "households", "median_income",
)  # fmt: skip
"""Keras documents another order; the arrays have StatLib's: keras-team/keras issue 21886."""


def load_breast_cancer() -> Dataset:
    """Return 569 tumours, benign or malignant, by 30 measurements of cell nuclei."""
    from sklearn import datasets

    return _classified("breast_cancer", datasets.load_breast_cancer())


def load_wine() -> Dataset:
    """Return 178 wines of three growers by 13 chemical measurements."""
    from sklearn import datasets

    return _classified("wine", datasets.load_wine())


def load_iris() -> Dataset:
    """Return 150 flowers of three species by four lengths in cm."""
    from sklearn import datasets

    return _classified("iris", datasets.load_iris())


def load_diabetes() -> Dataset:
    """Return 442 patients' disease progression after a year by ten measurements, in their units."""
    from sklearn import datasets

    source = datasets.load_diabetes(scaled=False)
    labels = source.target.astype(np.float32)
    return _table("diabetes", source, labels, (), "regression")


def load_california_housing() -> Dataset:
    """Return 20,640 districts' median house value in dollars by eight columns of the 1990 census.

    Downloaded once by Keras, whose test split is kept.
    """
    train, test = (
        _split(features, _HOUSING_COLUMNS, values.astype(np.float32))
        for features, values in fetch("california_housing", "`diabetes`, which is embedded")
    )
    parts = (*with_validation(train), test)
    return Dataset("california_housing", (), 1.0, *parts, task="regression", kind="table")


def _classified(name: str, source: Any) -> Dataset:
    classes, labels = np.unique(source.target_names[source.target], return_inverse=True)
    task: Task = "binary" if len(classes) == 2 else "classification"
    return _table(name, source, labels.astype(np.int64), tuple(map(str, classes)), task)


def _table(
    name: str, source: Any, labels: NDArray[Any], classes: tuple[str, ...], task: Task
) -> Dataset:
    # A / means a folder to Keras, which names a model's inputs by the columns.
    names = tuple(str(name).replace("/", "_") for name in source.feature_names)
    whole = _split(source.data, names, labels)
    parts = stratified_splits(whole, (VALIDATION_SHARE, TEST_SHARE))
    return Dataset(name, classes, 1.0, *parts, task=task, kind="table")


def _split(features: NDArray[Any], names: tuple[str, ...], labels: NDArray[Any]) -> Split:
    columns = dict(zip(names, features.astype(np.float32).T, strict=True))
    slices = {
        name: np.array([f"{value:g}" for value in values])
        for name, values in columns.items()
        if is_sliceable(values)
    }
    return Split(as_structured(columns), labels, slices)
