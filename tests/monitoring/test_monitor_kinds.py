"""The monitor step on tables and on texts: served as they are, judged by slices and by words."""

from __future__ import annotations

import numpy as np
import pytest

from agiwb.conversion.convert import ConvertConfig, convert
from agiwb.errors import ConfigError, DatasetError
from agiwb.monitoring.alerts import findings_of
from agiwb.monitoring.monitor import MonitorConfig, monitor
from agiwb.reporting.monitoring import plot_drift, slice_drift_table
from agiwb.serving.prediction_log import PredictionLog
from agiwb.training.train import TrainConfig, train
from tests.monitoring.kinds import (
    PLAIN,
    columns_of,
    draw_reviews,
    draw_visits,
    log_requests,
    write_reviews,
    write_shop,
)

pytestmark = pytest.mark.slow


def trained(path, form):
    run = train(TrainConfig(dataset=str(path), epochs=6, units=8, learning_rate=0.02))
    return convert(ConvertConfig(model=run.run.id, formats=(form,))).run.id


@pytest.fixture(scope="module")
def shop(trained_workspace, tmp_path_factory):
    return trained(write_shop(tmp_path_factory.mktemp("shop") / "shop.csv", 1_500), "onnx")


@pytest.fixture(scope="module")
def reviews(trained_workspace, tmp_path_factory):
    return trained(write_reviews(tmp_path_factory.mktemp("reviews") / "reviews.csv", 800), "keras")


@pytest.fixture
def serve(trained_workspace, request):
    """Return a function that logs requests of ten rows as a server would."""
    log = PredictionLog(trained_workspace / "predictions")

    def send(model, form, inputs, start_s=0):
        log_requests(log, request.node.name, (model, form), inputs, 1.7e9 + start_s)
        return request.node.name

    yield send
    log.close()


def test_a_slice_of_a_table_drifts_and_the_whole_does_not(shop, serve):
    device, numbers, _ = draw_visits(np.random.default_rng(2), 700)
    inside = device == "tablet"
    numbers[inside, 1] += 0.35
    name = serve(shop, "onnx", columns_of(device, numbers))
    record = monitor(MonitorConfig(model=shop, model_name=name))

    assert record.feature_names == ("unit price", "age")
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
    device, numbers, _ = draw_visits(np.random.default_rng(3), 300)
    device[:12] = "watch"
    numbers[:, 0] = np.nan
    name = serve(shop, "onnx", columns_of(device, numbers))
    record = monitor(MonitorConfig(model=shop, model_name=name))
    assert "unit price is NaN or infinite in 100.0% of the rows." in record.problems
    assert record.estimated_accuracy is None
    assert record.codes[0].unseen == ("watch",)
    assert {one.name for one in record.slices if not one.judged} == {"device = watch"}
    assert any("Too small to be judged" in sentence for sentence in record.sentences)

    with pytest.raises(ConfigError, match="have the columns device, unit_price, age"):
        monitor(MonitorConfig(model=shop, model_name=name, dataset="breast_cancer"))
    with pytest.raises(DatasetError, match="Monitoring takes arrays, tables and texts"):
        monitor(MonitorConfig(model=shop, model_name=name, dataset="diabetes"))


def test_texts_alarm_by_words_that_are_new_or_missing(reviews, serve):
    rng = np.random.default_rng(4)
    quiet, _ = draw_reviews(rng, 300, PLAIN)
    name = serve(reviews, "keras", {"text": quiet})
    config = MonitorConfig(model=reviews, format="keras", model_name=name)
    record = monitor(config)
    assert record.feature_names == ("characters", "words", "unseen_words")
    assert not record.alarm
    assert record.estimated_accuracy > 0.8

    strange, _ = draw_reviews(rng, 300, [f"mot{place}" for place in range(200)])
    strange[:60] = ""
    serve(reviews, "keras", {"text": strange}, start_s=1_000)
    later = monitor(config.model_copy(update={"last_rows": 300}))
    assert "unseen_words" in {one.feature for one in later.drifted}
    assert "20.0% of the texts have no word; in training 0.0% did." in later.problems
    assert later.samples.auc > 0.9
    assert later.consequences == ()
