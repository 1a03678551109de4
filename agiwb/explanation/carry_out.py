"""Each method carried out on a model and some examples, with what matters overall and by slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import Dataset, Split
from agiwb.datasets.main_metric import main_metric
from agiwb.errors import ConfigError
from agiwb.explanation.answers import AnswerFunction, answer_function, path_function
from agiwb.explanation.attribution import Attribution
from agiwb.explanation.choices import choose_baseline, slice_values
from agiwb.explanation.columns import Columns
from agiwb.explanation.config import Baseline, ExplainConfig, Method
from agiwb.explanation.importance import (
    Importance,
    SliceImportance,
    mean_interval,
    most_important,
)
from agiwb.explanation.integrated_gradients import integrate
from agiwb.explanation.names import feature_name
from agiwb.explanation.permutation import permutation_drops
from agiwb.explanation.shapley import shap_values
from agiwb.explanation.target import target_outputs
from agiwb.explanation.texts import open_texts, word_magnitudes
from agiwb.models.specification import ModelSpec
from agiwb.models.suitability import require_fit
from agiwb.runs.context import Context

if TYPE_CHECKING:
    import keras

_SHOWN = 20
_MOST_WORDS = 1000
_MEAN_OF_EXAMPLES = 10_000
_TRIED_EXAMPLES = 8

Figures = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Group:
    """Some examples, and how much each feature matters to them: mean, low and high end.

    ``column`` and ``value`` are empty for all examples together.
    """

    column: str
    value: str
    mask: NDArray[np.bool_]
    figures: Figures


@dataclass(frozen=True)
class Explanation:
    """What a method found.

    Attributes:
        names: Of the features.
        groups: All examples first, then each slice.
        attribution: Of each example; None for permutation.
        targets: The explained output of each example, if there is an attribution.
        metric: What gets worse, for permutation.
        baseline: Where the paths begin, for integrated gradients.
        words: Of each text.
    """

    names: tuple[str, ...]
    groups: tuple[Group, ...]
    attribution: Attribution | None = None
    targets: NDArray[np.intp] | None = None
    metric: str | None = None
    baseline: Baseline | None = None
    words: tuple[tuple[str, ...], ...] = ()

    def top_features(self, count: int = _SHOWN) -> tuple[Importance, ...]:
        """Return what matters most to all examples."""
        return most_important(self.names, self.groups[0].figures, count)

    def top_features_of_slices(
        self, count: int = _SHOWN, also: tuple[str, ...] = ()
    ) -> tuple[SliceImportance, ...]:
        """Return what matters most to each slice, and how much the features in ``also`` do."""
        return tuple(
            SliceImportance(
                column=group.column,
                value=group.value,
                examples=int(group.mask.sum()),
                features=most_important(self.names, group.figures, count, also),
            )
            for group in self.groups[1:]
        )


def carry_out(
    config: ExplainConfig,
    method: Method,
    model: keras.Model,
    data: Dataset,
    split: Split,
    context: Context,
) -> Explanation:
    """Return what ``method`` finds about ``model`` on the examples of ``split``.

    Raises:
        ConfigError: The model does not fit the data, or cannot be explained by this method.
    """
    _require_fit(model, data, split)
    answer = answer_function(model)
    if method == "permutation":
        return _permutation(config, answer, data, split, context)
    answers = answer(split.features)
    targets = target_outputs(config.target, data, answers)
    if method == "shap":
        context.say("loading shap takes about 15 seconds when it is first used")
        background = data.train.sample(config.background).features
        columns = Columns.of(data, split.features, background)
        found = shap_values(
            answer, columns, split.features, background, targets,
            seed=config.seed, report=context.progress,
        )  # fmt: skip
        groups = _groups(config, data, split, np.abs(found.contributions))
        return Explanation(columns.names, groups, found, targets)
    if data.kind == "text":
        return _of_texts(config, model, data, split, answers, targets, context)
    return _of_numbers(config, model, data, split, targets, context)


def _require_fit(model: keras.Model, data: Dataset, split: Split) -> None:
    few = split.sample(_TRIED_EXAMPLES)
    spec = ModelSpec(
        data.task, data.kind, data.feature_shape, len(data.classes) or 1, data.scale, few
    )
    try:
        require_fit(model, spec, "The model")
    except ConfigError as error:
        raise ConfigError(
            f"`dataset` {data.name} does not fit. {error.problem}",
            "Give the data set that the model was trained on.",
        ) from error


def _permutation(
    config: ExplainConfig, answer: AnswerFunction, data: Dataset, split: Split, context: Context
) -> Explanation:
    columns, metric = Columns.of(data, split.features), main_metric(data)
    masks = _masks(config, data, split)
    drops = permutation_drops(
        answer, columns, split.features, split.labels, metric,
        np.stack([mask for _, _, mask in masks]),
        repeats=config.repeats, seed=config.seed, report=context.progress,
    )  # fmt: skip
    groups = tuple(
        Group(*masked, mean_interval(drops[:, index], of_one=True))
        for index, masked in enumerate(masks)
    )
    return Explanation(columns.names, groups, metric=metric)


def _of_numbers(
    config: ExplainConfig,
    model: keras.Model,
    data: Dataset,
    split: Split,
    targets: NDArray[np.intp],
    context: Context,
) -> Explanation:
    start = choose_baseline(config, data)
    inputs = split.features
    baseline = np.zeros(inputs.shape[1:], np.float32)
    if start == "mean":
        baseline = data.train.sample(_MEAN_OF_EXAMPLES).features.mean(axis=0, dtype=np.float64)
    function = path_function(
        lambda points, _examples: model(points, training=False), targets, inputs.shape[1:]
    )
    found = _integrate(config, function, inputs, baseline.astype(np.float32), context)
    magnitudes, shape = found.contributions, inputs.shape[1:]
    if data.kind == "image" and len(shape) == 3:
        magnitudes, shape = magnitudes.sum(axis=3), shape[:2]  # a pixel's channels together
    magnitudes = np.abs(magnitudes).reshape(len(inputs), -1)
    names = tuple(feature_name(data, shape, index) for index in range(magnitudes.shape[1]))
    groups = _groups(config, data, split, magnitudes)
    return Explanation(names, groups, found, targets, baseline=start)


def _of_texts(
    config: ExplainConfig,
    model: keras.Model,
    data: Dataset,
    split: Split,
    answers: NDArray[Any],
    targets: NDArray[np.intp],
    context: Context,
) -> Explanation:
    start = choose_baseline(config, data)
    opened = open_texts(model, split.features, answers)
    function = path_function(opened.answer, targets, opened.vectors.shape[1:])
    baseline = np.broadcast_to(opened.padding, opened.vectors.shape[1:])
    found = _integrate(config, function, opened.vectors, baseline, context)
    of_words = Attribution(
        found.contributions.sum(axis=2), found.answers, found.reference_answers, found.steps
    )
    names, magnitudes = word_magnitudes(opened.words, of_words.contributions, _MOST_WORDS)
    groups = _groups(config, data, split, magnitudes)
    return Explanation(names, groups, of_words, targets, baseline=start, words=opened.words)


def _integrate(
    config: ExplainConfig, function: Any, inputs: Any, baseline: Any, context: Context
) -> Attribution:
    return integrate(
        function, inputs, baseline,
        tolerance=config.tolerance, steps=config.steps,
        max_steps=max(config.steps, config.max_steps), report=context.progress,
    )  # fmt: skip


def _masks(
    config: ExplainConfig, data: Dataset, split: Split
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Return column, value and mask of all examples, and of each slice."""
    found = [("", "", np.ones(len(split), dtype=bool))]
    if column := slice_values(config, data, split):
        name, values = column
        found += [(name, str(value), values == value) for value in np.unique(values)]
    return found


def _groups(
    config: ExplainConfig, data: Dataset, split: Split, magnitudes: NDArray[np.float64]
) -> tuple[Group, ...]:
    """Return the mean of ``magnitudes``, ``(examples, features)``, overall and in each slice."""
    return tuple(
        Group(column, value, mask, _never_negative(mean_interval(magnitudes[mask])))
        for column, value, mask in _masks(config, data, split)
    )


def _never_negative(figures: Figures) -> Figures:
    mean, low, high = figures
    return mean, np.maximum(low, 0), high
