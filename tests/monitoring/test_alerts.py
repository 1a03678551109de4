"""What a check found, as Prometheus is told it: few labels, and one episode from alarm to calm."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agiwb.cli import main
from agiwb.datasets.perturb import rotate
from agiwb.datasets.registry import load_dataset
from agiwb.errors import NotFoundError
from agiwb.monitoring.alerts import KINDS, Findings, findings_folder, findings_of, read_findings
from agiwb.monitoring.alerts_exposition import FindingsCollector
from agiwb.monitoring.monitor import MonitorConfig, MonitorRecord, monitor
from agiwb.runtimes.runtime import open_runtime
from agiwb.serving.prediction_log import Prediction, PredictionLog
from tests.maintenance.versions import register_shares
from tests.monitoring.alerting import ask, exporter, require_programs

pytestmark = pytest.mark.slow

QUIET, ODD = "quiet", "odd"


@pytest.fixture(scope="module")
def checked(
    empty_history: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, MonitorRecord]]:
    """Checks of a model that is asked what it knows, and of the same asked for rotated images."""
    path = tmp_path_factory.mktemp("checked")
    shutil.copy(empty_history, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGIWB_WORKSPACE", str(path))
        (made,) = register_shares(path / "files", 1.0)
        runtime = open_runtime(made.file("onnx"))
        images = load_dataset("digits").test.features[:200]
        log = PredictionLog(path / "predictions")
        rotated = rotate(images, 40.0)
        for name, rows in ((QUIET, images), (ODD, rotated)):
            answers = runtime.run({"image": rows})["probabilities"]
            _serve(log, name, rows, answers)
        log.close()
        yield {
            name: monitor(MonitorConfig(model=made.run.id, model_name=name))
            for name in (QUIET, ODD)
        }


def _serve(
    log: PredictionLog, name: str, rows: NDArray[np.float32], answers: NDArray[np.float32]
) -> None:
    for index, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        log.append(
            Prediction(
                request_id=str(index),
                time=1.7e9 + index,
                model=name,
                version=1,
                inputs={"image": row[None]},
                outputs={"probabilities": answer[None]},
                latency_ms=1.0,
            )
        )


def exposition() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FindingsCollector())
    return generate_latest(registry)


def samples(text: bytes, name: str, model: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the values of a family's series of one model, by their other labels."""
    return {
        tuple(sorted((k, v) for k, v in one.labels.items() if k not in {"model", "version"})): (
            one.value
        )
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
        if family.name == f"agiwb_monitor_{name}" and one.labels.get("model") == model
    }


def test_a_check_becomes_metrics_with_few_labels(checked: dict[str, MonitorRecord]) -> None:
    text, odd = exposition(), checked[ODD]
    assert odd.alarm
    assert not checked[QUIET].alarm
    assert samples(text, "alarm", QUIET) == {(): 0.0}
    assert samples(text, "alarm", ODD) == {(): 1.0}
    assert samples(text, "alarm_detail", QUIET) == {}
    changed = samples(text, "changed", ODD)
    assert [key[0][1] for key in changed] == list(KINDS)
    assert changed[(("what", "features"),)] == 1.0
    assert changed[(("what", "data quality"),)] == float(bool(odd.quality))
    assert not any(samples(text, "changed", QUIET).values())
    detail = {**dict(next(iter(samples(text, "alarm_detail", ODD))))}
    assert detail["feature"] == odd.drifted[0].feature
    assert detail["slice"] == (odd.weak_slices[0].rule if odd.weak_slices else "all rows")
    assert samples(text, "alarm_since_timestamp_seconds", ODD) == {(): 1.7e9 + 199}
    assert samples(text, "drifted_features_ratio", ODD) == {(): odd.drifted_count / 64}
    assert samples(text, "worst_feature_effect", ODD) == {(): max(odd.effect_sizes)}
    interval = odd.estimated_accuracy_interval
    assert interval is not None
    assert samples(text, "estimated_accuracy_high", ODD) == {(): interval.high}
    assert samples(text, "labelled_accuracy", ODD) == {}  # nobody told what was right
    series = [line for line in text.decode().splitlines() if line and line[0] != "#"]
    assert len(series) < 2 * 25


def test_promtool_finds_no_fault_with_the_metrics(checked: dict[str, MonitorRecord]) -> None:
    require_programs()
    words = ["promtool", "check", "metrics"]
    done = subprocess.run(words, input=exposition(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_an_episode_lasts_from_alarm_to_calm(checked: dict[str, MonitorRecord]) -> None:
    odd = checked[ODD]
    first = findings_of(odd, None, 10.0)
    assert first.episode is not None
    led_by_another = odd.model_copy(
        update={"drifted": odd.drifted[::-1], "window_end": odd.window_end.replace(year=2030)}
    )
    second = findings_of(led_by_another, first, 20.0)
    assert second.checked_at == 20.0
    assert second.episode == first.episode
    too_few = findings_of(odd.model_copy(update={"judged": False, "alarm": False}), second, 30.0)
    assert too_few.values == {}
    assert too_few.episode == first.episode
    calm = findings_of(odd.model_copy(update={"alarm": False}), too_few, 40.0)
    assert calm.episode is None
    assert calm.changed == ()
    again = findings_of(led_by_another, calm, 50.0).episode
    assert again is not None
    assert again.feature == odd.drifted[-1].feature != first.episode.feature
    other_version = led_by_another.model_copy(update={"compared_version": 2})
    assert findings_of(other_version, first, 60.0).episode == again


def test_what_is_said_of_few_rows_is_no_verdict(checked: dict[str, MonitorRecord]) -> None:
    config = checked[QUIET].config.model_copy(update={"last_rows": 20})
    before = read_findings()[0]
    try:
        assert not monitor(config).judged
        text = exposition()
        assert samples(text, "window_rows", QUIET) == {(): 20.0}
        assert samples(text, "alarm", QUIET) == {}
    finally:
        monitor(checked[QUIET].config)
    assert [one.run_id for one in read_findings()[0]] == [one.run_id for one in before]


def test_looking_back_is_no_news_and_looking_again_is(checked: dict[str, MonitorRecord]) -> None:
    def known() -> Findings:
        return next(one for one in read_findings()[0] if one.model == ODD)

    before = known()
    config = checked[ODD].config
    monitor(config.model_copy(update={"until": "2023-11-14T22:15:00"}))
    assert known() == before
    again = monitor(config)
    assert again.run.id == before.run_id  # used again, and yet looked at now
    assert known().checked_at > before.checked_at


def test_a_damaged_file_hides_no_other_model(
    checked: dict[str, MonitorRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = findings_folder() / "damaged.json"
    damaged.write_text('{"model": ')
    try:
        assert b"agiwb_monitor_unreadable_files 1.0" in exposition()
        assert samples(exposition(), "alarm", ODD) == {(): 1.0}
        assert main(["alerts"]) == 0
        assert "1 files of findings cannot be read" in capsys.readouterr().out
    finally:
        damaged.unlink()


def test_the_command_line_shows_what_alarms(
    checked: dict[str, MonitorRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", "show", ODD]) == 0
    shown = capsys.readouterr().out
    assert f"led by {checked[ODD].drifted[0].feature}" in shown
    assert checked[ODD].sentences[0] in shown
    assert f"agiwb runs show {checked[ODD].run.id}" in shown
    assert main(["alerts", "list", "--json"]) == 0
    listed = {one["model"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed[QUIET]["episode"] is None
    assert listed[ODD]["changed"][0] == "features"
    assert main(["alerts", "show", "od"]) == NotFoundError.exit_code
    assert "Did you mean `odd`?" in capsys.readouterr().err


def test_the_exporter_tells_a_check_at_the_next_scrape(checked: dict[str, MonitorRecord]) -> None:
    def told(port: int) -> float:
        text = str(ask(port, "/metrics")).encode()
        return samples(text, "last_check_timestamp_seconds", QUIET)[()]

    with exporter() as port:
        before = told(port)
        monitor(checked[QUIET].config)
        assert told(port) > before
        assert main(["alerts", "export", "--port", str(port)]) == 1  # the port is taken
