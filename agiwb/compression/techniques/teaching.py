"""Training a student on what its teacher answers, and on what it sees on the way there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agiwb.compression.fine_tuning import BatchCount, require_finite
from agiwb.compression.techniques.jitter import shifted
from agiwb.compression.techniques.technique import Bench
from agiwb.errors import WorkError, did_you_mean

if TYPE_CHECKING:
    import keras

_LEAST_PROBABILITY = 1e-30
"""Has a logarithm in 32 bits; a softmax rounds less likely classes to zero."""


@dataclass(frozen=True)
class Softening:
    """How much of the teacher's doubt a student gets to see.

    Attributes:
        temperature: Divides the logits of both.
        alpha: Weight of the loss on labels, 0 to 1; that on the teacher's answers has the rest.
    """

    temperature: float
    alpha: float


class Lesson:
    """Trains students with Adam on the bench's examples and tells how far it is.

    The step size falls to zero along a half cosine (Loshchilov & Hutter 2017, arXiv:1608.03983).
    """

    def __init__(self, bench: Bench, learning_rate: float, epochs: int) -> None:
        self._examples = bench.training
        self._batch_size = bench.tuning.batch_size
        self._learning_rate = learning_rate
        self._seed = bench.tuning.seed
        self._per_epoch = math.ceil(len(self._examples) / self._batch_size)
        self._count = BatchCount(epochs * self._per_epoch, bench.progress)

    def teach(
        self,
        student: keras.Model,
        teacher: keras.Model,
        epochs: int,
        softening: Softening,
        jitter: int = 0,
    ) -> None:
        """Train ``student`` on labels and the softened answers of ``teacher``.

        With ``jitter`` both see each image shifted by up to so many pixels, anew in each epoch:
        the student also learns what the teacher makes of images that nobody has labelled (Beyer
        et al. 2022, arXiv:2106.05237, section 3.1).

        Raises:
            WorkError: There is a jitter and the examples are no images, or the training diverged.
        """
        labels = self._examples.labels.astype(np.float32)

        def lesson(features: NDArray[Any]) -> NDArray[np.float32]:
            answers = soften(self._predict(teacher, features), softening.temperature)
            return np.column_stack([labels, answers])

        loss = distillation_loss(softening)
        if not jitter:
            features = self._examples.features
            self._fit(student, [(features, lesson(features), epochs)], loss, epochs)
            return
        random = np.random.default_rng(self._seed)
        views = (shifted(self._examples.features, jitter, random) for _ in range(epochs))
        self._fit(student, ((view, lesson(view), 1) for view in views), loss, epochs)

    def teach_hint(
        self, student: keras.Model, teacher: keras.Model, name: str, epochs: int
    ) -> None:
        """Train ``student`` up to its layer ``name`` to predict that layer of ``teacher``.

        A linear map, trained with it and then forgotten, makes up for the different widths (Romero
        et al. 2015, arXiv:1412.6550, equation 3). The loss is divided by the features' variance.

        Raises:
            WorkError: There is no such layer, or the training diverged.
        """
        import keras

        from agiwb.compression.techniques.channel_removal import flat_copy

        flat = flat_copy(teacher)
        names = [layer.name for layer in flat.layers]
        if name not in names:
            raise WorkError(
                f"The model {teacher.name} has no layer `{name}` to take a hint from.",
                did_you_mean(name, names),
            )
        asked = self._examples.features
        features = self._predict(keras.Model(flat.inputs, flat.get_layer(name).output), asked)
        seen = student.get_layer(name).output
        guess = keras.layers.Dense(features.shape[-1], name="linear_map")(seen)
        spread = float(features.var()) or 1.0
        self._fit(
            keras.Model(student.inputs, guess),
            [(asked, features, epochs)],
            lambda hint, guessed: keras.losses.mean_squared_error(hint, guessed) / spread,
            epochs,
        )

    def _fit(
        self,
        model: keras.Model,
        lessons: Iterable[tuple[NDArray[Any], NDArray[Any], int]],
        loss: Callable[..., Any],
        epochs: int,
    ) -> None:
        """Train ``model`` for ``epochs`` in all.

        Each of the ``lessons`` is features, targets, and for how many epochs they are learned.
        """
        import keras

        schedule = keras.optimizers.schedules.CosineDecay(
            self._learning_rate, epochs * self._per_epoch
        )
        model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss)
        model.optimizer.build(model.trainable_variables)  # or the train step would be traced twice
        for features, targets, times in lessons:
            model.fit(
                features,
                targets,
                epochs=times,
                batch_size=self._batch_size,
                callbacks=[
                    keras.callbacks.LambdaCallback(on_train_batch_end=self._count.after_batch),
                    keras.callbacks.TerminateOnNaN(),
                ],
                verbose=0,
            )
            if model.stop_training:  # it met a NaN
                break
        require_finite(model, self._learning_rate)

    def _predict(self, model: keras.Model, features: NDArray[Any]) -> NDArray[np.float32]:
        predicted: NDArray[np.float32] = model.predict(features, batch_size=256, verbose=0)
        return predicted


def soften(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return softmax(logits / temperature), float32 ``(examples, classes)``.

    Hinton et al. 2015, equation 1. The logarithms of the probabilities are the logits but for a
    number that is the same for all classes, which the softmax ignores.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), _LEAST_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softened: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return softened.astype(np.float32)


def distillation_loss(softening: Softening) -> Callable[[Any, Any], Any]:
    """Return the loss, float32 ``(batch,)``, of targets and a student's probabilities.

    ``alpha * CE(labels, p) + (1 - alpha) * T^2 * KL(teacher_T || student_T)``: Hinton et al. 2015,
    section 2, whose factor T^2 keeps the weight of the second term the same at any temperature.
    Its gradient is that of the paper's cross-entropy.

    A row of the targets is the label, then the teacher's softened answer.
    """
    from keras import losses, ops

    temperature, alpha = softening.temperature, softening.alpha

    def loss(targets: Any, probabilities: Any) -> Any:
        labels, teacher = ops.cast(targets[:, 0], "int32"), targets[:, 1:]
        logits = ops.log(ops.maximum(probabilities, _LEAST_PROBABILITY))
        student = ops.log_softmax(logits / temperature, axis=-1)
        known = ops.log(ops.maximum(teacher, _LEAST_PROBABILITY))
        divergence = ops.sum(teacher * (known - student), axis=-1)
        hard = losses.sparse_categorical_crossentropy(labels, probabilities)
        return alpha * hard + (1 - alpha) * temperature**2 * divergence

    return loss
