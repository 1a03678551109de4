"""The conformance kit's cases of JSON to tensors and tensors to JSON; no server is needed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import AgiwbError
from agiwb.runtimes.served_signature import ServedSignature
from agiwb.serving.rest_json.examples_json import (
    decode_examples,
    encode_classifications,
    encode_regressions,
)
from agiwb.serving.rest_json.predict_json import decode_request, encode_response
from agiwb.serving.status import http_status_of
from tests.serving.conformance_cases import (
    DTYPES,
    FOLDER,
    body_of,
    is_like,
    read_cases,
    read_deviations,
    tensor_of,
)

_KINDS = {bytes: "bytes", float: "float", int: "int64"}


def _refusal(call):
    with pytest.raises(AgiwbError) as caught:
        call()
    assert http_status_of(caught.value) == 400
    return str(caught.value)


@pytest.mark.parametrize("case", read_cases("json_to_tensors"))
def test_predict_bodies_become_tensors(case):
    specs = tuple(
        TensorSpec(name=name, dtype=DTYPES.get(dtype, dtype), shape=(None,))
        for name, dtype in case["signature"].items()
    )
    name = case.get("signature_name", "serving_default")
    signatures = {name: ServedSignature(Signature(inputs=specs, outputs=()))}
    if "error" in case:
        assert case["error"] in _refusal(lambda: decode_request(body_of(case), signatures))
        return
    request = decode_request(body_of(case), signatures)
    assert request.signature_name == name
    assert request.layout == case.get("layout", request.layout)
    for spec in specs:
        assert request.tensors[spec.name].dtype == spec.dtype
    for name, entry in case.get("tensors", {}).items():
        got = request.tensors[name]
        expected = tensor_of({"dtype": case["signature"][name], **entry})
        assert got.shape == expected.shape
        assert is_like(expected.tolist(), got.tolist())
        if got.dtype.kind == "f":
            numbers = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(expected)[numbers])


@pytest.mark.parametrize("case", read_cases("tensors_to_json"))
def test_tensors_become_bodies(case):
    outputs = {name: tensor_of(entry) for name, entry in case["outputs"].items()}
    if "error" in case:
        refusal = _refusal(lambda: encode_response(outputs, case["layout"]))
        assert case["error"] in refusal
        return
    text = encode_response(outputs, case["layout"]).decode()
    if "text" in case:
        assert text == case["text"]
    else:
        assert json.loads(text) == case["answer"]


@pytest.mark.parametrize("case", read_cases("json_to_examples"))
def test_bodies_become_examples(case):
    if "error" in case:
        assert case["error"] in _refusal(lambda: decode_examples(body_of(case)))
        return
    request = decode_examples(body_of(case))
    assert request.signature_name == case.get("signature_name", request.signature_name)
    assert is_like(case["examples"], [_described(example) for example in request.examples])
    if "context" in case:
        assert _described(request.context) == case["context"]
    else:
        assert request.context is None


@pytest.mark.parametrize("case", read_cases("results_to_json"))
def test_results_become_bodies(case):
    def encode() -> bytes:
        if "values" in case:
            return encode_regressions(np.array(case["values"], np.float32))
        labels, scores = (
            None if key not in case else np.array(case[key], dtype)
            for key, dtype in (("labels", object), ("scores", np.float32))
        )
        if "shape" in case:
            labels, scores = labels.reshape(case["shape"]), scores.reshape(case["shape"])
        return encode_classifications(labels, scores)

    if "error" in case:
        assert case["error"] in _refusal(encode)
    else:
        assert encode().decode() == case["text"]


def test_every_deviation_is_reasoned_and_shown_by_a_case():
    shown = {
        case["deviation"]
        for file in FOLDER.glob("*.yaml")
        if file.stem != "deviations"
        for case in yaml.safe_load(file.read_text("utf-8"))
        if "deviation" in case
    }
    assert shown == read_deviations().keys()


def test_facts_tell_cases_apart():
    for file in FOLDER.glob("*_*.yaml"):
        facts = [case["fact"] for case in yaml.safe_load(file.read_text("utf-8"))]
        assert len(facts) == len(set(facts)), file


def _described(example):
    """Return an example as the cases describe it: bytes as text, features by kind."""
    return {
        name: {
            _KINDS[type(values[0])]: [
                value.decode() if isinstance(value, bytes) else value for value in values
            ]
        }
        if values
        else {}
        for name, values in example.items()
    }
