"""Label noise in the training split itself, by models that have not seen the rows they judge."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Dataset
from agiwb.errors import DatasetError
from agiwb.training.config import TrainConfig
from agiwb.training.diagnosis.label_noise import LabelNoise, find_label_noise


def cross_validated_label_noise(config: TrainConfig, data: Dataset, folds: int = 5) -> LabelNoise:
    """Return the rows of the training split that are most likely mislabelled.

    One model a fold is trained as ``config`` says, and takes as long as a training does.

    Args:
        config: Of the models; its ``dataset`` is not read.
        data: Classified examples.
        folds: Number of parts; each is judged by a model trained on all others.

    Raises:
        DatasetError: The task is not one of one class an example, or a class is too rare.
    """
    return find_label_noise(
        data.train.labels, out_of_fold_probabilities(config, data, folds), data.classes
    )


def out_of_fold_probabilities(
    config: TrainConfig, data: Dataset, folds: int = 5
) -> NDArray[np.float32]:
    """Return probabilities for each training row, by a model not trained on it.

    Args:
        config: Of the models.
        data: Classified examples.
        folds: Number of parts of the training split.

    Returns:
        Shape ``(training examples, classes)``.

    Raises:
        DatasetError: The task is not one of one class an example, or a class is too rare.
    """
    from sklearn.model_selection import StratifiedKFold

    from agiwb.training.fit import open_trial

    if data.task not in CLASSIFYING:
        raise DatasetError(
            f"Confident learning needs one class an example; the task of {data.name} is "
            f"{data.task}.",
            "Give a data set for classification.",
        )
    labels = data.train.labels
    rarest = np.bincount(labels, minlength=len(data.classes)).min()
    if rarest < folds:
        raise DatasetError(
            f"A class of {data.name} has {rarest} training examples, too few for {folds} folds.",
            f"Use at most {max(rarest, 2)} folds, or leave the class out.",
        )
    found = np.zeros((len(labels), len(data.classes)), np.float32)
    parts = StratifiedKFold(folds, shuffle=True, random_state=config.seed)
    for others, held_out in parts.split(labels, labels):
        fold = dataclasses.replace(data, train=data.train.take(others))
        trial = open_trial(config, fold)
        trial.fit()
        found[held_out] = trial.settled().predict(data.train.take(held_out))
    return found
