from __future__ import annotations

import pytest

from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import ModelConfig
from agiwb.serving.servables.policy import All, Latest
from agiwb.serving.status import Code, Refusal
from tests.serving.servables.watched import WatchedLoader, add_version, answer, eventually, running


@pytest.fixture
def base_path(tmp_path):
    for number in (1, 2):
        add_version(tmp_path / "m", number)
    return tmp_path / "m"


def _unavailable(version):
    return (
        f"Request to assign label to version {version} of model m, "
        "which is not currently available for inference"
    )


def test_a_label_names_a_version_and_moves(base_path):
    with running(WatchedLoader(), ModelConfig("m", base_path, All())) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (1, 2))
        catalogue.set_label("m", "stable", 1)
        assert answer(catalogue, ModelSpec("m", label="stable"))[0] == 1
        catalogue.set_label("m", "stable", 2)
        assert answer(catalogue, ModelSpec("m", label="stable"))[0] == 2
        assert catalogue.labels("m") == {"stable": 2}
        catalogue.set_label("m", "stable", None)
        with pytest.raises(Refusal) as refused, catalogue.lease(ModelSpec("m", label="stable")):
            pass
        assert refused.value.problem == "Unrecognized servable version label: stable"
        assert refused.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("allowed", [False, True])
def test_a_label_in_use_moves_only_to_a_loaded_version(base_path, allowed):
    models = ModelConfig("m", base_path, All())
    options = {"allow_labels_for_unavailable": allowed}
    with running(WatchedLoader(), models, **options) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (1, 2))
        catalogue.set_label("m", "stable", 1)
        with pytest.raises(Refusal) as refused:
            catalogue.set_label("m", "stable", 3)
        assert (refused.value.problem, refused.value.code) == (
            _unavailable(3),
            Code.FAILED_PRECONDITION,
        )
        assert catalogue.labels("m") == {"stable": 1}


def test_a_new_label_may_point_at_what_is_unavailable_only_if_that_is_allowed(base_path):
    model = ModelConfig("m", base_path)
    with running(WatchedLoader(), model) as strict:
        assert strict.wait_until_ready(60)
        with pytest.raises(Refusal, match="which is not currently available"):
            strict.set_label("m", "canary", 3)
    with running(WatchedLoader(), model, allow_labels_for_unavailable=True) as lenient:
        assert lenient.wait_until_ready(60)
        lenient.set_label("m", "canary", 3)
        with pytest.raises(Refusal) as refused, lenient.lease(ModelSpec("m", label="canary")):
            pass
        assert refused.value.problem == "Servable not found for request: Specific(m, 3)"


def test_the_labels_of_a_configuration_come_with_their_versions(base_path):
    load = WatchedLoader()
    load.gate.clear()
    model = ModelConfig("m", base_path, labels={"stable": 2, "canary": 3})
    with running(load, model) as catalogue:
        assert eventually(lambda: bool(load.loads))
        with pytest.raises(Refusal, match="Unrecognized servable version label: stable"):
            answer(catalogue, ModelSpec("m", label="stable"))
        catalogue.configure([model])
        load.gate.set()
        assert catalogue.wait_until_ready(60)
        assert answer(catalogue, ModelSpec("m", label="stable"))[0] == 2
        assert catalogue.labels("m") == {"stable": 2}
        assert catalogue.models() == (model,)
        add_version(base_path, 3)
        assert eventually(lambda: catalogue.labels("m") == {"stable": 2, "canary": 3})


def test_a_reload_changes_all_labels_or_none(base_path):
    model = ModelConfig("m", base_path, All(), {"stable": 1})
    with running(WatchedLoader(), model) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (1, 2))
        bad = ModelConfig("m", base_path, Latest(2), {"stable": 2, "canary": 9})
        with pytest.raises(Refusal) as refused:
            catalogue.configure([bad])
        assert refused.value.problem == _unavailable(9)
        assert catalogue.labels("m") == {"stable": 1}
        assert catalogue.models()[0].policy == Latest(2)
        catalogue.configure([ModelConfig("m", base_path, Latest(2), {"canary": 2})])
        assert catalogue.labels("m") == {"canary": 2}


@pytest.mark.parametrize("label", ["", "a/b", "a:b"])
def test_a_label_that_does_not_fit_in_a_url_is_refused(base_path, label):
    with running(WatchedLoader(), ModelConfig("m", base_path)) as catalogue:
        with pytest.raises(Refusal, match="does not fit in a URL"):
            catalogue.set_label("m", label, 1)
        with pytest.raises(Refusal, match="does not fit in a URL"):
            catalogue.configure([ModelConfig("m", base_path, labels={label: 1})])


def test_a_label_of_no_model_is_refused(base_path):
    with (
        running(WatchedLoader(), ModelConfig("m", base_path)) as catalogue,
        pytest.raises(Refusal, match="Could not find any versions of model x"),
    ):
        catalogue.set_label("x", "stable", 1)
