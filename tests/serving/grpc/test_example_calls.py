from __future__ import annotations

import grpc
import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, REGRESS_METHOD, ServedSignature
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.servable import RunTime
from tests.serving.grpc.grpc_client import PREDICTION, ModelConfig, serving

EXAMPLES = TensorSpec(name="inputs", dtype="object", shape=(None,))
Example = message_class("tensorflow.Example")


def signature(method, **outputs):
    specs = tuple(
        TensorSpec(name=name, dtype=dtype, shape=shape) for name, (dtype, shape) in outputs.items()
    )
    return ServedSignature(Signature(inputs=(EXAMPLES,), outputs=specs), method)


class OnExamples:
    """Half plus two of the feature ``x``, as TensorFlow Serving's own test model."""

    run_time = RunTime(0.0)
    inline = True

    def __init__(self):
        self.signatures = {
            "serving_default": signature(
                CLASSIFY_METHOD, classes=("object", (None, 2)), scores=("float32", (None, 2))
            ),
            "scores": signature(CLASSIFY_METHOD, scores=("float32", (None, 1))),
            "regress": signature(REGRESS_METHOD, outputs=("float32", (None, 1))),
            "narrow": signature(REGRESS_METHOD, outputs=("float64", (None,))),
        }

    def run(self, inputs, signature_name="serving_default", outputs=()):
        values = np.float32(
            [
                Example.FromString(data).features.feature["x"].float_list.value[0]
                for data in inputs["inputs"]
            ]
        )
        scores = (values / 2 + 2)[:, None]
        if signature_name == "regress":
            return {"outputs": scores}
        if signature_name == "narrow":
            return {"outputs": scores[:, 0].astype(np.float64)}
        if signature_name == "scores":
            return {"scores": scores}
        labels = np.array([["low", "high"]] * len(scores), object)
        return {"classes": labels, "scores": np.hstack([scores, -scores])}

    def close(self):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    base = tmp_path_factory.mktemp("examples")
    (base / "7").mkdir()
    (base / "7" / "model.onnx").write_bytes(b"")
    config = ModelConfig("examples", base)
    with serving([config], load=lambda *_: OnExamples()) as served:
        yield served


def request_of(name, *values, signature_name="", context=None):
    request = message_class(name)()
    request.model_spec.name = "examples"
    request.model_spec.signature_name = signature_name
    fill(request.input, values, context)
    return request


def fill(message, values, context=None):
    listed = message.example_list if context is None else message.example_list_with_context
    for value in values:
        example = listed.examples.add()
        if value is not None:
            example.features.feature["x"].float_list.value.append(value)
    if context is not None:
        listed.context.features.feature["x"].float_list.value.append(context)


def classify(served, request):
    return served.call(PREDICTION, "Classify", request, "ClassificationResponse")


def regress(served, request):
    return served.call(PREDICTION, "Regress", request, "RegressionResponse")


def refusal(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code().name, error.value.details()


def test_classify_gives_labels_and_scores(served):
    response = classify(served, request_of("ClassificationRequest", 20.0, 1.0))
    listed = [
        [(entry.label, entry.score) for entry in one.classes]
        for one in response.result.classifications
    ]
    assert listed == [[("low", 12.0), ("high", -12.0)], [("low", 2.5), ("high", -2.5)]]
    spec = response.model_spec
    assert (spec.version.value, spec.signature_name) == (7, "serving_default")


def test_scores_alone_have_empty_labels(served):
    request = request_of("ClassificationRequest", 20.0, signature_name="scores")
    (one,) = classify(served, request).result.classifications
    assert [(entry.label, entry.score) for entry in one.classes] == [("", 12.0)]


def test_regress_gives_a_value_for_each_example(served):
    response = regress(served, request_of("RegressionRequest", 80.0, 1, signature_name="regress"))
    assert [one.value for one in response.result.regressions] == [42.0, 2.5]
    assert response.model_spec.signature_name == "regress"


def test_the_context_is_part_of_each_example(served):
    request = request_of("RegressionRequest", None, 2.0, signature_name="regress", context=80.0)
    response = regress(served, request)
    # A feature of the example replaces the context's.
    assert [one.value for one in response.result.regressions] == [42.0, 3.0]


def test_the_method_of_the_signature_must_fit(served):
    request = request_of("ClassificationRequest", 1.0, signature_name="regress")
    assert refusal(lambda: classify(served, request)) == (
        "INVALID_ARGUMENT",
        (
            "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/regress"
        ),
    )
    code, words = refusal(lambda: regress(served, request_of("RegressionRequest", 1.0)))
    assert code == "INVALID_ARGUMENT"
    assert words.startswith("Expected regression signature method_name to be")


def test_an_unknown_signature_is_told(served):
    request = request_of("ClassificationRequest", 1.0, signature_name="x")
    assert refusal(lambda: classify(served, request)) == (
        "INVALID_ARGUMENT",
        "No signature was found with the name: x",
    )


def test_no_examples_are_refused(served):
    code, words = refusal(lambda: classify(served, request_of("ClassificationRequest")))
    assert code == "INVALID_ARGUMENT"
    assert words.startswith("Input is empty.")


def test_an_output_of_another_type_is_told(served):
    request = request_of("RegressionRequest", 1.0, signature_name="narrow")
    assert refusal(lambda: regress(served, request)) == (
        "INVALID_ARGUMENT",
        "Expected output Tensor of DT_FLOAT.  Got: float64",
    )


def multi(*tasks, name="examples"):
    request = message_class("MultiInferenceRequest")()
    for signature_name, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = name
        task.model_spec.signature_name = signature_name
    fill(request.input, [20.0])
    return request


def ask(served, request):
    return served.call(PREDICTION, "MultiInference", request, "MultiInferenceResponse")


def test_multi_inference_answers_each_task(served):
    request = multi(("regress", REGRESS_METHOD), ("", CLASSIFY_METHOD))
    first, second = ask(served, request).results
    assert first.regression_result.regressions[0].value == 12.0
    assert first.model_spec.signature_name == "regress"
    assert second.WhichOneof("result") == "classification_result"
    assert second.model_spec.version.value == 7


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        (multi(), "INVALID_ARGUMENT", "no tasks"),
        (multi(("", "x")), "UNIMPLEMENTED", "Unsupported signature method_name: x"),
        (
            multi(("", CLASSIFY_METHOD), ("", CLASSIFY_METHOD)),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: serving_default",
        ),
        (multi(("x", CLASSIFY_METHOD)), "INVALID_ARGUMENT", "not found in model graph: x"),
        (multi(("", CLASSIFY_METHOD), name=""), "INVALID_ARGUMENT", "no name specified"),
    ],
)
def test_multi_inference_refuses_in_tensorflow_servings_words(served, request_, code, words):
    got, told = refusal(lambda: ask(served, request_))
    assert got == code
    assert words in told
