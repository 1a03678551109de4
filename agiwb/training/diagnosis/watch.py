"""The callback that observes a training for the rules, at a hundredth of its time or two."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.dataset import CLASSIFYING, Split
from agiwb.errors import WorkError
from agiwb.training.config import TrainConfig
from agiwb.training.diagnosis.batch_losses import BatchLosses
from agiwb.training.diagnosis.chance import no_better_than_chance
from agiwb.training.diagnosis.finding import Finding
from agiwb.training.diagnosis.imbalance import class_imbalance
from agiwb.training.diagnosis.input_skew import check_input_skew
from agiwb.training.diagnosis.label_noise import find_label_noise, label_noise
from agiwb.training.diagnosis.layers import LayerProbe
from agiwb.training.diagnosis.nonfinite import Origin, find_origin
from agiwb.training.diagnosis.nonfinite_validation import RULE as BROKEN_VALIDATION
from agiwb.training.diagnosis.nonfinite_validation import broken_answers
from agiwb.training.diagnosis.observed import Baseline, LayerSample, Observed
from agiwb.training.diagnosis.rewind import Rewind
from agiwb.training.diagnosis.rules import judge
from agiwb.training.diagnosis.time_share import TimeShare
from agiwb.training.pipeline import is_streamed
from agiwb.training.progress import EpochReport, current_rate

if TYPE_CHECKING:
    from agiwb.datasets.dataset import Dataset
    from agiwb.training.fit import Trial

_PROBED_EXAMPLES = 64
_JUDGED_EXAMPLES = 2_000
_COMPARED_EXAMPLES = 1_000
_COMPARED_VALUES = 100_000
_LAYERS_SHARE = 0.01
_LAYERS_FIRST_COST_S = 0.25
_RULES_SHARE = 0.002
_MOST_SAMPLES = 200


class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
    """Observes a training and says what is wrong with it; comes after ``report``.

    It changes nothing: forward passes are those of inference, and no random number is drawn. A
    resumed training is judged by its whole curves, and by what its layers did since.

    Args:
        say: Told each finding once, as soon as its rule fires.
        config: What the training was asked to do.
        data: What it is trained on.
        report: Has the curves.
    """

    def __init__(
        self, say: Callable[[str], None], config: TrainConfig, data: Dataset, report: EpochReport
    ) -> None:
        super().__init__()
        self._say = say
        self._config = config
        self._data = data
        self._report = report
        self._baseline = Baseline.of(config, data)
        self._losses = BatchLosses()
        self._samples: list[LayerSample] = []
        self._said: set[str] = set()
        self._skew: tuple[Finding, ...] = ()
        self._epoch: int | None = None
        self._from_start = True
        self._rewind: Rewind | None = None
        self._probe: LayerProbe | None = None
        self._probes_layers = config.strategy == "one_device"
        self._probe_time = TimeShare(_LAYERS_SHARE, _LAYERS_FIRST_COST_S)
        self._rule_time = TimeShare(_RULES_SHARE, 0.0)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._probe_time = TimeShare(_LAYERS_SHARE, _LAYERS_FIRST_COST_S)
        if self._config.strategy == "one_device":
            self._rewind = Rewind(self.model, self._config, self._data)
        train, validation = self._data.train, self._data.validation
        values = math.prod(self._data.feature_shape) * max(1, len(self._data.columns))
        count = min(_COMPARED_EXAMPLES, 1 + _COMPARED_VALUES // max(1, values))
        self._skew = check_input_skew(
            train.sample(count).features,
            validation.sample(count).features,
            names=("training data", "validation data"),
        )
        self._tell(self._skew)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._epoch is None:
            self._from_start = epoch == 0
            if self._rewind:
                self._rewind.start(epoch)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        loss = float((logs or {}).get("loss", np.nan))
        if not np.isfinite(loss):  # the report says so, and asks for the origin
            return
        epoch, steps = self._epoch or 0, self.params["steps"]
        self._losses.add(epoch, batch, steps, loss)
        if self._rewind and (broken := self._rewind.keep(epoch, batch + 1)):
            raise self._broken(broken, epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._probe_time.is_due and len(self._samples) < _MOST_SAMPLES:
            self._sample(epoch + 1)
        if self._rule_time.is_due:
            with self._rule_time.spend():
                self._tell(judge(self.observed(finished=False)))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self._samples and self._epoch is not None:  # a short training: one must be
            self._sample(self._epoch + 1)
        last = self._config.epochs - 1 if self._epoch is None else self._epoch
        if self._rewind and (broken := self._rewind.broken()):
            raise self._broken(broken, last, self.params["steps"])
        self._probe, self._rewind = None, None

    def origin(self, epoch: int, batch: int) -> Origin | None:
        """Return where the NaN or infinity in the loss of a batch came from, if it can be told.

        Args:
            epoch: The first is 0.
            batch: The first is 0.
        """
        if self._rewind is None:
            return None
        rate = current_rate(self.model)
        try:
            return find_origin(self.model, self._rewind, epoch, batch, rate)
        except Exception as error:  # noqa: BLE001  a layer may raise anything; the cause stays the loss
            self._say(f"Where it began could not be found: {_one_line(error)}")
            return None

    def observed(self, *, finished: bool) -> Observed:
        """Return all that was observed until now."""
        return Observed(
            config=self._config,
            task=self._data.task,
            baseline=self._baseline,
            train_examples=len(self._data.train),
            validation_examples=len(self._data.validation),
            curves=tuple(self._report.curves),
            batch_losses=self._losses.curve(),
            first_loss=self._losses.first if self._from_start else None,
            samples=tuple(self._samples),
            finished=finished,
        )

    def conclude(self, trial: Trial) -> tuple[Finding, ...]:
        """Return what is wrong with the finished training, problems first.

        Args:
            trial: With the trained model, which answers up to 2,000 validation examples.
        """
        findings = [*self._skew, *judge(self.observed(finished=True)), *self._of_answers(trial)]
        rules = [finding.rule for finding in findings]
        if "no_better_than_chance" in rules:  # says more than that it has not learned enough
            findings = [each for each in findings if each.rule != "under_fitting"]
        if rules.count(BROKEN_VALIDATION) > 1:  # the one that names the rows says more
            del findings[rules.index(BROKEN_VALIDATION)]
        findings.sort(key=lambda finding: finding.severity != "problem")
        self._tell(tuple(findings))
        return tuple(findings)

    def _of_answers(self, trial: Trial) -> list[Finding]:
        split = self._data.validation.sample(_JUDGED_EXAMPLES)
        labels, outputs = split.labels, trial.predict(split)
        classes, config = self._data.classes, self._config
        rows = _rows_of_sample(self._data.validation, len(split))
        if broken := broken_answers(split, rows, outputs):
            return [broken]
        chance = no_better_than_chance(
            self._baseline, labels, outputs, classes, config.learning_rate
        )
        found = [chance]
        if self._data.task in CLASSIFYING:
            answers = outputs.argmax(axis=1)
            found.append(class_imbalance(self._baseline.shares, labels, answers, classes, config))
            if not chance:
                noise = find_label_noise(labels, outputs, classes)
                found.append(label_noise(noise.renumbered(rows)))
        return [finding for finding in found if finding]

    def _broken(self, layers: tuple[str, ...], epoch: int, batch: int) -> WorkError:
        """Return the error for weights found beyond repair after so many batches of an epoch.

        The loss may well be finite then: a ReLU makes zero of NaN.
        """
        rate = current_rate(self.model)
        origin = self.origin(epoch, batch - 1)
        return WorkError(
            f"Training stopped in epoch {epoch + 1} of {self._config.epochs}, batch {batch}: "
            f"weights of {', '.join(layers)} are NaN or infinite."
            + (f" {origin.what}" if origin else ""),
            origin.advice if origin else f"Try a smaller `learning_rate` than {rate:g}.",
        )

    def _sample(self, epoch: int) -> None:
        if not self._probes_layers:
            return
        try:
            with self._probe_time.spend():
                if self._probe is None:
                    examples = self._data.train.sample(_PROBED_EXAMPLES)
                    self._probe = LayerProbe(self.model, examples)
                self._samples.append(self._probe.sample(epoch))
        except Exception as error:  # noqa: BLE001  a user's model may raise anything
            self._probes_layers = False
            self._say(f"The layers cannot be looked into: {_one_line(error)}")

    def _tell(self, findings: tuple[Finding, ...]) -> None:
        for finding in findings:
            if finding.rule not in self._said:
                self._said.add(finding.rule)
                self._say(finding.sentence())


def _rows_of_sample(split: Split, count: int) -> NDArray[np.intp]:
    """Return the row in ``split`` of each of a sample of so many examples.

    Of examples on disk, only their places in the sample are known.
    """
    if is_streamed(split):
        return np.arange(count)
    numbers = Split(np.arange(len(split)), np.zeros(len(split), np.int64))
    rows: NDArray[np.intp] = numbers.sample(count).features
    return rows


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
