"""Distillation: a smaller model learns from the answers of the larger one.

Hinton, Vinyals & Dean 2015 (arXiv:1503.02531). The teacher's answers are computed once, or once an
epoch where images are shifted anew in each: ``keras.distillation`` would ask the teacher at each
batch, has no linear map between features of different widths, and takes logits, which a model that
ends in a softmax does not give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from agiwb.compression.techniques.narrowing import narrowed
from agiwb.compression.techniques.support import WRAPPERS, Support, stated
from agiwb.compression.techniques.teaching import Lesson, Softening
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError
from agiwb.models.specification import ModelSpec, Size

if TYPE_CHECKING:
    import keras

Student = Literal["mlp", "cnn", "resnet", "rnn", "lenet_300_100", "lenet_5", "mnist_mlp"]
"""Families of ``agiwb.models`` whose examples are arrays of numbers."""

_FAMILY_UNITS = Size().units

_NOISE = {
    **dict.fromkeys(("Dropout", "AlphaDropout", "GaussianDropout"), "rate"),
    **dict.fromkeys((f"SpatialDropout{number}D" for number in (1, 2, 3)), "rate"),
    "GaussianNoise": "stddev",
}
"""By class name, the field that says how much noise a layer makes."""


class Distillation(Technique):
    """Trains a student of fewer units from scratch on labels and the model's softened answers.

    The student has no weight of the model, hence neither its zeros nor its shared values: in a
    recipe it comes first.
    """

    word: ClassVar[str] = "distil"
    number: ClassVar[str] = "percent"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {
        "percent": (10, 75),
        "temperature": (1.0, 20.0),
        "alpha": (0.0, 0.9),
    }
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "Conv1D", "Conv2D", "Conv3D"): "its units are fewer",
            ("Conv1DTranspose", "Conv2DTranspose"): "its units are fewer",
            ("SeparableConv1D", "SeparableConv2D"): "its units are fewer",
            ("LSTM", "GRU", "SimpleRNN", "Embedding"): "its units are fewer",
            WRAPPERS: "the units of the layer inside are fewer",
            "MultiHeadAttention": "its heads keep their number and size; what it reads is narrower",
        },
        leaves={},
        otherwise="it keeps its units; what it reads is narrower",
    )

    percent: int = Field(
        default=25, ge=1, le=99, description="The student's width in percent of the model's"
    )
    temperature: float = Field(
        default=4.0, gt=0, description="Divides the logits of teacher and student"
    )
    alpha: float = Field(
        default=0.1, ge=0, le=1, description="Weight of the labels; the rest is the teacher's"
    )
    epochs: int = Field(default=40, ge=1, description="Passes over the training examples")
    learning_rate: float = Field(default=0.002, gt=0, description="Adam's step size at the start")
    jitter: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Pixels by which images are shifted at most, teacher and student alike",
    )
    dropout: bool = Field(
        default=False, description="Whether the narrower copy keeps the model's dropout and noise"
    )
    family: Student | None = Field(
        default=None, description="A model family for the student instead of a narrower copy"
    )
    hint: str | None = Field(
        default=None,
        description="Name of a layer whose output the narrower copy learns to predict first",
    )
    hint_epochs: int = Field(default=10, ge=1, description="Passes for the hint")

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return the trained student, a functional model, uncompiled.

        Of the bench's fine-tuning the batch size and the seed count: it would be too short and
        too careful for a model that knows nothing.

        Raises:
            WorkError: The model's answers are not probabilities of classes, it cannot be made
                narrower, has no such layer for a hint, the examples to shift are no images, or the
                training diverged.
        """
        import keras

        from agiwb.compression.keras_model import rebuild

        _require_classifier(model)
        keras.utils.set_random_seed(bench.tuning.seed)
        student = self._student(model, bench)
        hint_epochs = self.hint_epochs if self.hint else 0
        lesson = Lesson(bench, self.learning_rate, self.epochs + hint_epochs)
        if self.hint:
            lesson.teach_hint(student, model, self.hint, hint_epochs)
        softening = Softening(self.temperature, self.alpha)
        lesson.teach(student, model, self.epochs, softening, self.jitter)
        return rebuild(student)

    def _student(self, model: keras.Model, bench: Bench) -> keras.Model:
        if self.family is None:
            student = narrowed(model, self.percent)
            return student if self.dropout else _without_noise(student)
        if self.hint:
            raise WorkError(
                f"A hint needs the same layer in both models; a {self.family} has its own.",
                "Leave out `hint` or `family`.",
            )
        from agiwb.models.registry import build_model

        return build_model(self.family, _specification(self.family, model, bench, self.percent))


def _without_noise(student: keras.Model) -> keras.Model:
    """Return ``student`` with nothing dropped and no noise added as it trains.

    The teacher's answers are regularisation enough (Hinton et al. 2015, sections 3 and 6), and the
    teacher gives them to examples without noise.
    """
    from agiwb.compression.techniques.layer_graph import all_layers

    for layer in all_layers(student):
        if (field := _NOISE.get(type(layer).__name__)) is not None:
            setattr(layer, field, 0.0)
    return student


def _require_classifier(model: keras.Model) -> None:
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] < 2:
        raise WorkError(
            f"The model {model.name} gives outputs of shape {shape}, not probabilities of classes.",
            "Distil a model with one output that ends in a softmax over two classes or more.",
        )


def _specification(family: str, model: keras.Model, bench: Bench, percent: int) -> ModelSpec:
    """Return what the family needs to know, read off the training examples."""
    features = bench.training.features
    images = features.ndim in (3, 4) and family != "rnn"
    return ModelSpec(
        task="classification",
        kind="image" if images else "sequence" if family == "rnn" else "array",
        feature_shape=tuple(features.shape[1:]),
        outputs=model.output_shape[1],
        scale=float(abs(features).max()) or 1.0,
        sample=bench.training,
        size=Size(units=max(1, round(_FAMILY_UNITS * percent / 100))),
    )
