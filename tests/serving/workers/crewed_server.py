"""A real server with several workers, and connections to each of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from urllib.parse import urlsplit

import psutil

STOP_S = 60


class CrewedServer:
    """A supervisor process; ``errors`` is the file with its and its workers' stderr."""

    def __init__(self, process, errors):
        self.process = process
        self.errors = errors
        self.line = process.stdout.readline()
        self.ready = json.loads(self.line) if self.line else {}
        self.supervisor = psutil.Process(process.pid)
        self.connections = []

    @property
    def place(self):
        url = urlsplit(self.ready["address"])
        return url.hostname, url.port

    def workers(self):
        """Return the workers' processes, the oldest first."""
        return sorted(self.supervisor.children(), key=lambda child: child.create_time())

    def connect(self):
        self.connections.append(Connection(self.place))
        return self.connections[-1]

    def connect_to_all(self, count=2, within_s=60.0):
        """Return one kept connection to each worker, by the mark of its request ids."""
        found = {}
        ends = time.monotonic() + within_s
        while len(found) < count:
            assert time.monotonic() < ends, f"only {sorted(found)} answered"
            try:
                connection = self.connect()
                mark = connection.mark()
            except OSError:
                continue
            if mark in found:
                connection.close()
            else:
                found[mark] = connection
        return found


class Connection:
    def __init__(self, place):
        self._connection = http.client.HTTPConnection(*place, timeout=60)
        self._connection.connect()

    def ask(self, method, path, body=None):
        """Return status, headers and document."""
        content = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, content)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, response.headers, text

    def document(self, method, path, body=None):
        status, _, text = self.ask(method, path, body)
        assert status == 200, text
        return json.loads(text)

    def mark(self):
        """Return what the request ids of this worker begin with."""
        return self.ask("GET", "/v1/models/half")[1]["X-Request-Id"].partition("-")[0]

    def addend(self):
        """Return what the version that answers adds to half of 0."""
        return self.document("POST", "/v1/models/half:predict", {"instances": [0.0]})[
            "predictions"
        ][0]

    def states(self):
        statuses = self.document("GET", "/v1/models/half")["model_version_status"]
        return {int(one["version"]): (one["state"], one["status"]) for one in statuses}

    def metrics(self):
        return self.ask("GET", "/metrics")[2].decode()

    def close(self):
        self._connection.close()


@contextlib.contextmanager
def crewed(base_path, errors, *words, workers=2):
    """Yield a server with workers; nothing of it is left afterwards.

    Without ``base_path`` the words say what is served.
    """
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "agiwb.serving.server",
             *([f"--model_base_path={base_path}"] if base_path else []),
             "--rest_api_port=0", "--file_system_poll_wait_seconds=0.1", f"--workers={workers}",
             *words],
            stdout=subprocess.PIPE,
            stderr=stderr,
        )  # fmt: skip
    family = []
    try:
        server = CrewedServer(process, errors)
        family = server.workers() if server.ready else []
        yield server
        family += server.workers() if process.poll() is None else []
        for connection in server.connections:
            connection.close()
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            for worker in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()


def eventually(condition, within_s=60.0):
    """Return what ``condition`` returns once it is true."""
    ends = time.monotonic() + within_s
    while True:
        found = condition()
        if found or time.monotonic() > ends:
            assert found
            return found
        time.sleep(0.02)
