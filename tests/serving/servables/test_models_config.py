from __future__ import annotations

import time
from pathlib import Path

import pytest

from agiwb.errors import ConfigError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.model_config import ModelConfig
from agiwb.serving.servables.models_config import (
    ModelsFile,
    ModelsFileWatch,
)
from agiwb.serving.servables.models_message import fill_entry, models_of
from agiwb.serving.servables.policy import All, Latest, Specific
from agiwb.serving.status import Refusal
from tests.serving.servables.watched import WatchedLoader, add_version, answer, eventually, running

TEXT = """\
# config { name: "a comment" }
model_config_list {
  config {
    name: "half_plus_two"
    base_path: "/models/config { half"
    model_platform: "tensorflow"
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 43 }
    version_labels { key: 'canary' value: 42 }
    logging_config { sampling_config { sampling_rate: 0.5 } }
  }
  config: { name: "all", base_path: "/models/all", model_platform: "tensorflow",
            model_version_policy: { all: {} } },
  config {
    name: "latest"
    base_path: "/models/latest"
    model_version_policy { latest { num_versions: 3 } }
  }
  config { name: "plain" base_path: "/models/plain" }
}
"""


def _model(path, name="plain", **fields):
    return ModelConfig(name, path / "models" / name, **fields)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "models.config").write_text(TEXT)
    return ModelsFile(tmp_path / "models.config")


def test_names_policies_and_labels_are_read(file):
    half, everything, latest, plain = file.read()
    assert half.policy == Specific((42, 43))
    assert half.labels == {"stable": 43, "canary": 42}
    assert str(half.base_path) == "/models/config { half"
    assert everything.policy == All()
    assert latest.policy == Latest(3)
    assert (plain.policy, plain.labels) == (Latest(1), {})


def test_an_empty_file_lists_no_models(file):
    file.path.write_text("")
    assert file.read() == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "improperly formatted file",
            r"Error parsing text-format tensorflow\.serving\.ModelServerConfig.*models\.config.*1:",
        ),
        ("model_config_list {\n  config {\n    nmae: 'm'\n", r"models\.config.*3:5"),
        (TEXT.replace('"/models/latest"', '"latest"'), r"models\.config:14: Expected model latest"),
        (TEXT.replace('"plain"', '"all"'), r"models\.config:19: Illegal to list model all multi"),
        (TEXT.replace('"plain"', '"a b"'), r"models\.config:19: The name 'a b' does not fit"),
        (TEXT.replace('"/models/all"', '"gs://b/all"'), r"models\.config:12: Expected model all"),
        (TEXT.replace("'canary'", "'a/b'"), r"models\.config:3: The label 'a/b'"),
        (
            'custom_model_config { type_url: "x/y" }',
            r"models\.config: The field custom_model_config of ModelServerConfig is not supported",
        ),
    ],
)
def test_errors_name_the_file_and_the_line(file, text, message):
    file.path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        file.read()


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.config cannot be read"):
        ModelsFile(tmp_path / "none.config").read()


def test_one_model_is_put_in_and_taken_out_and_the_rest_stays(file, tmp_path):
    before = file.read()
    added = _model(tmp_path, "added", policy=Latest(2), labels={"stable": 1})
    file.put(added)
    assert file.read() == (*before, added)
    changed = ModelConfig(before[0].name, before[0].base_path, All(), {"stable": 42})
    file.put(changed)
    assert file.read() == (changed, *before[1:], added)
    assert "sampling_rate: 0.5" in file.path.read_text()
    file.drop("all")
    file.drop("never there")
    assert file.read() == (changed, *before[2:], added)
    assert [path.name for path in tmp_path.iterdir()] == ["models.config"]


def test_a_file_is_made_where_there_is_none(tmp_path):
    file = ModelsFile(tmp_path / "new" / "models.config")
    file.put(_model(tmp_path))
    assert file.read() == (_model(tmp_path),)
    assert 'model_platform: "tensorflow"' in file.path.read_text()


def test_a_file_that_is_wrong_is_not_overwritten(file, tmp_path):
    file.path.write_text("half written {")
    with pytest.raises(ConfigError):
        file.put(_model(tmp_path))
    assert file.path.read_text() == "half written {"


@pytest.mark.parametrize("policy", [Latest(1), Latest(4), All(), Specific((1, 5)), Specific(())])
def test_a_message_keeps_what_is_served(tmp_path, policy):
    model = _model(tmp_path, policy=policy, labels={"stable": 2**63 - 1})
    message = message_class("ModelServerConfig")()
    fill_entry(message.model_config_list.config.add(), model)
    read = message_class("ModelServerConfig").FromString(message.SerializeToString())
    assert models_of(read) == (model,)


def test_a_message_without_an_absolute_path_is_refused_in_tensorflow_servings_words():
    message = message_class("ModelServerConfig")()
    message.model_config_list.config.add(name="m", base_path="models/m")
    with pytest.raises(Refusal) as refused:
        models_of(message)
    assert refused.value.problem == (
        "Expected model m to have an absolute path or URI; got base_path()=models/m"
    )


def test_a_changed_file_is_served_and_a_wrong_one_changes_nothing(tmp_path, caplog):
    for name, number in (("one", 1), ("two", 2)):
        add_version(tmp_path / "models" / name, number)
    file = ModelsFile(tmp_path / "models.config")
    file.put(_model(tmp_path, "one"))
    with running(WatchedLoader()) as catalogue:
        watch = ModelsFileWatch(file, catalogue.configure, poll_s=0.02)
        watch.start()
        try:
            assert catalogue.wait_until_ready(60)
            assert answer(catalogue, ModelSpec("one"))[0] == 1
            file.path.write_text("model_config_list {")
            assert eventually(lambda: "The models stay as they are" in caplog.text)
            assert answer(catalogue, ModelSpec("one"))[0] == 1
            file.path.unlink()
            file.put(_model(tmp_path, "two"))
            assert eventually(lambda: catalogue.available("two") == (2,))
            assert eventually(lambda: catalogue.available("one") == ())
            assert caplog.text.count("The models stay as they are: Error parsing") == 1
        finally:
            watch.stop()


def test_a_file_that_is_being_written_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("agiwb.serving.servables.models_config._REST_S", 1.0)
    given = []
    file = ModelsFile(tmp_path / "models.config")
    file.put(_model(tmp_path, "one"))
    whole = file.path.read_text()
    watch = ModelsFileWatch(file, given.append, poll_s=0.02)
    watch.start()
    try:
        file.path.write_text("")  # as an editor does before it writes
        time.sleep(0.2)
        file.path.write_text(whole.replace("one", "two"))
        assert eventually(lambda: len(given) > 1)
    finally:
        watch.stop()
    assert [[model.name for model in models] for models in given] == [["one"], ["two"]]


def test_a_label_and_its_version_may_come_in_one_edit(tmp_path):
    add_version(tmp_path / "models" / "plain", 1)
    file = ModelsFile(tmp_path / "models.config")
    file.put(_model(tmp_path, policy=Specific((1,)), labels={"stable": 1}))
    with running(WatchedLoader()) as catalogue:
        watch = ModelsFileWatch(file, catalogue.configure, poll_s=0.02)
        watch.start()
        try:
            assert catalogue.wait_until_ready(60)
            add_version(tmp_path / "models" / "plain", 2)
            file.put(_model(tmp_path, policy=All(), labels={"stable": 1, "canary": 2}))
            assert eventually(lambda: catalogue.labels("plain") == {"stable": 1, "canary": 2})
        finally:
            watch.stop()


def test_with_a_poll_of_zero_the_file_is_read_once(tmp_path):
    given = []
    file = ModelsFile(tmp_path / "models.config")
    file.put(_model(tmp_path))
    watch = ModelsFileWatch(file, given.append, poll_s=0)
    watch.start()
    file.drop("plain")
    time.sleep(0.05)
    watch.stop()
    assert given == [(_model(tmp_path),)]


def test_a_wrong_file_stops_the_start(file):
    file.path.write_text("{")
    with pytest.raises(ConfigError):
        ModelsFileWatch(file, lambda _: None, poll_s=1).start()


def test_a_whole_list_is_written_and_keeps_fields_that_are_not_used_here(tmp_path):
    file = ModelsFile(tmp_path / "models.config")
    file.path.write_text(
        'model_config_list { config { name: "a" base_path: "/m/a" logging_config {'
        ' sampling_config { sampling_rate: 0.5 } } } config { name: "b" base_path: "/m/b" } }'
    )
    models = (ModelConfig("c", Path("/m/c")), ModelConfig("a", Path("/m/new"), labels={"x": 1}))
    file.replace_all(models)
    assert file.read() == models
    assert "sampling_rate: 0.5" in file.path.read_text()
    file.replace_all([])
    assert file.read() == ()
