"""Quantization-aware training: the model learns to be right with numbers of 8 bits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from agiwb.compression.techniques.support import RECURRENT, Support, changed_kinds, stated
from agiwb.compression.techniques.technique import Bench, Technique
from agiwb.errors import WorkError

if TYPE_CHECKING:
    import keras

_CALIBRATION_BATCHES = 10

_WEIGHTS_AND_OUTPUT = "kernel by output channel, output after its activation"
_RECURRENT = (
    "kernels by output channel and the output; the steps inside compute in floats, so it trains "
    "but `convert_trained` refuses it"
)
_FLOATS = "the ranges inside it cannot be reached from outside"


class QuantizationAware(Technique):
    """Fine-tune with weights and activations rounded to 8 bits in the forward pass.

    Jacob et al. 2018 (arXiv:1712.05877): weights symmetric by output channel, activations
    asymmetric by tensor, with moving averages of minimum and maximum as ranges; the gradient passes
    through the rounding as if it were not there (Bengio et al. 2013, arXiv:1308.3432). Zeros stay
    zeros, and a kernel with a codebook keeps it: its entries train on, and are rounded alike.
    """

    word: ClassVar[str] = "qat"
    ranges: ClassVar[dict[str, tuple[float | int | str, ...]]] = {}
    support: ClassVar[dict[str, Support]] = stated(
        changes={
            ("Dense", "Conv1D", "Conv2D", "DepthwiseConv2D"): _WEIGHTS_AND_OUTPUT,
            ("EinsumDense", "Conv3D", "DepthwiseConv1D"): _WEIGHTS_AND_OUTPUT,
            ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"): _WEIGHTS_AND_OUTPUT,
            ("SeparableConv1D", "SeparableConv2D"): (
                "both kernels by output channel, the tensor between them, the output"
            ),
            "BatchNormalization": (
                "after a linear Dense, Conv2D, DepthwiseConv2D or SeparableConv2D folded into its "
                "kernel; anywhere else its product and its sum"
            ),
            ("Rescaling", "Normalization"): "its product and its sum",
            ("Add", "Subtract", "Multiply"): "output, after a ReLU that follows",
            ("Concatenate", "Average", "Maximum", "Minimum"): "output",
            ("ReLU", "LeakyReLU", "PReLU", "Activation", "GlobalAveragePooling2D"): "output",
            ("Attention", "AdditiveAttention", "SpectralNormalization"): "output",
            ("TimeDistributed", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"): "output",
            ("Flatten", "Reshape", "Dropout", "MaxPooling2D"): "passes 8 bits on",
            (*RECURRENT, "Bidirectional"): _RECURRENT,
        },
        leaves={
            ("Embedding", "MultiHeadAttention", "LayerNormalization", "GroupNormalization"): (
                _FLOATS
            ),
            ("ReversibleEmbedding", "GroupQueryAttention", "RMSNormalization"): _FLOATS,
        },
        otherwise=_FLOATS,
    )

    engine: Literal["keras", "tfmot"] = Field(
        default="keras", description="Whether this is done here or by TensorFlow's own toolkit"
    )

    def apply(self, model: keras.Model, bench: Bench) -> keras.Model:
        """Return a fine-tuned copy of ``model`` that rounds to 8 bits.

        Its layers are wrapped; ``integer_file.convert_trained`` makes the file with these ranges
        from it, and ``integer_file.plain_model`` a model without wrappers. Ranges start from up to
        ten batches of the training split; without epochs they stay there.

        Raises:
            WorkError: There is no layer to quantize, the model rounds already, it has an
                operation that is no layer, or the training diverged.
        """
        import keras

        from agiwb.compression.keras_model import rebuild
        from agiwb.compression.techniques.tied_weights import tied_as_found, untie

        if self.engine == "tfmot":
            from agiwb.compression.tfmot.quantization_aware import quantize_with_tfmot

            return quantize_with_tfmot(model, bench)
        keras.utils.set_random_seed(bench.tuning.seed)
        quantized = quantize_layers(model)
        calibrate(quantized, bench)
        trainee = tied_as_found(quantized)
        bench.train(trainee)
        return rebuild(untie(trainee))


def quantize_layers(model: keras.Model) -> keras.Model:
    """Return a copy of ``model`` with its layers wrapped and their ranges not yet known.

    Raises:
        WorkError: As ``QuantizationAware.apply``.
    """
    import keras

    from agiwb.compression.techniques.integer_file import has_trained_ranges
    from agiwb.compression.techniques.kernels import kernels_of
    from agiwb.compression.techniques.quantization_points import LEFT, Points, find_points
    from agiwb.compression.techniques.quantized_layer import quantized_layer_class

    if has_trained_ranges(model):
        raise WorkError(f"The model {model.name} rounds to 8 bits already.", "Leave out `qat`.")
    points, wrapper, pairs = find_points(model), quantized_layer_class(), []

    def wrap(layer: Any) -> Any:
        if not isinstance(layer, keras.layers.Layer):
            raise WorkError(
                f"The model {model.name} has the operation {layer.name}, which is no layer.",
                "Write it as a layer, such as `keras.layers.Add`, so that it can be wrapped.",
            )
        copy = type(layer).from_config(layer.get_config())
        pairs.append((layer, copy))
        own = points.get(id(layer), Points())
        if type(layer).__name__ in LEFT or (own == Points() and not kernels_of(layer)):
            return copy
        return wrapper(copy, asdict(own), _one_step(layer), name=layer.name)

    quantized = keras.models.clone_model(model, clone_function=wrap, recursive=True)
    for layer, copy in pairs:
        copy.set_weights(layer.get_weights())
    if not has_trained_ranges(quantized):
        raise WorkError(
            f"The model {model.name} has no layer to quantize.",
            f"Quantization-aware training changes {changed_kinds(QuantizationAware.support)}.",
        )
    return quantized


def calibrate(model: keras.Model, bench: Bench) -> None:
    """Set the ranges of ``model`` to what the first batches of the training split show."""
    from agiwb.compression.techniques.kernels import layers_within

    ranges = [layer for layer in layers_within(model) if hasattr(layer, "observing")]
    size = bench.tuning.batch_size
    shown = bench.training.sample(_CALIBRATION_BATCHES * size)
    for each in ranges:
        each.observing = True
    for start in range(0, len(shown), size):
        model(shown.features[start : start + size], training=False)
    for each in ranges:
        each.observing = False


def _one_step(layer: Any) -> tuple[int, ...]:
    """Return which kernels of ``layer`` have one codebook, and so need one step."""
    from agiwb.compression.techniques.codebook import found_codebook
    from agiwb.compression.techniques.kernels import kernels_of

    books = [found_codebook(each.variable.numpy(), each.channels) for each in kernels_of(layer)]
    return tuple(
        index for index, book in enumerate(books) if book is not None and not book.per_channel
    )
