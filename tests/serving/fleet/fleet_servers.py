"""Real servers of one fleet, HAProxy before them, and clients that remember what they saw."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.serving.onnx_models import write_half_plus_two

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
DRAIN_S = 1.5
BODY = json.dumps({"instances": [0.0]})


def publish(base_path: Path, number: int) -> None:
    """Put a version in place at once; it adds its own number."""
    made = write_half_plus_two(base_path.parent / f"made_{number}", addend=number)
    made.rename(base_path / str(number))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Fleet:
    """Servers on ports of their own, and the balancer's port."""

    def __init__(self, base_path, scratch, servers, balance, words=()):
        self.base_path, self.scratch, self.words = base_path, scratch, words
        self.ports = [free_port() for _ in range(servers)]
        self.port = free_port()
        self.balance = balance
        self.processes = {}
        self.balancer = None

    def start(self, index):
        with (self.scratch / f"server_{index}.log").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "agiwb.serving.server",
                 f"--model_base_path={self.base_path}", "--no-grpc",
                 f"--rest_api_port={self.ports[index]}",
                 f"--file_system_poll_wait_seconds={0.2 + 0.4 * index}",
                 f"--fleet_folder={self.scratch / 'fleet'}", f"--drain_seconds={DRAIN_S}",
                 *self.words],
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        self.processes[index] = process

    def wait_until_ready(self, index):
        line = self.processes[index].stdout.readline()
        assert line, (self.scratch / f"server_{index}.log").read_text()

    def stop(self, index):
        process = self.processes.pop(index)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()

    def kill(self, index):
        process = self.processes.pop(index)
        process.kill()
        process.wait()
        process.stdout.close()

    def start_balancer(self):
        servers = "\n".join(
            f"    server s{index} 127.0.0.1:{port}" for index, port in enumerate(self.ports)
        )
        configuration = self.scratch / "haproxy.cfg"
        configuration.write_text(f"""
global
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
frontend predictions
    bind 127.0.0.1:{self.port}
    default_backend servers
backend servers
    balance {self.balance}
    hash-type consistent
    option httpchk GET /v2/health/ready
    http-check expect status 200
    default-server check inter 200ms fall 2 rise 2
{servers}
""")
        self.balancer = subprocess.Popen([HAPROXY, "-q", "-f", str(configuration)])

    def ask(self, key, connection):
        """Return status and version of one prediction through the balancer."""
        headers = {"X-Sticky-Key": key, "Content-Type": "application/json"}
        connection.request("POST", f"/v1/models/{self.base_path.name}:predict", BODY, headers)
        response = connection.getresponse()
        text = response.read()
        version = int(json.loads(text)["predictions"][0]) if response.status == 200 else None
        return response.status, version

    def answered_by(self, index):
        """Return the version that one server answers with; 0 if it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[index], timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("POST", f"/v1/models/{self.base_path.name}:predict", BODY)
            return int(json.loads(connection.getresponse().read())["predictions"][0])
        return 0

    def readiness(self, index):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[index], timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/healthz")
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def wait_until_all_answer_with(self, version, within_s=60.0):
        ends = time.monotonic() + within_s
        while {self.answered_by(index) for index in self.processes} != {version}:
            assert time.monotonic() < ends, f"not all answer with {version}"
            time.sleep(0.05)


@contextlib.contextmanager
def fleet(base_path, scratch, *, servers, balance, words=()):
    """Yield a fleet that answers through its balancer; nothing of it is left afterwards."""
    running = Fleet(base_path, scratch, servers, balance, words)
    try:
        for index in range(servers):
            running.start(index)
        for index in range(servers):
            running.wait_until_ready(index)
        running.start_balancer()
        ends = time.monotonic() + 60
        while True:
            probe = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            with contextlib.suppress(OSError), contextlib.closing(probe):
                if running.ask("probe", probe)[0] == 200:
                    break
            assert time.monotonic() < ends, "the balancer does not answer"
            time.sleep(0.05)
        yield running
    finally:
        for process in [*running.processes.values(), running.balancer]:
            if process is not None:
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


class Clients:
    """Threads that ask for several keys in turn, each request after the former's answer."""

    def __init__(self, asked, threads=4, keys=6, pause_s=0.002):
        self.seen = defaultdict(list)
        self.failed = []
        self._asked, self._pause_s = asked, pause_s
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=[[f"{number}-{key}" for key in range(keys)]])
            for number in range(threads)
        ]

    def _work(self, keys):
        connection = http.client.HTTPConnection("127.0.0.1", self._asked.port, timeout=60)
        while not self._stopping.is_set():
            for key in keys:
                try:
                    status, version = self._asked.ask(key, connection)
                except (OSError, http.client.HTTPException) as error:
                    status, version = repr(error), None
                    connection.close()
                if status == 200:
                    self.seen[key].append(version)
                else:
                    self.failed.append((key, status))
                time.sleep(self._pause_s)
        connection.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def requests(self):
        return sum(map(len, self.seen.values()))

    def steps_back(self):
        """Return by key where an older version came after a newer one."""
        return {
            key: (before, after)
            for key, versions in self.seen.items()
            for before, after in itertools.pairwise(versions)
            if after < before
        }
