from __future__ import annotations

import subprocess
import sys

import pytest

from agiwb.errors import ConfigError, InputError
from agiwb.serving.protobuf import messages
from agiwb.serving.protobuf.messages import (
    enum_numbers,
    message_class,
    parse_message,
    parse_text,
    pool,
)
from tests.serving.protobuf.real_descriptors import fields_of, read_descriptors

TENSORFLOW_MODULES = (
    "tensorflow.core.framework.tensor_pb2",
    "tensorflow.core.example.example_pb2",
    "tensorflow.core.protobuf.meta_graph_pb2",
    "tensorflow.core.protobuf.named_tensor_pb2",
    "tensorflow.core.protobuf.error_codes_pb2",
)
LEFT_OUT = {
    "TensorProto": {"resource_handle_val", "variant_val"},
    "TensorInfo": {"composite_tensor"},
}
"""Fields of TensorFlow's that the wire never carries."""


def test_the_compiled_file_is_what_the_sources_compile_to(tmp_path):
    target = tmp_path / "wire.binpb"
    sources = sorted(messages.PROTOS.glob("*.proto"))
    subprocess.run(
        [
            *(sys.executable, "-m", "grpc_tools.protoc", "--include_imports"),
            *("-I", messages.PROTOS, "--descriptor_set_out", target, *sources),
        ],
        check=True,
        timeout=60,
    )
    assert target.read_bytes() == messages.COMPILED.read_bytes(), "run `make protos`"


def test_every_message_of_tensorflow_has_its_numbers_types_and_labels():
    real = read_descriptors(*TENSORFLOW_MODULES)
    names = pool().FindFileByName("tensorflow.proto").message_types_by_name
    assert {"TensorProto", "Example", "SignatureDef", "NamedTensorProto"} <= set(names.keys())
    for name in names:
        ours = fields_of(pool().FindMessageTypeByName(f"tensorflow.{name}"))
        theirs = fields_of(real.FindMessageTypeByName(f"tensorflow.{name}"))
        assert ours == {
            key: field for key, field in theirs.items() if key not in LEFT_OUT.get(name, ())
        }, name


@pytest.mark.parametrize("name", ["tensorflow.DataType", "tensorflow.error.Code"])
def test_the_enums_of_tensorflow_have_its_numbers(name):
    real = read_descriptors(*TENSORFLOW_MODULES).FindEnumTypeByName(name)
    theirs = {value.name: value.number for value in real.values if "_REF" not in value.name}
    theirs.pop("DO_NOT_USE_RESERVED_FOR_FUTURE_EXPANSION_USE_DEFAULT_IN_SWITCH_INSTEAD_", None)
    assert enum_numbers(name) == theirs


def test_a_message_survives_its_bytes():
    log = message_class("PredictionLog")()
    log.predict_log.request.model_spec.version.value = 7
    log.predict_log.request.inputs["x"].float_val.extend([1.0, 2.0])
    again = parse_message("PredictionLog", log.SerializeToString())
    assert again == log
    assert again.WhichOneof("log_type") == "predict_log"


def test_a_class_is_made_once():
    assert message_class("ModelSpec") is message_class("tensorflow.serving.ModelSpec")


def test_an_unknown_message_is_a_key_error():
    with pytest.raises(KeyError):
        message_class("tensorflow.serving.NoSuchMessage")


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(InputError, match="3 bytes are not a PredictRequest message"):
        parse_message("PredictRequest", b"\xff\xff\xff")


def test_a_real_models_config_is_read():
    config = parse_text(
        "ModelServerConfig",
        """
        # two models
        model_config_list: {
          config: {
            name: "half", base_path: "/models/half", model_platform: "tensorflow",
            model_version_policy: { specific: { versions: 1, versions: 2 } }
            version_labels { key: "stable" value: 1 }
            logging_config { log_collector_config { type: "x" filename_prefix: "/tmp/log" }
                             sampling_config { sampling_rate: 0.5 } }
          },
          config: { name: "b" base_path: "/b" model_version_policy { all {} } }
        }
        """,
    )
    first, second = config.model_config_list.config
    assert list(first.model_version_policy.specific.versions) == [1, 2]
    assert dict(first.version_labels) == {"stable": 1}
    assert second.model_version_policy.WhichOneof("policy_choice") == "all"


def test_real_batching_parameters_are_read():
    parameters = parse_text(
        "BatchingParameters",
        "max_batch_size { value: 128 } batch_timeout_micros { value: 0 } "
        "allowed_batch_sizes: [8, 128] num_batch_threads { value: 2 }",
    )
    assert parameters.max_batch_size.value == 128
    assert list(parameters.allowed_batch_sizes) == [8, 128]
    assert not parameters.HasField("max_enqueued_batches")


def test_a_wrong_config_names_file_line_and_column():
    with pytest.raises(ConfigError) as refused:
        parse_text("ModelServerConfig", "model_config_list {\n  confg {}\n}", "models.config")
    assert refused.value.problem.startswith(
        "Error parsing text-format tensorflow.serving.ModelServerConfig in models.config: 2:3"
    )


IN_ONE_PROCESS = """
from agiwb.serving.protobuf.messages import message_class
ours = message_class('tensorflow.TensorProto')(dtype=1, float_val=[3.0])
import tensorflow as tf
theirs = tf.make_tensor_proto([1.0, 2.0])
assert tf.make_ndarray(type(theirs).FromString(ours.SerializeToString())) == 3.0
assert type(ours).FromString(theirs.SerializeToString()).dtype == 1
print("both")
"""


@pytest.mark.slow
def test_tensorflow_and_our_messages_live_in_one_process():
    ran = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stdout == "both\n", ran.stderr
