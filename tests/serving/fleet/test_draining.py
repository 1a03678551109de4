"""A server that is asked to stop goes on answering until a load balancer has noticed."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.serving.workers.crewed_server import crewed, eventually

pytestmark = pytest.mark.slow

PROBE = "/v1/healthz"


@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_that_it_is_not_ready_and_answers_all_the_same(half, tmp_path, workers):
    with crewed(half, tmp_path / "errors", "--drain_seconds=3", workers=workers) as server:
        connections = list(server.connect_to_all(count=workers).values())
        assert all(one.ask("GET", PROBE)[0] == 200 for one in connections)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for connection in connections:
            assert eventually(lambda one=connection: one.ask("GET", PROBE)[0] == 503)
            assert json.loads(connection.ask("GET", PROBE)[2])["reason"] == "It is about to stop."
            assert connection.addend() == 1
        assert server.connect().addend() == 1  # who comes only now is answered, too
        assert server.process.wait(60) == 0
        assert time.monotonic() - begun >= 3


def test_a_second_signal_ends_the_drain(half, tmp_path):
    with crewed(half, tmp_path / "errors", "--drain_seconds=300", workers=1) as server:
        connection = server.connect()
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: connection.ask("GET", PROBE)[0] == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
