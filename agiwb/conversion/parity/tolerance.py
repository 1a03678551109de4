"""How far the answers of each format may be from the model's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from agiwb.artifacts.manifest import Format


class Tolerance(BaseModel):
    """What an artifact's answers are held to; None means that nothing is required there.

    Errors of probabilities are absolute. Those of other numbers are divided by the larger of the
    model's own answer and the standard deviation of its answers to the real examples: a
    regression has no scale of its own.
    """

    model_config = ConfigDict(frozen=True)

    max_abs_error: float | None
    """Largest error of a probability, over real examples and edge cases."""
    max_scaled_error: float | None
    """Largest error of another number, scaled as said above."""
    top1_agreement: float = 1.0
    """Least share of real examples with the same most probable class, or the same decision on a
    label. If it is below 1, what is required is that the upper end of the share's 95 % Wilson
    interval is not below it: few examples cannot tell 98 % from 99 %."""
    kl_nats: float | None = None
    """Largest mean Kullback-Leibler divergence from the model's probabilities, in nats."""
    score_loss: float | None = None
    """Largest loss of the task's metric that may be more than chance: of a share (accuracy, area
    under the curve) in absolute terms, of an error (RMSE) as a fraction of the model's own."""
    layer_error: float = 1e-3
    """Least relative error at which a layer's answers are said to differ."""


# Keras' files hold the same graph; the others may order float32 sums differently or fold constants.
_SAME_GRAPH = Tolerance(max_abs_error=1e-6, max_scaled_error=1e-5)
# Through a ResNet's 50 layers answers in float32 come to lie up to 1.2e-4 from those in float64,
# Keras' own as LiteRT's and ONNX Runtime's: two of them may be twice as far apart.
_FLOAT32 = Tolerance(max_abs_error=1e-5, max_scaled_error=3e-4)
# 11 bits of precision, 5e-4 of each number, in every layer.
_FLOAT16 = Tolerance(
    max_abs_error=1e-2,
    max_scaled_error=2e-2,
    top1_agreement=0.99,
    kl_nats=1e-2,
    score_loss=0.01,
    layer_error=5e-2,
)
_QUANTIZED = Tolerance(
    max_abs_error=None,
    max_scaled_error=None,
    top1_agreement=0.99,
    kl_nats=0.05,
    score_loss=0.01,
    layer_error=0.3,
)

TOLERANCES: dict[Format, Tolerance] = {
    "keras": _SAME_GRAPH,
    "h5": _SAME_GRAPH,
    "saved_model": _FLOAT32,
    "frozen_pb": _FLOAT32,
    "onnx": _FLOAT32,
    "onnx_float16": _FLOAT16,
    "litert": _FLOAT32,
    "litert_float16": _FLOAT16,
    "litert_dynamic": _QUANTIZED,
    "litert_int8": _QUANTIZED,
    "litert_int16x8": _QUANTIZED,
    "openvino": _FLOAT32,
}
