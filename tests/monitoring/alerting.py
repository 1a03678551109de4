"""A real Prometheus and a real Alertmanager with a bundle's files, and a webhook they call."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from agiwb.deployment.rendering import render

PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
DEBIAN_PACKAGES = "apt-get install prometheus prometheus-alertmanager"
THRESHOLDS: dict[str, Any] = {
    "p99_s": 0.25, "error_rate": 0.01, "shadow_disagreement": 0.05, "accuracy_drop": 0.05,
    "unusable_share": 0.05, "check_hours": 24,
}  # fmt: skip
_START_TIMEOUT_S = 60.0


def require_programs() -> None:
    """Skip the test if Prometheus or Alertmanager is missing; fail it in CI."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        told = f"{', '.join(missing)} not installed: {DEBIAN_PACKAGES}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ask(port: int, path: str) -> Any:
    """Return the JSON, or the text, that a program on this machine answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != http.client.OK:
            raise ConnectionError(f"{answer.status}: {text[:500]}")
    return json.loads(text) if text[:1] in "{[" else text


def wait_for(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what is found once it is true, or fail the test."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ConnectionError, http.client.HTTPException):
            if result := found():
                return result
        if time.monotonic() > end:
            pytest.fail(f"in {seconds:.0f} s there was no {what}")
        time.sleep(0.1)


class Alerting:
    """What the two programs know, and what the webhook was told."""

    def __init__(self, prometheus: int, alertmanager: int) -> None:
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self.received: list[dict[str, Any]] = []

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that a query gives now."""
        words = urlencode({"query": expression})
        found = ask(self.prometheus, f"/api/v1/query?{words}")["data"]["result"]
        return list(found)

    def firing(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that fire in Prometheus, by name."""
        alerts = ask(self.prometheus, "/api/v1/alerts")["data"]["alerts"]
        return {one["labels"]["alertname"]: one for one in alerts if one["state"] == "firing"}

    def told(self, alert: str, status: str = "firing", **labels: str) -> dict[str, Any] | None:
        """Return the first alert of that name and those labels that the webhook was told of."""
        for message in list(self.received):
            for one in message["alerts"]:
                if one["status"] != status or one["labels"]["alertname"] != alert:
                    continue
                if labels.items() <= one["labels"].items():
                    return dict(one)
        return None


@contextlib.contextmanager
def alerting(folder: Path, model: str, targets: Mapping[str, int]) -> Iterator[Alerting]:
    """Run both on free ports of the loopback until the block ends, looking every half second.

    Their files are those of a bundle but for addresses and intervals; the rules are as they are.

    Args:
        folder: For their files; must not exist.
        model: Name it is served under.
        targets: Port of each job.
    """
    require_programs()
    made = Alerting(free_port(), free_port())
    with _webhook(made.received) as webhook:
        _write_files(folder, model, targets, made.alertmanager, webhook)
        commands = (
            [
                "prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml",
                f"--storage.path={folder}/alertmanager", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{made.alertmanager}",
            ],
            [
                "prometheus", f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{made.prometheus}",
            ],
        )  # fmt: skip
        with contextlib.ExitStack() as running:
            for port, words in zip((made.alertmanager, made.prometheus), commands, strict=True):
                running.enter_context(_program(words, folder))
                wait_for(lambda port=port: ask(port, "/-/ready"), _START_TIMEOUT_S, words[0])
            yield made


def _write_files(
    folder: Path, model: str, targets: Mapping[str, int], alertmanager: int, webhook: str
) -> None:
    folder.mkdir()
    values = {**THRESHOLDS, "name": model, "webhook": webhook}
    (folder / "rules.yml").write_text(render("prometheus/rules.yml", **values))
    config = yaml.safe_load(render("prometheus/prometheus.yml", **values))
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    places = config["alerting"]["alertmanagers"][0]["static_configs"][0]
    places["targets"] = [f"127.0.0.1:{alertmanager}"]
    jobs = {one["job_name"]: one for one in config["scrape_configs"]}
    assert set(targets) <= set(jobs)
    config["scrape_configs"] = [
        {
            **{key: jobs[job][key] for key in ("job_name", "metrics_path") if key in jobs[job]},
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        }
        for job, port in targets.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    routes = yaml.safe_load(render("prometheus/alertmanager.yml", **values))
    routes["route"] |= {"group_wait": "200ms", "group_interval": "1s"}
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))


@contextlib.contextmanager
def _program(words: list[str], folder: Path) -> Iterator[None]:
    with (folder / f"{words[0]}.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _webhook(received: list[dict[str, Any]]) -> Iterator[str]:
    """Take what is posted until the block ends, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(http.client.OK)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def exporter() -> Iterator[int]:
    """Run ``agiwb alerts export`` in a process of its own, and yield its port."""
    words = [sys.executable, "-m", "agiwb", "alerts", "export", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("Prometheus finds them at http://127.0.0.1:"), said
            yield int(said.rsplit(":", 1)[1].split("/")[0])
        finally:
            process.terminate()
            assert process.wait(60) == 0
