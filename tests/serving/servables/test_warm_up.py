"""Warm-up by recorded requests, in TensorFlow Serving's file, and without one."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from agiwb.artifacts.signature import Signature, TensorSpec
from agiwb.errors import InputError
from agiwb.runtimes.served_signature import CLASSIFY_METHOD, ServedSignature
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.servable import RunTime
from agiwb.serving.servables.tf_record import write_records
from agiwb.serving.servables.warm_up import WARM_UP_FILE, warm_up, write_warm_up
from agiwb.serving.versions import Version
from tests.serving.onnx_models import write_convolution, write_half_plus_two, write_two_by_two


class Recorder:
    """A servable that keeps what it was asked."""

    run_time = RunTime(0.0)
    inline = True

    def __init__(self, **signatures: ServedSignature) -> None:
        self.signatures = signatures
        self.asked: list[tuple[str, dict, tuple]] = []

    def run(self, inputs, signature_name="serving_default", outputs=()):
        if signature_name not in self.signatures:
            raise InputError(f"There is no signature {signature_name}.")
        self.asked.append((signature_name, dict(inputs), tuple(outputs)))
        return {}

    def close(self) -> None:
        """Do nothing."""


def _taking(*inputs: TensorSpec, method: str = CLASSIFY_METHOD) -> ServedSignature:
    return ServedSignature(Signature(inputs=inputs, outputs=()), method)


FLOATS = _taking(TensorSpec(name="x", dtype="float32", shape=(None, 2)))
EXAMPLES = _taking(TensorSpec(name="inputs", dtype="object", shape=(None,)))


def _write(folder: Path, *logs) -> None:
    write_records(folder / WARM_UP_FILE, [log.SerializeToString() for log in logs])


def test_what_is_written_is_run_in_order_as_often_as_wished(tmp_path):
    batches = [{"x": np.full((rows, 2), rows, np.float32)} for rows in (1, 4)]
    assert write_warm_up(tmp_path, batches, "m") == tmp_path / WARM_UP_FILE
    servable = Recorder(serving_default=FLOATS)
    assert warm_up(servable, tmp_path, iterations=3) == 6
    assert [inputs["x"].tolist() for _, inputs, _ in servable.asked] == [
        batch["x"].tolist() for batch in batches for _ in range(3)
    ]


def test_output_filters_and_signatures_are_kept(tmp_path):
    log = message_class("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.signature_name = "other"
    request.output_filter.append("y")
    request.inputs["x"].dtype = 1
    _write(tmp_path, log)
    servable = Recorder(other=FLOATS)
    assert warm_up(servable, tmp_path) == 1
    ((name, inputs, outputs),) = servable.asked
    assert (name, list(inputs), outputs) == ("other", ["x"], ("y",))


def test_examples_are_given_serialized_to_the_one_input(tmp_path):
    logs = [message_class("PredictionLog")() for _ in range(3)]
    example = message_class("tensorflow.Example")()
    example.features.feature["x"].float_list.value.append(4.0)
    multi = logs[2].multi_inference_log.request
    for request in (logs[0].classify_log.request, logs[1].regress_log.request, multi):
        request.input.example_list.examples.append(example)
    logs[0].classify_log.request.model_spec.signature_name = "classify"
    logs[1].regress_log.request.model_spec.signature_name = "regress"
    for name in ("classify", "regress"):
        multi.tasks.add().model_spec.signature_name = name
    _write(tmp_path, *logs)
    servable = Recorder(classify=EXAMPLES, regress=EXAMPLES)
    assert warm_up(servable, tmp_path) == 4
    assert [name for name, _, _ in servable.asked] == ["classify", "regress"] * 2
    serialized = example.SerializeToString()
    assert all(inputs["inputs"].tolist() == [serialized] for _, inputs, _ in servable.asked)


def test_a_request_that_fails_fails_the_load_and_is_named(tmp_path):
    folder = write_half_plus_two(tmp_path / "1")
    write_warm_up(folder, [{"x": np.zeros(1, np.float32)}, {"x": np.array(["text"], object)}])
    with pytest.raises(InputError, match=r"warm-up request 2 of .*tf_serving_warmup_requests"):
        load_servable("m", Version(1, folder))


def test_a_kind_of_request_that_needs_a_session_fails(tmp_path):
    log = message_class("PredictionLog")()
    log.session_run_log.SetInParent()
    _write(tmp_path, log)
    with pytest.raises(InputError, match="Unsupported log_type for warmup: session_run_log"):
        warm_up(Recorder(serving_default=FLOATS), tmp_path)


def test_a_thousand_records_are_the_most(tmp_path):
    batch = {"x": np.zeros((1, 2), np.float32)}
    write_warm_up(tmp_path, [batch] * 1000)
    assert warm_up(Recorder(serving_default=FLOATS), tmp_path) == 1000
    with pytest.raises(InputError, match=r"exceeds the maximum \(1000\)"):
        write_warm_up(tmp_path, [batch] * 1001)
    content = (tmp_path / WARM_UP_FILE).read_bytes()
    (tmp_path / WARM_UP_FILE).write_bytes(content + content[: len(content) // 1000])
    with pytest.raises(InputError, match=r"exceeds the maximum \(1000\)"):
        warm_up(Recorder(serving_default=FLOATS), tmp_path)


def test_a_file_that_is_no_tfrecord_fails(tmp_path):
    (tmp_path / WARM_UP_FILE).parent.mkdir()
    (tmp_path / WARM_UP_FILE).write_bytes(b"these are not records at all")
    with pytest.raises(InputError, match="verify your warmup data is in TFRecord format"):
        warm_up(Recorder(serving_default=FLOATS), tmp_path)


def test_without_a_file_zeros_of_a_few_batch_sizes_are_run(tmp_path):
    servable = Recorder(serving_default=FLOATS)
    assert warm_up(servable, tmp_path) == 4
    assert [inputs["x"].shape for _, inputs, _ in servable.asked] == [
        (1, 2), (2, 2), (8, 2), (32, 2)
    ]  # fmt: skip
    several = load_servable("m", Version(1, write_two_by_two(tmp_path / "1")))
    assert warm_up(several, tmp_path) == 4


def test_zeros_that_are_refused_are_only_logged(tmp_path, caplog):
    folder = write_convolution(tmp_path / "1")
    with caplog.at_level(logging.WARNING):
        servable = load_servable("m", Version(1, folder))
    assert "is not warmed" in caplog.text
    assert servable.run_time == RunTime()
