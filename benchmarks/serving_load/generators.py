"""Load by programs that cost little: wrk for HTTP/1.1, h2load for gRPC."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WRK_SCRIPT = """
local file = io.open(os.getenv("LOAD_BODY"), "rb")
wrk.body = file:read("*a")
file:close()
wrk.method = "POST"
for name, value in os.getenv("LOAD_HEADERS"):gmatch("([^\\n]-): ([^\\n]*)") do
  wrk.headers[name] = value
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "errors": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What became of the requests of one run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int


def require_generators() -> None:
    """Raise SystemExit unless the programs are there."""
    packages = {"wrk": "wrk", "h2load": "nghttp2-client"}
    missing = [package for name, package in packages.items() if shutil.which(name) is None]
    if missing:
        raise SystemExit(
            f"The load generators are missing. Debian has them: apt install {' '.join(missing)}"
        )


def load_http(
    url: str, body: bytes, headers: Mapping[str, str], connections: int, seconds: int
) -> Load:
    """Return what wrk saw: each connection asks again as soon as it is answered."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(WRK_SCRIPT)
        environment = {
            "LOAD_BODY": f"{folder}/body",
            "LOAD_HEADERS": "".join(f"{name}: {value}\n" for name, value in headers.items()),
        }
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url]
        said = _run(command, environment)
    return Load(**json.loads(said.strip().splitlines()[-1]))


def load_grpc(url: str, message: bytes, connections: int, seconds: int) -> Load:
    """Return what h2load saw of one unary method, with one call at a time on each connection."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        command = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{seconds}"]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        _run([*command, f"--data={body}", f"--log-file={log}", url], {})
        answers = np.loadtxt(log, np.int64, ndmin=2)  # start, HTTP status, latency: microseconds
    latencies = answers[:, 2] / 1e3
    p50, p99 = (float(value) for value in np.quantile(latencies, [0.5, 0.99]))
    return Load(len(answers), seconds, p50, p99, int((answers[:, 1] != 200).sum()))


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
