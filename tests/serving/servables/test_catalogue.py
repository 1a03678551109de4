from __future__ import annotations

import shutil
import threading
import time

import pytest

from agiwb.artifacts.manifest import read_artifact, write_artifact
from agiwb.errors import InputError
from agiwb.serving.exchange import ModelSpec
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig, State
from agiwb.serving.servables.loader import load_servable
from agiwb.serving.servables.policy import All, Latest, Specific, preserve_resources
from agiwb.serving.status import Code, Refusal
from tests.serving.onnx_models import make_artifact, write_half_plus_two
from tests.serving.servables.watched import (
    WatchedLoader,
    add_version,
    answer,
    eventually,
    running,
    states,
)

LATEST = ModelSpec("m")


@pytest.fixture
def base_path(tmp_path):
    path = tmp_path / "models" / "m"
    path.mkdir(parents=True)
    return path


def test_the_latest_version_answers_and_the_next_takes_over(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        assert answer(catalogue, LATEST) == (1, 2.0)
        add_version(base_path, 2)
        assert eventually(lambda: answer(catalogue, LATEST) == (2, 3.0))
        assert eventually(lambda: states(catalogue) == {2: State.AVAILABLE, 1: State.END})
        assert catalogue.available("m") == (2,)
    assert [servable.closed for servable in load.servables] == [1, 1]


def test_loads_have_a_thread_of_their_own_one_at_a_time(base_path):
    for number in (1, 2, 3):
        add_version(base_path, number)
    load = WatchedLoader(slow_s=0.02)
    with running(load, ModelConfig("m", base_path, All())) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (1, 2, 3))
        assert answer(catalogue, ModelSpec("m", 2)) == (2, 3.0)
    assert sorted(load.loads) == [("m", 1), ("m", 2), ("m", 3)]
    assert load.most_at_once == 1
    assert load.threads == {"model-loader-0"}


def test_a_version_is_available_only_when_loaded_and_the_old_one_answers_until_then(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        load.gate.clear()
        add_version(base_path, 2)
        assert eventually(lambda: states(catalogue).get(2) is State.LOADING)
        with pytest.raises(Refusal, match=r"Specific\(m, 2\)"):
            answer(catalogue, ModelSpec("m", 2))
        assert answer(catalogue, LATEST)[0] == 1
        load.gate.set()
        assert eventually(lambda: catalogue.available("m") == (2,))


def test_an_unload_waits_for_the_last_lease(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        with catalogue.lease(LATEST) as version:
            add_version(base_path, 2)
            assert eventually(lambda: states(catalogue).get(1) is State.UNLOADING)
            assert catalogue.available("m") == (2,)
            assert version.servable.closed == 0
        assert eventually(lambda: states(catalogue)[1] is State.END)
        assert load.servables[0].closed == 1


def test_a_corrupt_version_is_tried_again_told_and_takes_no_good_one_down(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path), retries=2) as catalogue:
        assert catalogue.wait_until_ready(60)
        (base_path / "2").mkdir()
        (base_path / "2" / "model.onnx").write_bytes(b"not a model")
        assert eventually(lambda: states(catalogue).get(2) is State.END)
        assert load.loads.count(("m", 2)) == 3
        (status,) = catalogue.status(ModelSpec("m", 2))
        assert status.code is Code.INVALID_ARGUMENT
        assert "cannot be run as an ONNX model" in status.message
        assert str(base_path) not in status.message
        assert answer(catalogue, LATEST)[0] == 1
        write_half_plus_two(base_path / "2", 2.0)
        assert eventually(lambda: catalogue.available("m") == (2,))
        assert catalogue.status(ModelSpec("m", 2))[0].code is Code.OK


def test_other_files_are_loaded_at_once_however_long_the_wait_for_a_retry(base_path):
    (base_path / "1").mkdir()
    (base_path / "1" / "model.onnx").write_bytes(b"not a model")
    with running(WatchedLoader(), ModelConfig("m", base_path), retry_wait_s=3600) as catalogue:
        assert not catalogue.wait_until_ready(60)
        assert states(catalogue) == {1: State.LOADING}
        write_half_plus_two(base_path / "1")
        assert eventually(lambda: catalogue.available("m") == (1,))


def test_a_version_being_copied_is_left_alone(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path), poll_s=0.5) as catalogue:
        assert catalogue.wait_until_ready(60)
        whole = (base_path / "1" / "model.onnx").read_bytes()
        (base_path / "2").mkdir()
        with (base_path / "2" / "model.onnx").open("wb", buffering=0) as copy:
            for start in range(0, len(whole), 1 + len(whole) // 10):
                copy.write(whole[start : start + 1 + len(whole) // 10])
                time.sleep(0.07)
        assert ("m", 2) not in load.loads
        assert eventually(lambda: catalogue.available("m") == (2,))
    assert load.loads == [("m", 1), ("m", 2)]


def test_a_damaged_version_with_a_manifest_is_told_and_never_answers(base_path):
    make_artifact(base_path / "1")
    make_artifact(base_path / "2", addend=3.0)
    shutil.copy(base_path / "1" / "model.onnx", base_path / "2" / "model.onnx")
    models = ModelConfig("m", base_path, All())
    with running(load_servable, models, retries=0) as catalogue:
        assert eventually(lambda: states(catalogue).get(2) is State.END)
        assert catalogue.wait_until_ready(60)
        (status,) = catalogue.status(ModelSpec("m", 2))
        assert status.code is Code.DATA_LOSS
        with catalogue.lease(LATEST) as version:
            assert (version.number, version.classes) == (1, ("y",))


def test_the_status_tells_of_a_divergence_that_was_allowed(base_path):
    folder = make_artifact(base_path / "1")
    allowed = ("onnx: the probabilities differ by 0.2.",)
    manifest = read_artifact(folder).model_copy(update={"divergence": allowed})
    write_artifact(folder, manifest)
    with running(load_servable, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        (status,) = catalogue.status(LATEST)
        assert (status.state, status.code) == (State.AVAILABLE, Code.OK)
        assert status.message == f"Diverges from its model. {allowed[0]}"
        catalogue.remove("m")
        assert eventually(lambda: not catalogue.available("m"))


def test_a_link_out_of_the_base_path_is_not_followed(base_path, tmp_path):
    (base_path / "1").symlink_to(write_half_plus_two(tmp_path / "elsewhere"))
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path), retries=0) as catalogue:
        assert not catalogue.wait_until_ready(60)
        (status,) = catalogue.status(LATEST)
        assert (status.state, status.code) == (State.END, Code.PERMISSION_DENIED)
    assert load.loads == []


def test_models_that_are_missing_or_broken_do_not_block_others(base_path, tmp_path):
    add_version(base_path, 1)
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "model.onnx").write_bytes(b"not a model")
    names = ("missing", "broken", "models/m")
    models = [ModelConfig(name[-7:].replace("/", ""), tmp_path / name) for name in names]
    with running(WatchedLoader(), *models, retry_wait_s=3600) as catalogue:
        began = time.monotonic()
        assert not catalogue.wait_until_ready(60)
        assert time.monotonic() - began < 30
        assert eventually(lambda: catalogue.available(models[2].name) == (1,))
        with pytest.raises(Refusal, match="Could not find any versions of model missing"):
            catalogue.status(ModelSpec("missing"))


@pytest.mark.parametrize("gone", ["the versions", "the base path"])
def test_versions_that_are_deleted_disappear(base_path, gone):
    version = add_version(base_path, 1)
    with running(WatchedLoader(), ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        shutil.rmtree(version if gone == "the versions" else base_path)
        assert eventually(lambda: states(catalogue) == {1: State.END})
        with pytest.raises(Refusal, match=r"Servable not found for request: Latest\(m\)"):
            answer(catalogue, LATEST)


def test_versions_that_are_always_present_stay(base_path):
    add_version(base_path, 1)
    with running(WatchedLoader(), ModelConfig("m", base_path), always_present=True) as catalogue:
        assert catalogue.wait_until_ready(60)
        shutil.rmtree(base_path)
        time.sleep(0.1)
        assert answer(catalogue, LATEST)[0] == 1
        add_version(base_path, 2)
        assert eventually(lambda: catalogue.available("m") == (2,))


def test_a_preferred_version_is_given_while_it_is_available(base_path):
    for number in (1, 2):
        add_version(base_path, number)
    with running(WatchedLoader(), ModelConfig("m", base_path, All())) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (1, 2))
        for spec, preferred, given in [
            (LATEST, 1, 1),
            (LATEST, 9, 2),
            (ModelSpec("m", 2), 1, 2),
        ]:
            with catalogue.lease(spec, preferred) as version:
                assert version.number == given


def test_policies_can_change_while_serving(base_path):
    for number in (1, 2, 3):
        add_version(base_path, number)
    with running(WatchedLoader(), ModelConfig("m", base_path)) as catalogue:
        assert eventually(lambda: catalogue.available("m") == (3,))
        catalogue.configure([ModelConfig("m", base_path, Specific((1, 2)))])
        assert eventually(lambda: catalogue.available("m") == (1, 2))
        catalogue.configure([ModelConfig("m", base_path, Latest(2))])
        assert eventually(lambda: catalogue.available("m") == (2, 3))


def test_one_model_is_added_and_removed_without_the_others(base_path, tmp_path):
    add_version(base_path, 1)
    add_version(tmp_path / "models" / "other", 7)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        catalogue.add(ModelConfig("other", tmp_path / "models" / "other"))
        assert catalogue.wait_until_ready(60)
        assert answer(catalogue, ModelSpec("other")) == (7, 8.0)
        assert [model.name for model in catalogue.models()] == ["m", "other"]
        catalogue.remove("m")
        assert eventually(lambda: load.servables[0].closed == 1)
        assert [model.name for model in catalogue.models()] == ["other"]
        with pytest.raises(Refusal, match="Could not find any versions of model m"):
            catalogue.remove("m")
        catalogue.add(ModelConfig("m", base_path))
        assert eventually(lambda: catalogue.available("m") == (1,))
    assert load.loads == [("m", 1), ("other", 7), ("m", 1)]


class _InterruptedPolicy(Latest):
    """Calls ``interrupt`` once, in the middle of a look at the base path."""

    interrupt = None

    def choose(self, numbers):
        interrupt, type(self).interrupt = type(self).interrupt, None
        if interrupt is not None:
            interrupt()
        return super().choose(numbers)


@pytest.mark.parametrize("poll_s", [0.02, 0])
def test_a_model_may_be_removed_while_its_folders_are_looked_at(base_path, poll_s):
    add_version(base_path, 1)
    load = WatchedLoader()
    model = ModelConfig("m", base_path, _InterruptedPolicy())
    with running(load, model, poll_s=poll_s) as catalogue:
        assert catalogue.wait_until_ready(60)
        catalogue.remove("m")
        assert eventually(lambda: load.servables[0].closed == 1)
        _InterruptedPolicy.interrupt = lambda: catalogue.remove("m")
        catalogue.add(model)
        assert eventually(lambda: _InterruptedPolicy.interrupt is None)
        assert catalogue.wait_until_ready(60)
        assert eventually(lambda: states(catalogue) == {})
        assert all(servable.closed == 1 for servable in load.servables)
        assert catalogue.models() == ()
        catalogue.add(model)
        assert eventually(lambda: catalogue.available("m") == (1,))


def test_a_model_may_be_removed_while_it_answers_and_is_looked_at(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    model = ModelConfig("m", base_path, _InterruptedPolicy())
    with running(load, model) as catalogue:
        assert catalogue.wait_until_ready(60)
        _InterruptedPolicy.interrupt = lambda: catalogue.remove("m")
        assert eventually(lambda: load.servables[0].closed == 1)
        assert catalogue.models() == ()


def test_a_policy_that_preserves_resources_unloads_before_it_loads(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    seen = []
    options = {"rule": preserve_resources, "on_change": lambda *change: seen.append(change[1:])}
    with running(load, ModelConfig("m", base_path), **options) as catalogue:
        assert catalogue.wait_until_ready(60)
        add_version(base_path, 2)
        assert eventually(lambda: catalogue.available("m") == (2,))
        assert eventually(lambda: (2, State.AVAILABLE) in seen)
    assert seen.index((1, State.END)) < seen.index((2, State.LOADING))


def test_each_change_is_told_once_in_order_and_a_bad_listener_harms_nobody(base_path):
    add_version(base_path, 1)
    seen = []

    def listen(name, number, state):
        seen.append((name, number, state))
        raise ValueError

    with running(WatchedLoader(), ModelConfig("m", base_path), on_change=listen) as catalogue:
        assert catalogue.wait_until_ready(60)
    assert eventually(lambda: len(seen) == 5)
    assert seen == [("m", 1, state) for state in State]


def test_what_is_not_there_is_told_in_tensorflow_servings_words(base_path):
    add_version(base_path, 1)
    with running(WatchedLoader(), ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        for spec, problem in {
            ModelSpec("x"): "Servable not found for request: Latest(x)",
            ModelSpec("m", 5): "Servable not found for request: Specific(m, 5)",
        }.items():
            with pytest.raises(Refusal) as refused, catalogue.lease(spec):
                pass
            assert (refused.value.problem, refused.value.code) == (problem, Code.NOT_FOUND)
        for spec, problem in {
            ModelSpec("x"): "Could not find any versions of model x",
            ModelSpec("m", 5): "Could not find version 5 of model m",
        }.items():
            with pytest.raises(Refusal) as refused:
                catalogue.status(spec)
            assert (refused.value.problem, refused.value.code) == (problem, Code.NOT_FOUND)


def test_a_name_listed_twice_or_unfit_is_refused_and_nothing_changes(base_path):
    add_version(base_path, 1)
    model = ModelConfig("m", base_path)
    with running(WatchedLoader(), model) as catalogue:
        with pytest.raises(Refusal) as refused:
            catalogue.configure([model, model])
        assert refused.value.problem == "Illegal to list model m multiple times in config list"
        with pytest.raises(InputError, match="does not fit in a URL"):
            catalogue.add(ModelConfig("a/b", base_path))
        assert catalogue.models() == (model,)


def test_a_poll_of_zero_looks_once_at_each_configuration(base_path):
    add_version(base_path, 1)
    with running(WatchedLoader(), ModelConfig("m", base_path), poll_s=0) as catalogue:
        assert catalogue.wait_until_ready(60)
        add_version(base_path, 2)
        time.sleep(0.1)
        assert catalogue.available("m") == (1,)
        catalogue.configure([ModelConfig("m", base_path, All())])
        assert eventually(lambda: catalogue.available("m") == (1, 2))


def test_stopping_waits_for_leases_but_not_for_ever(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert catalogue.wait_until_ready(60)
        with catalogue.lease(LATEST):
            catalogue.stop(drain_s=0.1)
            assert load.servables[0].closed == 0
            with pytest.raises(Refusal):
                answer(catalogue, LATEST)
        assert eventually(lambda: load.servables[0].closed == 1)


def test_a_load_that_ends_after_the_stop_is_closed_again(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    load.gate.clear()
    with running(load, ModelConfig("m", base_path)) as catalogue:
        assert eventually(lambda: load.loads == [("m", 1)])
        catalogue.stop(drain_s=0.05)
        load.gate.set()
        assert eventually(lambda: bool(load.servables) and load.servables[0].closed == 1)
        assert catalogue.available("m") == ()


def test_who_waits_for_a_catalogue_to_be_ready_learns_of_its_stop(base_path):
    add_version(base_path, 1)
    load = WatchedLoader()
    load.gate.clear()
    ready = []
    with running(load, ModelConfig("m", base_path)) as catalogue:
        waiting = threading.Thread(target=lambda: ready.append(catalogue.wait_until_ready(60)))
        waiting.start()
        assert eventually(lambda: load.loads == [("m", 1)])
        catalogue.stop(drain_s=0)
        waiting.join(60)
        assert ready == [False]
        load.gate.set()
    assert eventually(lambda: [servable.closed for servable in load.servables] == [1])


def test_a_catalogue_that_was_never_started_can_be_stopped():
    Catalogue(WatchedLoader()).stop(drain_s=0.1)
