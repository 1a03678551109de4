"""The SavedModel of a source: what ONNX, LiteRT, OpenVINO and frozen graphs are made from."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agiwb.artifacts.signature import SIGNATURE_NAME, main_signature
from agiwb.conversion.source import ConversionSource
from agiwb.errors import InputError
from agiwb.tensorflow_quietly import import_tensorflow

if TYPE_CHECKING:
    import keras


def export_named(model: keras.Model, folder: Path, endpoints: dict[str, Any] | None = None) -> None:
    """Write a model between dicts of tensors as a SavedModel with the signature of these names.

    Converting the Keras model or its concrete function directly is shorter but not safe: with
    TensorFlow 2.21 the latter leaves the weights out of a LiteRT file, which converts and runs and
    answers at random.

    Args:
        model: From a dict to a dict.
        folder: To be made.
        endpoints: More signatures: functions with an ``input_signature`` by name.
    """
    tf = import_tensorflow()
    import keras

    names = [tensor.name for tensor in model.inputs]

    def answer(*tensors: Any) -> Any:
        return model(dict(zip(names, tensors, strict=True)), training=False)

    archive = keras.export.ExportArchive()
    archive.track(model)  # for its tables
    # Keras would write its own variables, and what they hold as others: all weights twice.
    archived = archive._tf_trackable  # noqa: SLF001
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        setattr(archived, kind, [variable.value for variable in getattr(model, kind)])
    taken = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]
    archive.add_endpoint(SIGNATURE_NAME, answer, input_signature=taken)
    for name, endpoint in (endpoints or {}).items():
        archive.add_endpoint(name, endpoint)
    archive.write_out(str(folder), verbose=False)


@contextlib.contextmanager
def saved_model_of(source: ConversionSource) -> Iterator[Path]:
    """Yield the folder of the source's SavedModel; one made for this is removed afterwards.

    Raises:
        InputError: The source is neither a Keras model nor a SavedModel.
    """
    if source.saved_model is not None:
        yield source.saved_model
        return
    with tempfile.TemporaryDirectory(prefix="agiwb-") as temporary:
        folder = Path(temporary) / "saved_model"
        export_named(source.named_model, folder)
        yield folder


def signature_in(folder: Path) -> str:
    """Return the name of the signature of a SavedModel that is converted.

    Raises:
        InputError: It has none.
    """
    import_tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graphs = SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs
    if (name := main_signature(graphs[0].signature_def)) is None:
        raise InputError(
            f"The SavedModel {folder} has no signature.",
            "Export it with `model.export`, which makes one.",
        )
    return name


def frozen_function(folder: Path) -> tuple[Any, dict[str, Any], list[str]]:
    """Return the main signature of a SavedModel with its variables as constants.

    Returns:
        TensorFlow's frozen function, its inputs by name, and the names of its outputs in order.

    Raises:
        InputError: The SavedModel has no such signature.
    """
    tf = import_tensorflow()
    # TensorFlow 2 offers no public way to freeze a function; this one is what its converters use.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures[signature_in(folder)]
    frozen = convert_variables_to_constants_v2(signature)
    inputs = dict(signature.structured_input_signature[1])
    return frozen, inputs, sorted(signature.structured_outputs)
