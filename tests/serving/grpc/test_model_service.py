from __future__ import annotations

import json
import logging
import time

import grpc
import numpy as np
import pytest

from agiwb.serving.access.gate import Gate
from agiwb.serving.protobuf.messages import enum_numbers, message_class
from agiwb.serving.servables.models_config import ModelsFile
from tests.serving.grpc.grpc_client import (
    HEALTH,
    MODEL,
    model,
    outputs_of,
    predict_request,
    serving,
)
from tests.serving.onnx_models import write_half_plus_two

STATES = enum_numbers("tensorflow.serving.ModelVersionStatus.State")
SERVING_STATUS = enum_numbers("grpc.health.v1.HealthCheckResponse.ServingStatus")


@pytest.fixture
def folder(tmp_path):
    write_half_plus_two(tmp_path / "half" / "1")
    write_half_plus_two(tmp_path / "three" / "1", addend=3)
    return tmp_path


def status(served, name, version=None):
    request = message_class("GetModelStatusRequest")()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return served.call(MODEL, "GetModelStatus", request, "GetModelStatusResponse")


def health(served, name=""):
    request = message_class("grpc.health.v1.HealthCheckRequest")(service=name)
    response = served.call(HEALTH, "Check", request, "grpc.health.v1.HealthCheckResponse")
    return response.status


def reload_request(folder, *names):
    request = message_class("ReloadConfigRequest")()
    request.config.model_config_list.SetInParent()
    for name in names:
        request.config.model_config_list.config.add(
            name=name, base_path=str(folder / name), model_platform="tensorflow"
        )
    return request


def reload(served, request):
    return served.call(MODEL, "HandleReloadConfigRequest", request, "ReloadConfigResponse")


def test_the_status_tells_every_version(folder):
    with serving([model("half", folder / "half")]) as served:
        (one,) = status(served, "half").model_version_status
        assert (one.version, one.state) == (1, STATES["AVAILABLE"])
        assert one.HasField("status")
        assert one.status.error_code == 0
        assert len(status(served, "half", 1).model_version_status) == 1
        for arguments, words in [
            (("x",), "Could not find any versions of model x"),
            (("half", 5), "Could not find version 5 of model half"),
        ]:
            with pytest.raises(grpc.RpcError) as error:
                status(served, *arguments)
            assert error.value.code() is grpc.StatusCode.NOT_FOUND
            assert error.value.details().startswith(words)
        empty = message_class("GetModelStatusRequest")()
        with pytest.raises(grpc.RpcError, match="Missing ModelSpec"):
            served.call(MODEL, "GetModelStatus", empty, "GetModelStatusResponse")


def test_a_new_list_replaces_the_whole_one(folder):
    with serving([model("half", folder / "half")], admin=True, root=folder) as served:
        request = reload_request(folder, "three")
        request.metric_names.append("/tensorflow/serving/request_count")
        response = reload(served, request)
        assert response.status.error_code == 0
        assert [metric.name for metric in response.metric] == ["/tensorflow/serving/request_count"]
        wait_for(lambda: served.engine.catalogue.available("three"))
        answer = served.predict(predict_request("three", x=np.float32([2])))
        assert outputs_of(answer) == {"y": [4.0]}
        with pytest.raises(grpc.RpcError, match=r"Latest\(half\)"):
            served.predict(predict_request("half", x=np.float32([2])))


def test_a_list_that_cannot_be_served_changes_nothing(folder):
    with serving([model("half", folder / "half")], admin=True, root=folder) as served:
        for request, words in [
            (reload_request(folder, "three", "three"), "multiple times"),
            (message_class("ReloadConfigRequest")(), "ServerModelConfig type not supported"),
        ]:
            with pytest.raises(grpc.RpcError) as error:
                reload(served, request)
            assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert words in error.value.details()
        assert served.engine.catalogue.available("half") == (1,)


def test_without_admin_the_list_stays(folder):
    with serving([model("half", folder / "half")]) as served:
        with pytest.raises(grpc.RpcError) as error:
            reload(served, reload_request(folder, "three"))
        assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert served.engine.catalogue.available("half") == (1,)


def test_a_new_list_stays_within_the_root_and_what_is_served(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_half_plus_two(elsewhere / "three" / "1")
    (folder / "link").symlink_to(elsewhere)
    for root, outside in (None, folder), (folder, elsewhere), (folder, folder / "link"):
        with serving([model("half", folder / "half")], admin=True, root=root) as served:
            with pytest.raises(grpc.RpcError) as error:
                reload(served, reload_request(outside, "half", "three"))
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
            reload(served, reload_request(folder, "half"))
            assert [config.name for config in served.engine.catalogue.models()] == ["half"]


def test_a_new_list_is_audited_and_written_into_the_configuration(folder, caplog):
    caplog.set_level(logging.INFO, "agiwb.audit")
    models_file = ModelsFile(folder / "models.config")
    models = [model("half", folder / "half")]
    models_file.put(models[0])
    with serving(models, admin=True, root=folder, models_file=models_file) as served:
        reload(served, reload_request(folder, "three"))
        with pytest.raises(grpc.RpcError):
            reload(served, reload_request(folder / "..", "three"))
        assert models_file.read() == served.engine.catalogue.models()
    assert [config.name for config in models_file.read()] == ["three"]
    lines = [
        json.loads(record.message) for record in caplog.records if record.name == "agiwb.audit"
    ]
    assert [(line["who"], line["peer"], line["status"]) for line in lines] == [
        ("anyone", "127.0.0.1", 200),
        ("anyone", "127.0.0.1", 403),
    ]
    assert lines[0]["path"] == "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    assert str(folder / "three") in lines[0]["body"]
    assert "not below the root" in lines[1]["error"]


def test_where_there_is_an_operator_nobody_else_administers(folder):
    options = {"admin": True, "root": folder, "gate": Gate(operator_key="secret")}
    with serving([model("half", folder / "half")], **options) as served:
        arguments = (MODEL, "HandleReloadConfigRequest", reload_request(folder, "three"))
        for metadata in [], [("x-api-key", "wrong")]:
            with pytest.raises(grpc.RpcError) as error:
                served.call(*arguments, "ReloadConfigResponse", metadata=metadata)
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert served.engine.catalogue.available("half") == (1,)
        key = [("x-api-key", "secret")]
        served.call(*arguments, "ReloadConfigResponse", metadata=key)
        wait_for(lambda: served.engine.catalogue.available("three"))


def test_health_follows_the_catalogue(folder):
    with serving([model("half", folder / "half")]) as served:
        for name in ("", "ModelService", "PredictionService", "half"):
            assert health(served, name) == SERVING_STATUS["SERVING"]
        with pytest.raises(grpc.RpcError) as error:
            health(served, "other")
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        served.engine.catalogue.add(model("late", folder / "late"))
        assert health(served, "late") == SERVING_STATUS["NOT_SERVING"]
        assert health(served) == SERVING_STATUS["NOT_SERVING"]
        assert health(served, "half") == SERVING_STATUS["SERVING"]
        write_half_plus_two(folder / "late" / "1")
        wait_for(lambda: served.engine.catalogue.available("late"))
        assert health(served) == SERVING_STATUS["SERVING"]


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
