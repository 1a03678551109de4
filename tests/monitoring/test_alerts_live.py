"""An alert from a served model to a webhook, through a real Prometheus and a real Alertmanager."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from agiwb.cli import main
from agiwb.datasets.perturb import rotate
from agiwb.datasets.registry import load_dataset
from agiwb.monitoring.monitor import MonitorConfig, monitor
from agiwb.serving.detached import serve_detached
from agiwb.serving.endpoint import Endpoint
from agiwb.serving.serve import ServeConfig
from tests.maintenance.versions import MODEL, register_shares
from tests.monitoring.alerting import alerting, exporter, require_programs, wait_for

pytestmark = pytest.mark.slow

ROWS = 200


def ask_for(endpoint: Endpoint, images: Any) -> None:
    """Ask for one image after the other, as clients do."""
    place = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port)
    for image in images:
        body = json.dumps({"instances": [image.tolist()]})
        connection.request("POST", place.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == http.client.OK, answer.read()
        answer.read()
    connection.close()


def test_what_a_server_is_asked_drifts_and_a_webhook_is_told(
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    require_programs()
    (made,) = register_shares(tmp_path / "files", 1.0)
    images = load_dataset("digits").test.features[:ROWS]
    config = MonitorConfig(model=made.run.id, model_name=MODEL, last_rows=ROWS)

    def look(expected: Callable[[], bool]) -> Any:
        """Return what a check finds once the log has all rows."""
        return wait_for(lambda: expected() and monitor(config), 120, "rows in the log")

    server = serve_detached(ServeConfig(model=MODEL, model_name=MODEL, rest_api_port=0, grpc=False))
    try:
        server.wait_until_ready()
        endpoint = server.endpoint()
        targets = {"agiwb": urlsplit(endpoint.url).port or 0}
        with (
            exporter() as port,
            alerting(tmp_path / "alerting", MODEL, {**targets, "agiwb-monitor": port}) as seen,
        ):

            def logged() -> float:
                found = seen.query("sum(agiwb_predictions_logged_total)")
                return float(found[0]["value"][1]) if found else 0.0

            ask_for(endpoint, images)
            assert not look(lambda: logged() >= ROWS).alarm
            wait_for(lambda: seen.query("agiwb_monitor_alarm == 0"), 120, "check without alarm")
            assert "AgiwbDrift" not in seen.firing()

            ask_for(endpoint, rotate(images, 40.0))
            found = look(lambda: logged() >= 2 * ROWS)
            assert found.alarm
            fired = wait_for(lambda: seen.firing().get("AgiwbDrift"), 120, "alert in Prometheus")
            told = wait_for(
                lambda: seen.told("AgiwbDrift", model=MODEL), 120, "call of the webhook"
            )

            assert told["labels"] == {
                "alertname": "AgiwbDrift", "model": MODEL, "version": "1", "severity": "warning",
            }  # fmt: skip
            words = told["annotations"]
            assert words == fired["annotations"]
            share = f"{found.drifted_count / 64 * 100:.4g}% of the features drifted"
            assert "features; " in words["changed"]
            assert f"; {share}" in words["changed"]
            assert words["changed"].endswith(f"most of all {found.drifted[0].feature}.")
            assert words["since"].startswith(f"{found.window_end:%Y-%m-%d %H:%M:%S}")
            rule = found.weak_slices[0].rule if found.weak_slices else "all rows"
            assert words["slice"] == rule
            capsys.readouterr()
            program, *command = words["command"].split()
            assert program == "agiwb"
            assert main(command) == 0
            assert found.problems[0] in capsys.readouterr().out

            ask_for(endpoint, images)
            assert not look(lambda: logged() >= 3 * ROWS).alarm
            wait_for(
                lambda: seen.told("AgiwbDrift", status="resolved"), 120, "word that it is over"
            )
        endpoint.disconnect()
    finally:
        server.stop()
