"""A model's signatures as TensorFlow Serving describes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agiwb.artifacts.signature import TensorSpec
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.protobuf.tensor_proto import data_type

SIGNATURE_DEF = "signature_def"
"""The only metadata field there is."""


def signature_def_map(signatures: Mapping[str, ServedSignature]) -> Any:
    """Return the ``SignatureDefMap`` of ``signatures``; a free dimension has the size -1."""
    described = message_class("SignatureDefMap")()
    for name, served in signatures.items():
        entry = described.signature_def[name]
        entry.method_name = served.method
        _describe(served.signature.inputs, entry.inputs)
        _describe(served.signature.outputs, entry.outputs)
    return described


def model_metadata(name: str, version: int, signatures: Mapping[str, ServedSignature]) -> Any:
    """Return the ``GetModelMetadataResponse`` for one version of a model."""
    response = message_class("GetModelMetadataResponse")()
    response.model_spec.name = name
    response.model_spec.version.value = version
    response.metadata[SIGNATURE_DEF].Pack(signature_def_map(signatures))
    return response


def _describe(specs: Iterable[TensorSpec], infos: Any) -> None:
    for spec in specs:
        info = infos[spec.name]
        # The name of a tensor in a TensorFlow graph; ours are known by the signature's names only.
        info.name = spec.name
        info.dtype = data_type(spec.dtype)
        info.tensor_shape.SetInParent()
        for size in spec.shape:
            info.tensor_shape.dim.add().size = -1 if size is None else size
