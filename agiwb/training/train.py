"""The train step: a Keras model from a config, registered with its lineage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.resolve import MODEL_FILE
from agiwb.datasets.dataset import Dataset, Kind, Task
from agiwb.datasets.main_metric import main_metric
from agiwb.datasets.registry import load_dataset
from agiwb.models.registry import architecture_fingerprint, chosen_architecture
from agiwb.runs.context import Context
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.statistics import Interval
from agiwb.tensorflow_quietly import import_tensorflow
from agiwb.training.catalogue_ranking import catalogue_scores
from agiwb.training.config import TrainConfig
from agiwb.training.curves import Epoch, kept_epoch
from agiwb.training.diagnosis.finding import Finding
from agiwb.training.fit import Trial, open_trial
from agiwb.training.objectives import usual_loss
from agiwb.training.scoring import score_interval
from agiwb.training.strategy import cluster_task, is_chief

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

CHECKPOINT_FILE = "epoch.npz"


class TrainRecord(Record):
    """A trained model: its curves, its test metrics, and its name in the registry."""

    config: TrainConfig
    model_name: str
    architecture: str
    """What the model was built by, where the config leaves it to the data."""
    task: Task
    kind: Kind
    parameters: int
    classes: tuple[str, ...]
    examples: dict[str, int]
    """Number of examples in each split."""
    curves: tuple[Epoch, ...]
    loss: str
    """The loss that was minimised, where the config leaves it to the task."""
    main_metric: str
    """The metric this task is first judged by: accuracy, auc or rmse."""
    test_interval: Interval
    """95 % interval of the main metric on the test split."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with the training, as far as it shows; problems first."""

    @property
    def test_score(self) -> float:
        """The main metric on the test split."""
        return self.metrics[f"test_{self.main_metric}"]


def _inputs(config: TrainConfig, store: RunStore) -> dict[str, Input]:
    inputs = {"dataset": Input(load_dataset(config.dataset).fingerprint)}
    if fingerprint := architecture_fingerprint(config.architecture):
        inputs["architecture"] = Input(fingerprint)
    if config.strategy == "multi_worker":
        inputs["cluster"] = Input(cluster_task()[1])
    return inputs


def _register(record: TrainRecord, store: RunStore) -> None:
    if is_chief(record.config.strategy):
        store.register_model(record.model_name, record)


@step("train", inputs=_inputs, publish=_register)
def train(config: TrainConfig, context: Context) -> TrainRecord:
    """Return the record of a model trained on ``config.dataset`` and saved as ``model.keras``.

    The same config and seed on the same machine give the same weights, bit for bit, also when the
    run was killed and resumed. With ``strategy: multi_worker`` every worker runs this step, and
    each keeps a run and an equal model of its own; the first one registers it.

    Raises:
        ConfigError: The architecture, the loss or the class weights do not fit the data.
        WorkError: The loss became NaN or infinite.
    """
    import_tensorflow()
    from agiwb.training.checkpoint import epochs_done
    from agiwb.training.diagnosis.watch import Watch
    from agiwb.training.progress import EpochReport
    from agiwb.training.tensorboard import TensorBoardLog

    data = load_dataset(config.dataset)
    report = EpochReport(context, config.epochs, main_metric(data))
    watch = Watch(context.say, config, data, report)
    report.find_origin = watch.origin
    trial = open_trial(config, data)
    checkpoint = context.checkpoint / CHECKPOINT_FILE
    if context.resumed:
        context.say(f"{epochs_done(checkpoint, config.epochs)} of {config.epochs} epochs are done.")
    try:
        trial.fit(
            [report, watch, TensorBoardLog(model_name(config, data), context.run.id, report)],
            checkpoint,
        )
    finally:
        report.log()
    settled = trial.settled()
    findings = watch.conclude(settled)
    kept = kept_epoch(report.curves, early_stopping=config.early_stopping is not None)
    return TrainRecord(
        config=config,
        findings=findings,
        **fields_of_fitted(config, settled, report.curves, kept.metrics, context),
    )


def fields_of_fitted(
    config: TrainConfig,
    trial: Trial,
    curves: Sequence[Epoch],
    metrics: dict[str, float],
    context: Context,
) -> dict[str, Any]:
    """Return what a record says of a fitted model, once it is tested and saved.

    Args:
        config: What the model was fitted by.
        trial: With the fitted model, which is over then.
        curves: Of its training.
        metrics: What is known of its quality on the other splits.
        context: The run.

    Returns:
        All fields of a TrainRecord but ``config`` and ``findings``.
    """
    data = trial.data
    metric = main_metric(data)
    test = trial.evaluate(data.test)
    interval = score_interval(metric, data.test.labels, trial.predict(data.test))
    ranked = catalogue_scores(trial.model, data, context)
    model = trial.strip()
    model.save(context.files / MODEL_FILE)
    tested = {f"test_{name}": value for name, value in {**test, **ranked}.items()}
    return {
        "run": context.run,
        "metrics": {**metrics, **tested},
        "model_name": model_name(config, data),
        "architecture": chosen_architecture(config.architecture, data.kind, data.task),
        "task": data.task,
        "kind": data.kind,
        "parameters": model.count_params(),
        "classes": data.classes,
        "examples": {name: len(split) for name, split in data.splits.items()},
        "curves": tuple(curves),
        "loss": usual_loss(data) if config.loss == "auto" else config.loss,
        "main_metric": metric,
        "test_interval": interval,
    }


def model_name(config: TrainConfig, data: Dataset) -> str:
    """Return the name to register the model by: the config's, or ``<dataset>-<architecture>``.

    A file's name may have any characters; the registry's have not.
    """
    if config.name:
        return config.name
    chosen = chosen_architecture(config.architecture, data.kind, data.task)
    architecture = re.split(r"[/\\]", chosen)[-1]
    return re.sub(r"[^\w.-]+", "-", f"{data.name}-{architecture}").strip("-.")
