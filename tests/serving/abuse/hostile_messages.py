"""gRPC requests that are almost right: valid messages with other fields, or with other bytes.

Each is drawn from a ``random.Random``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from agiwb.serving.protobuf.messages import message_class
from tests.serving.grpc.grpc_client import HEALTH, INFERENCE, MODEL, PREDICTION, predict_request

_ODD_INTEGERS = (0, 1, -1, 2, 7, 23, 99, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63))
_ODD_TEXTS = (
    "",
    "x",
    "half",
    "two",
    "echo",
    "FP32",
    "FP16",
    "BYTES",
    "INT64",
    "9" * 30,
    "\x00",
    "\u202e",
)
_ODD_TEXTS += ("x" * 3000, "serving_default", "signature_def", "1")
_ODD_BYTES = (b"", b"\x00", b"\xff" * 7, b"\x00\x00\x80?", b"\x01\x00\x00\x00a", b"x" * 4000)
_ODD_FLOATS = (0.0, -0.0, 1.5, float("nan"), float("inf"), 1e38)


@dataclass(frozen=True)
class HostileCall:
    """A method's full name, and the bytes of a request."""

    method: str
    data: bytes


def draw_call(random: Random) -> HostileCall:
    """Return a hostile call, or now and then a valid one."""
    method, build = random.choice(VALID_CALLS)
    message = build()
    for _ in range(random.randint(0, 3)):
        _change_somewhere(message, random)
    data = message.SerializeToString()
    if random.random() < 0.4:
        data = random.choice(_BYTES_CHANGES)(data, random)
    return HostileCall(method, data)


def _predict(name: str, as_content: bool = False, **inputs: Any) -> Callable[[], Any]:
    arrays = {key: np.asarray(value) for key, value in inputs.items()}
    return lambda: predict_request(name, as_content, **arrays)


def _infer() -> Any:
    request = message_class("inference.ModelInferRequest")(model_name="two", id="7")
    for name, datatype in (("a", "FP32"), ("b", "INT64")):
        tensor = request.inputs.add(name=name, datatype=datatype)
        tensor.shape.append(2)
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    request.inputs[1].contents.int64_contents.extend([3, 4])
    return request


def _infer_raw() -> Any:
    request = message_class("inference.ModelInferRequest")(model_name="echo")
    request.inputs.add(name="text", datatype="BYTES").shape.append(1)
    request.raw_input_contents.append(b"\x02\x00\x00\x00ab")
    request.outputs.add(name="same")
    return request


def _examples(kind: str) -> Callable[[], Any]:
    def build() -> Any:
        request = message_class(kind)()
        request.model_spec.name = "half"
        feature = request.input.example_list.examples.add().features.feature["x"]
        feature.float_list.value.append(1.5)
        return request

    return build


def _multi() -> Any:
    request = message_class("MultiInferenceRequest")()
    task = request.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name = "half"
    request.input.example_list.examples.add().features.feature["x"].bytes_list.value.append(b"a")
    return request


def _named(kind: str, **fields: Any) -> Callable[[], Any]:
    def build() -> Any:
        request = message_class(kind)(**fields)
        if "model_spec" in request.DESCRIPTOR.fields_by_name:
            request.model_spec.name = "half"
        return request

    return build


VALID_CALLS: tuple[tuple[str, Callable[[], Any]], ...] = (
    (f"/{PREDICTION}/Predict", _predict("half", x=np.float32([1, 2]))),
    (f"/{PREDICTION}/Predict", _predict("two", True, a=np.float32([1]), b=np.int64([2]))),
    (f"/{PREDICTION}/Predict", _predict("mlp", features=np.ones((1, 64), np.float32))),
    (f"/{PREDICTION}/Predict", _predict("echo", True, text=np.array([b"a"], object))),
    (f"/{PREDICTION}/Classify", _examples("ClassificationRequest")),
    (f"/{PREDICTION}/Regress", _examples("RegressionRequest")),
    (f"/{PREDICTION}/MultiInference", _multi),
    (
        f"/{PREDICTION}/GetModelMetadata",
        _named("GetModelMetadataRequest", metadata_field=["signature_def"]),
    ),
    (f"/{MODEL}/GetModelStatus", _named("GetModelStatusRequest")),
    (f"/{MODEL}/HandleReloadConfigRequest", _named("ReloadConfigRequest")),
    (f"/{INFERENCE}/ModelInfer", _infer),
    (f"/{INFERENCE}/ModelInfer", _infer_raw),
    (f"/{INFERENCE}/ModelMetadata", _named("inference.ModelMetadataRequest", name="two")),
    (f"/{INFERENCE}/ModelReady", _named("inference.ModelReadyRequest", name="two", version="1")),
    (f"/{INFERENCE}/RepositoryIndex", _named("inference.RepositoryIndexRequest")),
    (f"/{HEALTH}/Check", _named("grpc.health.v1.HealthCheckRequest", service="half")),
)


def _change_somewhere(message: Any, random: Random) -> None:
    """Give one field of the message, or of one within it, another value."""
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return
    there = [field for field, _ in message.ListFields()]
    field = random.choice(there if there and random.random() < 0.7 else fields)
    if random.random() < 0.1:
        message.ClearField(field.name)
    elif _is_map(field):
        _change_map(getattr(message, field.name), field, random)
    elif field.is_repeated:
        _change_list(getattr(message, field.name), field, random)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _change_somewhere(inner, random)
    else:
        setattr(message, field.name, _odd_value(field, random))


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and kind.GetOptions().map_entry


def _change_map(entries: Any, field: Any, random: Random) -> None:
    value = field.message_type.fields_by_name["value"]
    if value.type != FieldDescriptor.TYPE_MESSAGE:
        return
    keys = sorted(entries)
    if keys and random.random() < 0.8:
        key = random.choice(keys)
        if random.random() < 0.15:
            del entries[key]
            return
    else:
        key = random.choice(_ODD_TEXTS)
    _change_somewhere(entries[key], random)


def _change_list(entries: Any, field: Any, random: Random) -> None:
    if entries and random.random() < 0.2:
        del entries[random.randrange(len(entries))]
    elif field.type != FieldDescriptor.TYPE_MESSAGE:
        entries.extend(_odd_value(field, random) for _ in range(random.choice((1, 1, 2, 300))))
    elif entries and random.random() < 0.7:
        _change_somewhere(random.choice(entries), random)
    else:
        _change_somewhere(entries.add(), random)


def _odd_value(field: Any, random: Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random.choice(_ODD_TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random.choice(_ODD_BYTES)
    if field.cpp_type in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return random.choice(_ODD_FLOATS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return random.random() < 0.5
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice([value.number for value in field.enum_type.values])
    low, high = _RANGES[field.cpp_type]
    return random.choice([value for value in _ODD_INTEGERS if low <= value <= high])


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeat(data: bytes, random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data + data[start:]


def _insert(data: bytes, random: Random) -> bytes:
    place = random.randint(0, len(data))
    return (
        data[:place]
        + random.choice((b"\xff" * 11, b"\x0b" * 200, b"\x0a\x7f", b"\x00"))
        + data[place:]
    )


_BYTES_CHANGES = (_flip_bits, _cut, _repeat, _insert)
