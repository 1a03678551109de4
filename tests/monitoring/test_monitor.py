"""The monitor step on a real model and a real log: its verdict in words, and its refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from agiwb.artifacts.manifest import read_artifact, write_artifact
from agiwb.datasets.perturb import add_noise, rotate
from agiwb.datasets.registry import load_dataset
from agiwb.errors import ConfigError, InputError, NotFoundError, WorkError
from agiwb.monitoring.judge import QUESTIONS
from agiwb.monitoring.log import add_labels
from agiwb.monitoring.monitor import MonitorConfig, monitor
from agiwb.monitoring.output import compare_output
from agiwb.monitoring.window import Chosen, fingerprint_of, read_window, reread_window
from agiwb.serving.prediction_log import Prediction, PredictionLog

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def converted(digits_run):
    from agiwb.conversion.convert import ConvertConfig, convert

    return convert(ConvertConfig(model=digits_run.run.id, formats=("onnx",)))


@pytest.fixture(scope="module")
def ask(converted):
    """Return a function from features to the model's answers."""
    from agiwb.runtimes.runtime import open_runtime

    runtime = open_runtime(converted.file("onnx"))
    return lambda features: runtime.run({"features": features})["probabilities"]


@pytest.fixture
def serve(ask, trained_workspace, request):
    """Return a function that logs requests as a server would; and the name they go under."""
    name = request.node.name.replace("/", "-")
    log = PredictionLog(trained_workspace / "predictions")

    def send(features, start=0, answers=None, version=1, step=1, latency_ms=1.0):
        answers = ask(features) if answers is None else answers
        for index, (row, answer) in enumerate(zip(features, answers, strict=True)):
            log.append(
                Prediction(
                    request_id=str(start + index),
                    time=1.7e9 + start + index * step,
                    model=name,
                    version=version,
                    inputs={"features": row[None]},
                    outputs={"probabilities": answer[None]},
                    latency_ms=latency_ms,
                )
            )
        return name

    yield send
    log.close()


def test_traffic_like_the_training_data_does_not_alarm(serve, converted, ask):
    data = load_dataset("digits")
    name = serve(data.test.features)
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))

    assert record.judged
    assert not record.alarm
    assert record.problems == ()
    assert record.drifted == ()
    assert record.sentences[0].startswith("No alarm: the 360 served rows look like")
    assert len(record.effect_sizes) == 64
    assert max(record.effect_sizes) <= record.effect_threshold < 0.3
    assert record.window_start.timestamp() == 1.7e9
    assert record.window_end.timestamp() == 1.7e9 + 359
    assert record.versions == (1,)
    interval = record.estimated_accuracy_interval
    truth = (ask(data.test.features).argmax(axis=1) == data.test.labels).mean()
    assert interval.low - 0.02 <= truth <= interval.high + 0.02
    assert record.metrics["window_estimated_accuracy"] == record.estimated_accuracy


def test_turned_and_noisy_images_alarm_and_say_where(serve, converted, ask):
    data = load_dataset("digits")
    worse = add_noise(rotate(data.test.features, 35), 0.15, seed=1)
    name = serve(worse)
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))

    assert record.alarm
    assert not record.passed
    assert record.sentences[0].startswith("Alarm: ")
    assert record.sentences[1 : 1 + len(record.problems)] == record.problems
    strongest = record.drifted[0]
    assert strongest.feature.startswith("pixel[")
    assert strongest.effect == pytest.approx(max(record.effect_sizes), abs=1e-4)
    assert strongest.effect > record.effect_threshold
    assert strongest.feature in record.problems[0]
    assert len(record.drifted) == min(record.drifted_count, 20)
    assert record.metrics["window_drifted_share"] == record.drifted_count / 64
    assert any("less sure of its answers" in problem for problem in record.problems)
    truth = (ask(worse).argmax(axis=1) == data.test.labels).mean()
    assert truth < record.reference_accuracy - 0.1
    assert record.estimated_accuracy_interval.high < record.reference_accuracy
    assert record.samples.auc > 0.8
    assert record.consequences
    assert {one.feature for one in record.consequences} <= {one.feature for one in record.drifted}
    assert any("concept drift" in sentence for sentence in record.sentences)
    assert len(record.label_first) == 20
    assert record.labels_needed > 30


def test_the_record_can_be_read_again_and_a_new_window_is_a_new_run(serve, converted):
    from agiwb.runs.store import open_store

    features = load_dataset("digits").test.features
    name = serve(features[:100])
    config = MonitorConfig(model=converted.run.id, model_name=name)
    record = monitor(config)
    assert open_store().get(record.run.id) == record
    assert monitor(config).run.id == record.run.id
    serve(features[100:140], start=1000)
    later = monitor(config)
    assert later.run.id != record.run.id
    assert later.rows == 140
    last = monitor(config.model_copy(update={"last_rows": 40}))
    assert last.rows == 40
    assert last.window_start.timestamp() == 1.7e9 + 1000


def test_few_rows_give_no_verdict(serve, converted):
    broken = np.full((29, 8, 8), np.nan, np.float32)
    name = serve(broken, answers=np.full((29, 10), np.nan, np.float32))
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))
    assert not record.judged
    assert not record.alarm
    assert record.passed
    assert record.sentences == ("Not enough data: 29 rows were served, 30 are needed.",)
    assert record.metrics == {"window_rows": 29}


def test_a_window_of_nan_alarms_and_does_not_crash(serve, converted):
    broken = np.full((40, 8, 8), np.nan, np.float32)
    name = serve(broken, answers=np.full((40, 10), np.nan, np.float32))
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))
    assert record.alarm
    assert record.problems == (
        "pixel[0,0] is NaN or infinite in 100.0% of the rows. So it is with 63 other features.",
        "The model answered with NaN or infinity in 100.0% of the rows.",
    )
    assert record.output is None
    assert record.estimated_accuracy is None


def test_one_example_again_and_again_alarms_and_tells_no_accuracy(serve, converted):
    name = serve(np.repeat(load_dataset("digits").test.features[:1], 60, axis=0))
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))
    assert record.alarm
    assert record.estimated_accuracy is None
    assert not any("expected to be right" in sentence for sentence in record.sentences)


def test_nothing_served_says_what_to_do(converted):
    config = MonitorConfig(model=converted.run.id, model_name="never-served")
    with pytest.raises(NotFoundError, match="agiwb serve"):
        monitor(config)


def test_traffic_of_another_shape_is_refused(serve, converted):
    vectors = load_dataset("digits").test.features[:5].reshape(5, 64)
    name = serve(vectors, answers=np.full((5, 10), 0.1, np.float32))
    with pytest.raises(
        ConfigError, match=r"have shape \(64,\).* of the data set have shape \(8, 8\)"
    ):
        monitor(MonitorConfig(model=converted.run.id, model_name=name))


@pytest.mark.parametrize("last_rows", [None, 20, 3])
def test_a_run_looks_at_the_window_it_was_promised(serve, last_rows):
    data = load_dataset("digits")
    chosen = Chosen(serve(data.test.features[:35]), last_rows=last_rows)
    window = read_window(chosen, data)
    assert len(window) == (last_rows or 35)
    end, fingerprint = float(window.rows.times[-1]), fingerprint_of(window)
    serve(data.test.features[35:50], start=1000)  # the server goes on
    for _ in range(2):
        again = reread_window(chosen, data, end, fingerprint)
        np.testing.assert_array_equal(again.rows.features, window.rows.features)
    assert fingerprint_of(read_window(chosen, data)) != fingerprint
    serve(data.test.features[:1], start=34)  # as if it had been there before
    with pytest.raises(WorkError, match="changed while they were read"):
        reread_window(chosen, data, end, fingerprint)


def test_labels_that_arrive_are_a_new_run_and_say_how_good_the_model_was(
    serve, converted, tmp_path, trained_workspace
):
    data = load_dataset("digits")
    name = serve(data.test.features)
    config = MonitorConfig(model=converted.run.id, model_name=name)
    file = tmp_path / "labels.csv"

    def label(labels):
        lines = [f"{index},{label},1.71e9" for index, label in enumerate(labels)]
        file.write_text("\n".join(["request_id,label,time", *lines]))
        add_labels(trained_workspace / "predictions" / name, file)
        return monitor(config)

    few = label(data.test.labels[:20])
    assert few.performance.accuracy is None
    assert "Not enough labels: 20 rows have one, 30 are needed." in few.sentences
    right = label(data.test.labels)
    assert right.run.id != few.run.id
    assert right.performance.labels == 360
    assert not right.alarm
    assert right.metrics["window_labelled_accuracy"] == right.performance.accuracy > 0.8
    assert not any("concept drift" in sentence for sentence in right.sentences)
    wrong = label((data.test.labels + (np.arange(360) % 3 == 0)) % 10)
    assert wrong.performance.accuracy < right.performance.accuracy * 0.75
    assert wrong.problems[0].startswith("The labels that came in show that the model got worse.")
    late = label((data.test.labels + (np.arange(360) >= 200)) % 10)
    assert abs(late.loss_changes[0].since - 200) < 30
    assert any(problem.startswith("Of the rows with a label, ") for problem in late.problems)
    assert monitor(config).run.id == late.run.id


def test_a_window_is_chosen_by_time_and_version(serve, converted):
    features = load_dataset("digits").test.features
    name = serve(features[:100], version=1)
    serve(features[100:200], start=1000, version=2)
    serve(features[200:], start=2000, version=2)
    config = MonitorConfig(model=converted.run.id, model_name=name, version=1)
    assert monitor(config).rows == 100
    between = {"since": "2023-11-14T22:30:00", "until": "2023-11-15T00:40:00+02:00"}
    record = monitor(MonitorConfig(**{**dict(config), "version": None, **between}))
    assert (record.rows, record.window_start.timestamp()) == (100, 1.7e9 + 1000)
    with pytest.raises(NotFoundError, match="logged since 2033-05-18 03:33:20 UTC by version 1"):
        monitor(MonitorConfig(**{**dict(config), "since": "2033-05-18T03:33:20"}))
    with pytest.raises(ConfigError, match="no time of ISO 8601"):
        MonitorConfig(since="yesterday")
    with pytest.raises(ConfigError, match="`since` is after `until`: exchange"):
        MonitorConfig(since="2026-11-22", until="2026-11-21")


def test_slow_and_failing_requests_are_told_and_raise_no_alarm(serve, converted, tmp_path):
    features = load_dataset("digits").test.features
    name = serve(features[:200])
    serve(features[200:], start=1000, latency_ms=40.0)
    log = tmp_path / "requests.jsonl"
    entries = [
        {"time": 1.7e9 + 5 * index, "model": name, "code": "INTERNAL" if index > 250 else "OK"}
        for index in range(300)
    ]
    log.write_text("\n".join(map(json.dumps, entries)))
    config = MonitorConfig(model=converted.run.id, model_name=name, last_rows=160, request_log=log)
    record = monitor(config)
    assert [one.kind for one in record.operation] == ["latency"]
    assert record.operation[0].share == 1
    assert not record.alarm
    serve(features[:60], start=1300)  # by now slow requests are usual
    record = monitor(config)
    assert [one.kind for one in record.operation] == ["errors"]
    assert {one.sentence for one in record.operation} <= set(record.sentences)
    log.write_text("no request log")
    with pytest.raises(InputError, match=r"Line 1 of .* is none of a request log"):
        monitor(config)


def test_what_other_versions_answered_is_left_out(serve, converted):
    features = load_dataset("digits").test.features
    serve(features[:50], answers=np.eye(10, dtype=np.float32)[np.zeros(50, int)], version=1)
    name = serve(features[50:], start=1000, version=2)
    record = monitor(MonitorConfig(model=converted.run.id, model_name=name))
    assert not record.alarm
    assert (record.rows, record.rows_left_out, record.versions) == (310, 50, (1, 2))
    assert record.window_start.timestamp() == 1.7e9 + 1000
    assert record.sentences[-1] == "Left out are 50 rows that other versions answered."

    serve(features[:5], start=2000, version=3)
    few = monitor(MonitorConfig(model=converted.run.id, model_name=name))
    assert not few.judged
    assert few.sentences[-1] == "Left out are 360 rows that other versions answered."


def test_an_artifacts_name_is_no_way_out_of_the_predictions(converted, tmp_path):
    folder = shutil.copytree(converted.file("onnx"), tmp_path / "onnx")
    write_artifact(folder, read_artifact(folder).model_copy(update={"name": "../../etc"}))
    with pytest.raises(InputError, match="Give a `model_name`"):
        monitor(MonitorConfig(model=str(folder)))


def test_a_model_that_answers_nan_is_named(serve, converted, monkeypatch):
    name = serve(load_dataset("digits").test.features[:40])
    monkeypatch.setattr(
        "agiwb.monitoring.answering.answer_batches",
        lambda _, inputs: {"y": np.full((len(inputs["features"]), 10), np.nan, np.float32)},
    )
    with pytest.raises(WorkError, match=r"NaN or infinity for 270 of 270 .* validation split"):
        monitor(MonitorConfig(model=converted.run.id, model_name=name))


def test_a_rate_at_which_nothing_could_alarm_is_refused():
    with pytest.raises(ConfigError, match="false_alarm_rate"):
        MonitorConfig(false_alarm_rate=0.0049)
    each = MonitorConfig(false_alarm_rate=0.005).false_alarm_rate / QUESTIONS
    known, served = np.eye(2, dtype=np.float32)[np.repeat([0, 1], 100)].reshape(2, 100, 2)
    assert compare_output(known, served, each).classes_drifted


def test_importing_the_step_loads_nothing_heavy():
    heavy = (
        "river",
        "tensorflow",
        "tensorflow_model_analysis",
        "apache_beam",
        "pandas",
        "sklearn",
        "scipy",
    )
    code = (
        "import sys, agiwb.monitoring.monitor;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
