from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agiwb.errors import AgiwbError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.http.answering import refuse
from agiwb.serving.http.messages import Request
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.model_changes import ModelChanges
from agiwb.serving.servables.models_config import ModelsFile
from agiwb.serving.servables.policy import All, Specific
from tests.serving.onnx_models import make_artifact


class Served:
    def __init__(self, root: Path):
        for number in (1, 2):
            make_artifact(root / "m" / str(number), "m", addend=float(number))
        make_artifact(root / "other" / "1", "other")
        self.catalogue = Catalogue(load_servable, poll_s=0.1)
        self.catalogue.configure([ModelConfig("m", root / "m", All())])
        self.rollout = Rollout(self.catalogue)
        self.models_file = ModelsFile(root / "models.config")
        for model in self.catalogue.models():
            self.models_file.put(model)
        changes = ModelChanges(self.catalogue, root=root, models_file=self.models_file)
        self.admin = Admin(changes, self.rollout)

    def ask(self, method, path, body=None, who="ann"):
        sent = b"" if body is None else json.dumps(body).encode()
        request = Request(method, f"/admin/v1{path}", "", {}, sent, peer="10.0.0.1")
        try:
            response = asyncio.run(self.admin.handle_admin(request, who))
        except AgiwbError as error:
            response = refuse(error)
        return response.status, json.loads(response.body)


def until_available(catalogue, model, versions):
    end = time.monotonic() + 60
    while catalogue.available(model) != versions:
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def started(root):
    served = Served(root)
    served.catalogue.start()
    try:
        until_available(served.catalogue, "m", (1, 2))
        served.rollout.start()
        yield served
    finally:
        served.rollout.stop()
        served.catalogue.stop()


@pytest.fixture
def served(tmp_path):
    with started(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    with started(tmp_path_factory.mktemp("models")) as served:
        yield served


def test_a_rollout_from_canary_to_promotion_and_back(served):
    body = {"version": 2, "share": 1.0, "guards": {"max_error_rate": 0.01}, "why": "int8"}
    status, state = served.ask("PUT", "/models/m/canary", body)
    assert (status, state["revision"], state["canary"]["share"]) == (200, 1, 1.0)
    assert served.rollout.choose("m", "k", "").variant == "challenger"
    assert served.ask("PUT", "/models/m/shadow", {"version": 2})[0] == 200
    status, described = served.ask("GET", "/models/m/rollout")
    assert (status, described["champion"], described["shadow"]["version"]) == (200, 1, 2)
    assert described["ledger"][0]["who"] == "ann"
    assert described["ledger"][0]["why"] == "int8"
    assert served.ask("POST", "/models/m/promote", {"revision": 2})[0] == 200
    assert served.rollout.choose("m", "k", "").version == 2
    assert served.ask("POST", "/models/m/rollback")[1]["champion"] == 1
    assert served.ask("DELETE", "/models/m/rollout")[1]["champion"] is None


def test_a_decision_upon_an_old_revision_is_a_conflict(served):
    served.ask("PUT", "/models/m/canary", {"version": 2, "share": 0.1})
    status, answer = served.ask("POST", "/models/m/promote", {"revision": 0})
    assert status == 409
    assert "at revision 1, not 0" in answer["error"]


def test_labels_are_set_and_taken_away(served):
    assert served.ask("PUT", "/models/m/labels/stable", {"version": 1})[1] == {
        "labels": {"stable": 1}
    }
    with served.catalogue.lease(ModelSpec("m", label="stable")) as version:
        assert version.number == 1
    assert served.ask("PUT", "/models/m/labels/stable", {"version": 9})[0] == 400
    assert served.ask("DELETE", "/models/m/labels/stable")[1] == {"labels": {}}


def test_models_are_added_and_removed(served):
    body = {"name": "new", "base_path": "other", "policy": {"latest": 1}}
    assert served.ask("POST", "/models", body)[0] == 200
    until_available(served.catalogue, "new", (1,))
    assert served.ask("POST", "/models", body)[0] == 409
    listed = served.ask("GET", "/models")[1]["models"]
    assert [model["name"] for model in listed] == ["m", "new"]
    assert served.ask("GET", "/models/new/rollout")[1]["champion"] == 1
    assert served.ask("DELETE", "/models/new")[0] == 200
    assert served.ask("DELETE", "/models/new")[0] == 404


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", ".", "link", "m/../.."])
def test_models_outside_the_root_are_refused(served, tmp_path, path):
    (tmp_path / "link").symlink_to("/etc")
    status, answer = served.ask("POST", "/models", {"name": "x", "base_path": path})
    assert status == 403
    assert "not below the root" in answer["error"]


def test_of_two_who_add_a_model_one_is_refused(served, monkeypatch):
    look = served.catalogue.models

    def look_slowly():
        models = look()
        time.sleep(0.05)
        return models

    monkeypatch.setattr(served.catalogue, "models", look_slowly)
    body = {"name": "new", "base_path": "other"}
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda _: served.ask("POST", "/models", body), range(2))
        assert sorted(status for status, _ in answers) == [200, 409]


def test_without_a_root_no_model_is_added(served):
    served.admin = Admin(ModelChanges(served.catalogue), served.rollout)
    assert served.ask("POST", "/models", {"name": "x", "base_path": "other"})[0] == 403
    assert served.ask("POST", "/reload")[0] == 400


def test_the_configuration_is_read_again(served):
    served.models_file.put(ModelConfig("other", served.models_file.path.parent / "other"))
    status, answer = served.ask("POST", "/reload")
    assert (status, [model["name"] for model in answer["models"]]) == (200, ["m", "other"])


def test_a_change_survives_a_restart(served):
    assert served.ask("POST", "/models", {"name": "x", "base_path": "other"})[0] == 200
    assert served.ask("PUT", "/models/m/labels/stable", {"version": 1})[0] == 200
    kept = {model.name: model for model in served.models_file.read()}
    assert kept.keys() == {"m", "x"}
    assert kept["m"].labels == {"stable": 1}
    assert served.ask("DELETE", "/models/x")[0] == 200
    assert [model.name for model in served.models_file.read()] == ["m"]


def test_one_more_version_is_loaded_and_none_is_taken_away(served):
    root = served.models_file.path.parent
    served.catalogue.add(ModelConfig("m", root / "m", Specific((1,))))
    until_available(served.catalogue, "m", (1,))
    assert served.ask("POST", "/models/m/versions/2")[0] == 200
    until_available(served.catalogue, "m", (1, 2))
    assert served.rollout.choose("m", "", "any").version == 1  # it is loaded, not promoted
    assert served.ask("GET", "/models/m/versions/2")[0] == 405
    assert served.ask("POST", "/models/no/versions/2")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/models/m/nothing", None, 404),
        ("PATCH", "/models/m/canary", None, 405),
        ("GET", "/models/m/canary", None, 405),
        ("PUT", "/models", None, 405),
        ("GET", "/reload", None, 405),
        ("PUT", "/models/m/canary", {"version": 2}, 400),
        ("PUT", "/models/m/canary", {"version": 2, "share": 1.5}, 400),
        ("PUT", "/models/m/canary", {"version": 2, "share": 0.5, "more": 1}, 400),
        ("PUT", "/models/m/canary", {"version": 2, "share": 0.5, "guards": {"x": 1}}, 400),
        ("PUT", "/models/m/canary", [], 400),
        ("PUT", "/models/m/canary", {"version": 9, "share": 0.5}, 404),
        ("PUT", "/models/nobody/shadow", {"version": 1}, 404),
        ("POST", "/models/m/promote", None, 400),
        ("POST", "/models", {"name": "a/b", "base_path": "other"}, 400),
        ("POST", "/models", {"name": "a", "base_path": "missing"}, 404),
        ("POST", "/models", {"name": "a", "base_path": "a\0b"}, 400),
        ("POST", "/models", {"name": "a", "base_path": "a" * 300}, 400),
        ("POST", "/models/m/promote", {"version": 10**30}, 400),
    ],
)
def test_what_is_wrong_is_answered_as_an_error(unchanged, method, path, body, status):
    found, answer = unchanged.ask(method, path, body)
    assert found == status
    assert set(answer) == {"error"}
    assert answer["error"]


def test_every_request_leaves_an_audit_line(served, caplog):
    caplog.set_level(logging.INFO, "agiwb.audit")
    served.ask("POST", "/models/m/promote", {"version": 1, "why": "tested"})
    served.ask("POST", "/models/m/promote", {"version": 7}, who="")
    lines = [
        json.loads(record.message) for record in caplog.records if record.name == "agiwb.audit"
    ]
    assert [(line["who"], line["status"]) for line in lines] == [("ann", 200), ("10.0.0.1", 404)]
    assert lines[0]["method"] == "POST"
    assert lines[0]["path"] == "/admin/v1/models/m/promote"
    assert json.loads(lines[0]["body"]) == {"version": 1, "why": "tested"}
    assert "not available" in lines[1]["error"]
