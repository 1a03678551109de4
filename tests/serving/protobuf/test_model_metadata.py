from __future__ import annotations

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, PREDICT_METHOD, ServedSignature
from agiwb.serving.protobuf.messages import enum_numbers, message_class
from agiwb.serving.protobuf.model_metadata import model_metadata, signature_def_map

SIGNATURES = {
    "serving_default": ServedSignature(
        Signature(
            inputs=(TensorSpec(name="x", dtype="float32", shape=(None, 3)),),
            outputs=(TensorSpec(name="n", dtype="int64", shape=()),),
        )
    ),
    "classify": ServedSignature(
        Signature(
            inputs=(TensorSpec(name="inputs", dtype="object", shape=(None,)),),
            outputs=(TensorSpec(name="scores", dtype="float32", shape=(None, 2)),),
        ),
        CLASSIFY_METHOD,
    ),
}
TYPES = enum_numbers("tensorflow.DataType")


def test_signatures_are_described_with_types_and_shapes():
    described = signature_def_map(SIGNATURES).signature_def
    assert set(described) == {"serving_default", "classify"}
    x = described["serving_default"].inputs["x"]
    assert x.dtype == TYPES["DT_FLOAT"]
    assert [dim.size for dim in x.tensor_shape.dim] == [-1, 3]
    n = described["serving_default"].outputs["n"]
    assert n.HasField("tensor_shape")
    assert not n.tensor_shape.dim
    assert described["serving_default"].method_name == PREDICT_METHOD
    assert described["classify"].method_name == CLASSIFY_METHOD
    assert described["classify"].inputs["inputs"].dtype == TYPES["DT_STRING"]


def test_the_response_packs_the_signatures():
    response = model_metadata("half", 3, SIGNATURES)
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 3)
    unpacked = message_class("SignatureDefMap")()
    assert response.metadata["signature_def"].Unpack(unpacked)
    assert unpacked == signature_def_map(SIGNATURES)
