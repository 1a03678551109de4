"""The monitor step on tables and on texts: served as they are, judged by slices and by words."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.artifacts.resolve import resolve_artifact
from agiwb.conversion.convert import ConvertConfig, convert
from agiwb.errors import ConfigError, DatasetError
from agiwb.monitoring.alerts import findings_of
from agiwb.monitoring.monitor import MonitorConfig, monitor
from agiwb.reporting.monitoring import plot_drift, slice_drift_table
from agiwb.runs.store import open_store
from agiwb.runtimes.runtime import open_runtime
from agiwb.serving.prediction_log import Prediction, PredictionLog
from agiwb.training.train import TrainConfig, train

pytestmark = pytest.mark.slow

COLUMNS = ("price", "age")
GOOD, BAD = ["great", "lovely", "superb"], ["dull", "poor", "weak"]
PLAIN = [f"word{place}" for place in range(200)]


def draw(rng, rows):
    """A shop's visits: who buys depends on price and age; the few with tablets are of one age."""
    device = rng.choice(["phone", "tablet", "desktop"], rows, p=[0.6, 0.1, 0.3]).astype(object)
    numbers = rng.normal(size=(rows, 2)).astype(np.float32)
    numbers[device == "tablet", 1] *= 0.2
    buys = numbers.sum(axis=1) + rng.normal(size=rows) * 0.5 > 0.5
    return device, numbers, buys


def write(rng, rows, plain):
    """Reviews of plain words, with two that tell whether they are good."""
    good = rng.random(rows) < 0.5
    texts = [
        " ".join(rng.permutation([*rng.choice(plain, 9), *rng.choice(GOOD if is_it else BAD, 2)]))
        for is_it in good
    ]
    return np.array(texts, object), good


def trained(path, form):
    run = train(TrainConfig(dataset=str(path), epochs=6, units=8, learning_rate=0.02))
    return convert(ConvertConfig(model=run.run.id, formats=(form,))).run.id


@pytest.fixture(scope="module")
def shop(trained_workspace, tmp_path_factory):
    device, numbers, buys = draw(np.random.default_rng(0), 1_500)
    rows = zip(device, *numbers.T, np.where(buys, "buys", "leaves"), strict=True)
    path = tmp_path_factory.mktemp("shop") / "shop.csv"
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["device,price,age,label", *lines]))
    return trained(path, "onnx")


@pytest.fixture(scope="module")
def reviews(trained_workspace, tmp_path_factory):
    texts, good = write(np.random.default_rng(1), 800, PLAIN)
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    lines = [
        f"{text},{'good' if is_it else 'bad'}" for text, is_it in zip(texts, good, strict=True)
    ]
    path.write_text("\n".join(["text,label", *lines]))
    return trained(path, "keras")


@pytest.fixture
def serve(trained_workspace, request):
    """Return a function that logs requests of ten rows as a server would."""
    log = PredictionLog(trained_workspace / "predictions")

    def send(model, form, inputs, start_s=0):
        runtime = open_runtime(resolve_artifact(model, form, open_store()).folder)
        rows = len(next(iter(inputs.values())))
        for start in range(0, rows, 10):
            part = {name: values[start : start + 10] for name, values in inputs.items()}
            log.append(
                Prediction(
                    request_id=str(start_s + start),
                    time=1.7e9 + start_s + start,
                    model=request.node.name,
                    version=1,
                    inputs=part,
                    outputs=runtime.run(part),
                    latency_ms=1.0,
                )
            )
        return request.node.name

    yield send
    log.close()


def columns_of(device, numbers):
    return {"device": device} | dict(zip(COLUMNS, numbers.T.copy(), strict=True))


def test_a_slice_of_a_table_drifts_and_the_whole_does_not(shop, serve):
    device, numbers, _ = draw(np.random.default_rng(2), 700)
    inside = device == "tablet"
    numbers[inside, 1] += 0.35
    name = serve(shop, "onnx", columns_of(device, numbers))
    record = monitor(MonitorConfig(model=shop, model_name=name))

    assert record.feature_names == COLUMNS
    assert record.drifted_count == 0
    worst = record.slices[0]
    assert (worst.name, worst.feature, worst.rows) == ("device = tablet", "age", inside.sum())
    assert [one.drifted_count for one in record.slices[1:]] == [0, 0]
    assert worst.consequences[0].feature == "age"
    assert any("1 of 3 slices drifted, most of all device = tablet" in p for p in record.problems)
    assert record.metrics["window_drifted_slices"] == 1
    told = findings_of(record, None, 1.8e9)
    assert (told.episode.slice, told.episode.feature) == ("device = tablet", "age")
    assert "features" in told.changed
    first = slice_drift_table(record).rows[0]
    assert first[:3] == ("device = tablet", str(inside.sum()), "drifted: 1 feature")
    assert plot_drift(record).alt

    by_hand = MonitorConfig(model=shop, model_name=name, slices=("hour", "predicted"))
    again = monitor(by_hand)
    assert {one.column for one in again.slices} == {"hour", "predicted"}
    with pytest.raises(ConfigError, match="no column 'devices'"):
        monitor(MonitorConfig(model=shop, model_name=name, slices=("devices",)))


def test_columns_that_are_missing_new_or_others_are_told(shop, serve):
    device, numbers, _ = draw(np.random.default_rng(3), 300)
    device[:12] = "watch"
    numbers[:, 0] = np.nan
    name = serve(shop, "onnx", columns_of(device, numbers))
    record = monitor(MonitorConfig(model=shop, model_name=name))
    assert "price is NaN or infinite in 100.0% of the rows." in record.problems
    assert record.codes[0].unseen == ("watch",)
    assert {one.name for one in record.slices if not one.judged} == {"device = watch"}
    assert any("Too small to be judged" in sentence for sentence in record.sentences)

    with pytest.raises(ConfigError, match="have the columns device, price, age"):
        monitor(MonitorConfig(model=shop, model_name=name, dataset="breast_cancer"))
    with pytest.raises(DatasetError, match="Monitoring takes arrays, tables and texts"):
        monitor(MonitorConfig(model=shop, model_name=name, dataset="diabetes"))


def test_texts_alarm_by_words_that_are_new_or_missing(reviews, serve):
    rng = np.random.default_rng(4)
    quiet, _ = write(rng, 300, PLAIN)
    name = serve(reviews, "keras", {"text": quiet})
    config = MonitorConfig(model=reviews, format="keras", model_name=name)
    record = monitor(config)
    assert record.feature_names == ("characters", "words", "unseen_words")
    assert not record.alarm
    assert record.estimated_accuracy > 0.8

    strange, _ = write(rng, 300, [f"mot{place}" for place in range(200)])
    strange[:60] = ""
    serve(reviews, "keras", {"text": strange}, start_s=1_000)
    later = monitor(config.model_copy(update={"last_rows": 300}))
    assert "unseen_words" in {one.feature for one in later.drifted}
    assert "20.0% of the texts have no word; in training 0.0% did." in later.problems
    assert later.samples.auc > 0.9
    assert later.consequences == ()
