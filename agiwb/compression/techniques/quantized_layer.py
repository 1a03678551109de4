"""Any layer with its weights and activations rounded to 8 bits, in the forward pass only."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from agiwb.compression.techniques.kernels import kernels_of
from agiwb.compression.techniques.quantization_points import AFFINE, SEPARABLE

if TYPE_CHECKING:
    import keras

EMA_DECAY = 0.99
"""Of the ranges: the memory of a hundred batches; small data sets have few more."""

LARGEST_INTEGER = 127
"""Of a weight: symmetric, so that -128 stays unused and zero is exact."""

_NARROWEST = 1e-6


def round_weights(kernel: Any, inputs: tuple[int, ...] | None) -> Any:
    """Return ``kernel`` on a grid of 255 steps, symmetric about zero; its gradient passes through.

    Jacob et al. 2018 (arXiv:1712.05877), section 3, with a step by output channel. Rounding twice
    is rounding once: the largest weight of a channel is 127 steps, before and after.

    Args:
        kernel: float32 of any shape.
        inputs: The axes over which a channel extends; None for one step for the whole kernel.
    """
    from keras import ops

    largest = ops.max(ops.abs(kernel), axis=inputs, keepdims=inputs is not None)
    step = ops.stop_gradient(ops.maximum(largest, 1e-12) / LARGEST_INTEGER)
    return kernel + ops.stop_gradient(ops.round(kernel / step) * step - kernel)


@functools.cache
def activation_range_class() -> Any:
    """Return the layer that learns a tensor's range and rounds to 256 steps in it."""
    import keras
    import tensorflow as tf

    ops = keras.ops

    class ActivationRange(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """Moving averages of minimum and maximum, zero between them (Jacob et al. 2018, 3.1).

        The averages weigh the first batches equally, so that no start value is in them.
        """

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(trainable=False, **kwargs)
            self.minimum, self.maximum, self.batches = (
                self.add_weight(shape=(), initializer="zeros", trainable=False, name=name)
                for name in ("minimum", "maximum", "batches")
            )
            self.observing = False
            self.built = True

        def call(self, x: Any, training: bool | None = None) -> Any:
            if training or self.observing:
                seen = ops.stop_gradient(x)
                keep = ops.minimum(EMA_DECAY, self.batches / (self.batches + 1))
                for bound, now in (
                    (self.minimum, ops.minimum(ops.min(seen), 0.0)),
                    (self.maximum, ops.maximum(ops.max(seen), 0.0)),
                ):
                    bound.assign(keep * bound + (1 - keep) * now)
                self.batches.assign(self.batches + 1)
            low = ops.convert_to_tensor(self.minimum)
            high = ops.maximum(self.maximum, low + _NARROWEST)
            # The operator by which the LiteRT converter knows a trained range. It moves the range
            # a little so that zero is one of the steps, and has no gradient outside of it.
            return tf.quantization.fake_quant_with_min_max_vars(x, low, high)

    return ActivationRange


@functools.cache
def quantized_layer_class() -> Any:  # noqa: C901  a class in a function: keras comes late
    """Return the wrapper class; a file that holds it can be loaded once this has been called."""
    import keras
    import tensorflow as tf

    from agiwb.compression.techniques.substitution import call_with

    ops, new_range = keras.ops, activation_range_class()

    @keras.saving.register_keras_serializable("agiwb")
    class QuantizedLayer(keras.layers.Layer):  # type: ignore[misc]  # keras is untyped
        """A layer whose kernels and activations are rounded to 8 bits.

        Attributes:
            layer: The wrapped layer, with weights in floats.
            points: The fields of ``Points``.
            one_step: Indices of the kernels with one step for all channels: those with one
                codebook, whose equal weights must stay equal.
            baked: The kernels are rounded already, and are left as they are.
        """

        def __init__(
            self,
            layer: Any,
            points: dict[str, Any],
            one_step: tuple[int, ...] = (),
            baked: bool = False,
            **kwargs: Any,
        ) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True
            self.layer, self.points = layer, dict(points)
            self.one_step, self.baked = tuple(one_step), baked
            self.entry: Any = new_range(name="entry") if points["raw"] else None
            self.middle: Any = new_range(name="middle") if points["middle"] else None
            self.inside: Any = new_range(name="inside") if points["before_activation"] else None
            self.exit: Any = new_range(name="exit") if points["output"] == "learned" else None

        def build(self, input_shape: Any) -> None:
            if not self.layer.built:
                self.layer.build(input_shape)
                self.layer.built = True

        def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
            return self.layer.compute_mask(inputs, previous_mask)

        def kernels(self) -> list[tuple[keras.Variable, Any]]:
            """Return each kernel with what it is rounded to."""
            return [
                (
                    kernel.variable,
                    round_weights(
                        ops.convert_to_tensor(kernel.variable),
                        None if index in self.one_step else kernel.inputs,
                    ),
                )
                for index, kernel in enumerate(kernels_of(self.layer))
            ]

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            if self.entry is not None:
                inputs = keras.tree.map_structure(
                    lambda x: self.entry(x, training=training), inputs
                )
            rounded = [] if self.baked else self.kernels()
            kind = type(self.layer).__name__
            if self.middle is not None and kind in AFFINE:
                outputs = self._affine(inputs, training)
            elif kind in SEPARABLE:
                outputs = self._separable(inputs, rounded, training)
            else:
                outputs = self._plain(inputs, rounded, training, mask)
            if self.exit is not None:
                return self.exit(outputs, training=training)
            fixed = {"unit": (0.0, 255 / 256), "symmetric": (-1.0, 127 / 128)}
            if self.points["output"] in fixed:
                low, high = fixed[self.points["output"]]
                return tf.quantization.fake_quant_with_min_max_args(outputs, low, high)
            return outputs

        def _plain(self, inputs: Any, rounded: Any, training: Any, mask: Any) -> Any:
            accepted: dict[str, Any] = {}
            if self.layer._call_has_training_arg:  # noqa: SLF001  as Keras' own wrappers ask
                accepted["training"] = training
            if mask is not None and "mask" in self.layer._call_signature.parameters:  # noqa: SLF001
                accepted["mask"] = mask
            if self.inside is None:
                return call_with(self.layer, rounded, inputs, **accepted)
            activation, self.layer.activation = self.layer.activation, keras.activations.linear
            try:
                outputs = call_with(self.layer, rounded, inputs, **accepted)
            finally:
                self.layer.activation = activation
            return activation(self.inside(outputs, training=training))

        def _affine(self, x: Any, training: Any) -> Any:
            scale, shift = self._scale_and_shift(len(x.shape))
            product = x * scale
            if shift is None:
                return product
            product = self.middle(product, training=training)
            if training and type(self.layer).__name__ == "BatchNormalization":
                return self.layer(x, training=True)  # by the batch's own statistics
            return product + shift

        def _scale_and_shift(self, rank: int) -> tuple[Any, Any]:
            layer = self.layer
            kind = type(layer).__name__
            if kind == "Rescaling":
                return layer.scale, None if not layer.offset else layer.offset
            if kind == "Normalization":
                deviation = ops.maximum(ops.sqrt(layer.variance), keras.config.epsilon())
                return 1 / deviation, -layer.mean / deviation
            shape = [1] * rank
            shape[layer.axis] = -1
            scale = 1 / ops.sqrt(layer.moving_variance + layer.epsilon)
            scale = scale * layer.gamma if layer.scale else scale
            shift = -layer.moving_mean * scale
            shift = shift + layer.beta if layer.center else shift
            return ops.reshape(scale, shape), ops.reshape(shift, shape)

        def _separable(self, x: Any, rounded: Any, training: Any) -> Any:
            layer = self.layer
            values = {id(variable): value for variable, value in rounded}
            depthwise, pointwise = (
                values.get(id(kernel), kernel)
                for kernel in (layer.depthwise_kernel, layer.pointwise_kernel)
            )
            x = ops.depthwise_conv(
                x, depthwise, layer.strides, layer.padding, layer.data_format, layer.dilation_rate
            )
            x = self.middle(x, training=training)
            x = ops.conv(x, pointwise, 1, "valid", layer.data_format)
            if layer.use_bias:
                last = layer.data_format == "channels_last"
                spatial = [1] * layer.rank
                x = x + ops.reshape(layer.bias, [1, *spatial, -1] if last else [1, -1, *spatial])
            if self.inside is not None:
                x = self.inside(x, training=training)
            return x if layer.activation is None else layer.activation(x)

        def get_config(self) -> dict[str, Any]:
            return {
                **super().get_config(),
                "layer": keras.saving.serialize_keras_object(self.layer),
                "points": self.points,
                "one_step": list(self.one_step),
                "baked": self.baked,
            }

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            layer = keras.saving.deserialize_keras_object(config["layer"])
            return cls(**{**config, "layer": layer})

    return QuantizedLayer
