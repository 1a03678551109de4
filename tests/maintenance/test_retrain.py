"""Retraining: a champion that was compressed, or searched for, has a successor made so, too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agiwb import ConvertConfig, SearchConfig, TrainConfig, convert, load_dataset, search, train
from agiwb.artifacts.manifest import Format
from agiwb.artifacts.resolve import resolve_artifact, resolve_model
from agiwb.compression.sweep import SweepRecord, sweep
from agiwb.compression.sweep_config import SweepConfig
from agiwb.datasets.add import AddDatasetConfig, add_dataset
from agiwb.errors import ConfigError
from agiwb.maintenance.ancestry import ancestry_of, formats_of
from agiwb.maintenance.deciding import PromoteConfig, promote_model
from agiwb.maintenance.gate import GateRecord, gate
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import champion_of, find_version
from agiwb.maintenance.retrain import RetrainConfig, RetrainRecord, retrain
from agiwb.monitoring.log import add_labels, prediction_folder
from agiwb.runs.store import open_store
from agiwb.serving.prediction_log import PredictionLog
from agiwb.training.train import TrainRecord
from tests.maintenance.versions import MODEL, register_linear
from tests.monitoring.kinds import (
    columns_of,
    draw_reviews,
    draw_visits,
    log_requests,
    write_reviews,
    write_shop,
)

pytestmark = pytest.mark.slow

LONG_AGO, IN_THE_FUTURE = 1.7e9, 4e9
SMALL, LARGE, RECIPE = "digits-small", "digits-large", "prune_50+int8"


@pytest.fixture(scope="module")
def place(empty_history: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("compressed")
    shutil.copy(empty_history, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(path))
        yield path


@pytest.fixture(scope="module")
def champion(place: Path) -> SweepRecord:
    """A compressed version, registered, converted to 8-bit LiteRT and promoted."""
    train(TrainConfig(units=16, epochs=4, name=LARGE))
    swept = sweep(
        SweepConfig(
            model=LARGE,
            name=SMALL,
            recipes=(RECIPE,),
            max_accuracy_drop=0.2,
            fine_tune_epochs=1,
            latency_blocks=5,
            latency_runs=1,
            sensitivity=False,
        )
    )
    convert(ConvertConfig(model=SMALL, formats=("litert_int8",), allow_divergence=True))
    promote_model(PromoteConfig(model=SMALL, version=1))
    return swept


@pytest.fixture(scope="module")
def retrained(champion: SweepRecord, place: Path) -> RetrainRecord:
    """Its successor, which has seen images on their side."""
    data = load_dataset("digits")
    on_their_side = np.rot90(data.validation.features, axes=(1, 2))
    np.savez(place / "fresh.npz", x=on_their_side, y=data.validation.labels)
    fresh = AddDatasetConfig(
        name="on-their-side", path=place / "fresh.npz", classes=data.classes, kind="image"
    )
    add_dataset(fresh)
    return retrain(RetrainConfig(model=SMALL, dataset="on-their-side", epochs=6))


def test_a_named_choice_is_a_version_of_its_model(champion):
    assert champion.chosen == RECIPE
    store = open_store()
    found = resolve_model(SMALL, store)
    assert found.name == SMALL
    assert found.path == champion.file(f"{RECIPE}/model.keras")
    assert resolve_model(champion.run.id, store) == found
    assert resolve_artifact(f"{SMALL}/1", "litert_int8", store).artifact.name == SMALL
    assert formats_of(champion_of(SMALL, ledger_of(SMALL)), store) == ("litert_int8",)
    assert store.registered_versions(LARGE).keys() == {1}


def test_its_successor_is_compressed_by_the_same_recipe(champion, retrained):
    assert retrained.recipe == RECIPE
    assert retrained.challenger.version == 2
    assert retrained.based_on.run_id == champion.run.id
    store = open_store()
    swept = store.get(retrained.challenger.run_id)
    assert isinstance(swept, SweepRecord)
    assert swept.chosen == RECIPE
    assert swept.config.fine_tune_epochs == champion.config.fine_tune_epochs
    trained = store.get(retrained.train_run)
    assert isinstance(trained, TrainRecord)
    assert trained.model_name == LARGE
    assert trained.config.dataset == swept.dataset == retrained.dataset
    assert store.registered_versions(LARGE)[2] == retrained.train_run
    weights = resolve_artifact(f"{SMALL}/2", "litert_int8", store).folder
    assert list(weights.glob("*.tflite"))


def test_the_gate_compares_both_in_the_form_that_is_served(retrained):
    found = gate(
        GateConfig(
            model=SMALL,
            format="litert_int8",
            margin=0.5,
            slice_margin=0.5,
            max_calibration_gap=None,
            max_latency_ratio=None,
        )
    )
    assert (found.champion.version, found.challenger.version) == (1, 2)
    assert found.verdict == "promote", found.sentences


def test_one_that_was_searched_for_is_made_again_by_what_won(place):
    found = search(
        SearchConfig(
            name="searched", units=8, epochs=2, space=("learning_rate=0.001,0.01",), trials=2
        )
    )
    ancestry = ancestry_of("searched", find_version("searched", None, open_store()), open_store())
    assert type(ancestry.settings) is TrainConfig
    assert ancestry.settings.learning_rate == found.best.params["learning_rate"]
    assert ancestry.settings.epochs == found.fitted_epochs
    assert ancestry.recipe is None


def served_and_labelled(
    place: Path,
    name: str,
    form: Format,
    inputs: dict[str, Any],
    labels: Sequence[str],
    start_s: float,
) -> None:
    """Have a model asked at a time, and tell what was right."""
    log = PredictionLog(place / "predictions")
    try:
        ids = log_requests(log, name, (name, form), inputs, start_s)
    finally:
        log.close()
    rows = [f"{ids[row // 10]},{row % 10},{label}" for row, label in enumerate(labels)]
    (place / "labels.csv").write_text("\n".join(["request_id,row,label", *rows]))
    add_labels(prediction_folder(name), place / "labels.csv")


def judged(name: str, form: Format) -> GateRecord:
    lenient = {"margin": 0.4, "slice_margin": 0.9, "min_slice_size": 10}
    return gate(GateConfig(model=name, format=form, max_calibration_gap=None, **lenient))


def test_a_table_is_learnt_again_from_its_requests(place):
    shop = write_shop(place / "shop.csv", 600)
    settings = TrainConfig(dataset=str(shop), epochs=6, units=8, learning_rate=0.02, name="shop")
    convert(ConvertConfig(model=train(settings).run.id, formats=("onnx",)))
    promote_model(PromoteConfig(model="shop", version=1))
    device, numbers, _ = draw_visits(np.random.default_rng(2), 400)
    labels = np.where(numbers[:, 0] > 0, "buys", "leaves").tolist()  # at any age, by now
    device[:40] = "watch"
    numbers[40:44, 0] = np.nan
    visits, labels = columns_of(device, numbers), [*labels[:-1], "?"]
    served_and_labelled(place, "shop", "onnx", visits, labels, LONG_AGO)
    made = retrain(RetrainConfig(model="shop"))

    assert (made.fresh_rows, made.unknown_labels) == (395, 1)
    assert [one.rows for one in made.left_out] == [4]
    data = load_dataset(made.dataset)
    assert (data.kind, data.columns) == ("table", ("device", "unit price", "age"))
    watches = data.train.features["device"] == "watch"
    assert watches.any()
    assert (data.train.slices["origin"][watches] == "fresh").all()
    assert (made.challenger.version, made.replayed_rows) == (2, 390)
    later = {name: column[100:200] for name, column in visits.items()}
    served_and_labelled(place, "shop", "onnx", later, labels[100:200], IN_THE_FUTURE)
    found = judged("shop", "onnx")
    assert found.served_rows == 100
    assert {"origin=fresh", "device=phone"} <= {one.name for one in found.compared}


def test_texts_are_learnt_again_from_their_requests(place):
    reviews = write_reviews(place / "reviews.csv", 400)
    settings = TrainConfig(dataset=str(reviews), epochs=6, units=8, learning_rate=0.02, name="text")
    convert(ConvertConfig(model=train(settings).run.id, formats=("keras",)))
    promote_model(PromoteConfig(model="text", version=1))
    strange, good = draw_reviews(np.random.default_rng(4), 300, [f"mot{n}" for n in range(200)])
    strange[7] = "..."
    labels = np.where(good, "good", "bad").tolist()
    served_and_labelled(place, "text", "keras", {"text": strange}, labels, LONG_AGO)
    made = retrain(RetrainConfig(model="text"))

    assert (made.fresh_rows, [one.rows for one in made.left_out]) == (299, [1])
    data = load_dataset(made.dataset)
    assert data.kind == "text"
    fresh = data.train.slices["origin"] == "fresh"
    assert all("mot" in text for text in data.train.features[fresh])
    assert judged("text", "keras").verdict == "promote"


def test_what_was_imported_says_what_to_do(place):
    data = load_dataset("digits").train
    register_linear(place, data.features, data.labels)
    store = open_store()
    with pytest.raises(ConfigError, match="comes of `import_model`: nothing says how"):
        ancestry_of(MODEL, find_version(MODEL, None, store), store)


def test_a_name_needs_a_model_that_stays_the_same():
    with pytest.raises(ConfigError, match="Say which `model` is compressed"):
        SweepConfig(name=SMALL)
