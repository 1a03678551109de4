"""The explain step: what a model's answers rest on, example by example and slice by slice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agiwb.artifacts.resolve import ModelSource, dataset_for, resolve_model
from agiwb.datasets.dataset import Dataset, Kind, Task
from agiwb.datasets.registry import load_dataset
from agiwb.explanation.choices import (
    choose_method,
    require_keras_model,
    require_slice_column,
    sampled_rows,
)
from agiwb.explanation.config import Baseline, ExplainConfig, Method
from agiwb.explanation.importance import Importance, SliceImportance
from agiwb.explanation.target import require_target, unit_of
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

_SAID = 5


class ExplainRecord(Record):
    """What a model's answers rest on.

    ``features.parquet`` has every feature's importance overall and in each slice (the 200 largest).
    For attributions (integrated gradients and SHAP) there are also ``attributions.npz`` with the
    values of each example, ``examples.parquet`` with a row an example, and for text
    ``words.parquet`` with a row a word.
    """

    config: ExplainConfig
    model_name: str
    dataset: str
    task: Task
    kind: Kind
    classes: tuple[str, ...]
    method: Method
    baseline: Baseline | None
    """What integrated gradients start from."""
    unit: str
    """Of the importances: ``probability``, ``prediction``, or the metric that gets worse."""
    examples: int
    features: tuple[Importance, ...]
    """The most important features over all examples, the largest first."""
    slices: tuple[SliceImportance, ...]
    completeness_gap: float | None
    """The largest gap between the sum of an example's attributions and its answer less that of the
    baseline (or SHAP's background), relative to it; see ``attribution.completeness_gaps``."""
    steps: int | None
    """The most points on a path that an example needed."""
    seconds: float
    """What the method took, without loading the model and the data."""

    @property
    def complete(self) -> bool:
        """Whether all attributions add up within the tolerance; permutation's need not."""
        return self.completeness_gap is None or self.completeness_gap <= self.config.tolerance


def _inputs(config: ExplainConfig, store: RunStore) -> dict[str, Input]:
    found, data = _model_and_data(config, store)
    choose_method(config, data)
    require_target(config.target, data)
    require_slice_column(config, data)
    return {
        "model": Input(found.fingerprint, found.run_id),
        "dataset": Input(data.fingerprint),
    }


@step("explain", inputs=_inputs)
def explain(config: ExplainConfig, context: Context) -> ExplainRecord:
    """Return the record of which parts of the input a Keras model's answers rest on.

    Raises:
        ConfigError: The method, target or slice column does not fit the data, or the data set does
            not fit the model.
        NotFoundError: There is no such model.
    """
    from agiwb.explanation.carry_out import carry_out
    from agiwb.explanation.stored import write_files
    from agiwb.models.loading import load_keras_model

    found, data = _model_and_data(config, context.store)
    context.confirm("model", found.fingerprint)
    method = choose_method(config, data)
    rows = sampled_rows(config, method, len(data[config.split]))
    split = data[config.split].take(rows)
    context.say(f"explaining {found.name} on {len(rows)} examples of {data.name} by {method}")
    model = load_keras_model(found.path)
    began = time.monotonic()
    made = carry_out(config, method, model, data, split, context)
    seconds = time.monotonic() - began
    write_files(made, context.files, data, split, rows)
    attribution = made.attribution
    gap = None if attribution is None else float(attribution.gaps.max())
    steps = None if attribution is None or attribution.steps is None else attribution.steps
    record = ExplainRecord(
        run=context.run,
        config=config,
        metrics={} if gap is None else {f"{config.split}_completeness_gap": gap},
        model_name=found.name,
        dataset=data.name,
        task=data.task,
        kind=data.kind,
        classes=data.classes,
        method=method,
        baseline=made.baseline,
        unit=made.metric or unit_of(data),
        examples=len(rows),
        features=made.top_features(),
        slices=made.top_features_of_slices(),
        completeness_gap=gap,
        steps=None if steps is None else int(steps.max()),
        seconds=seconds,
    )
    first = ", ".join(f"{one.feature} ({one.importance:.3g})" for one in record.features[:_SAID])
    context.say(f"what matters most: {first}")
    return record.model_copy(update={"problems": _problems(record)})


def _model_and_data(config: ExplainConfig, store: RunStore) -> tuple[ModelSource, Dataset]:
    require_keras_model(config.model)
    found = resolve_model(config.model, store)
    whose = f"the model {found.name!r}"
    return found, load_dataset(dataset_for(config.dataset, found.dataset, whose))


def _problems(record: ExplainRecord) -> tuple[str, ...]:
    if record.complete:
        return ()
    gap = f"The attributions of an example miss their sum by {record.completeness_gap:.2%}, more "
    gap += f"than the tolerance of {record.config.tolerance:.2%}"
    if record.method == "shap":
        return (f"{gap}: the answers to that example are not numbers to build on.",)
    return (f"{gap}, with {record.steps} steps. Give more `max_steps`.",)
