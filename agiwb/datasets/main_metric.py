"""The metric that models of a data set are first judged by."""

from __future__ import annotations

import numpy as np

from agiwb.datasets.dataset import Dataset, Task

MAIN_METRIC: dict[Task, str] = {
    "classification": "accuracy",
    "binary": "accuracy",
    "multilabel": "auc",
    "regression": "rmse",
    "ranking": "auc",
}
"""The metric a task is first judged by; ranking of graded ratings is judged by ``rmse``."""


def main_metric(data: Dataset) -> str:
    """Return the name of the metric that models of ``data`` are first judged by."""
    return MAIN_METRIC[graded_task(data)]


def graded_task(data: Dataset) -> Task:
    """Return the task, taking the prediction of graded ratings for the regression it is."""
    if data.task == "ranking" and not np.isin(data.train.sample(10_000).labels, (0, 1)).all():
        return "regression"
    return data.task
