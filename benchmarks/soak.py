"""Whether hours of live updates cost more and more: a training and a server watched in JupyterLab.

A notebook in a real browser shows the panels Train and Serve while a training goes on, epoch after
epoch, and a server is asked all the time. Every few seconds the notebook is saved and measured:
its file, the kernel's own memory, the page's JavaScript heap after a collection, its DOM nodes, and
what came over the kernel's web socket. The first third is left out, as everything grows while it
warms up; of the rest the slope by Theil and Sen (the median of all pairs' slopes) is given.

    python benchmarks/soak.py               an hour
    python benchmarks/soak.py --minutes 5   as long; the slopes are then uncertain
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from jobs import claim
from playwright.sync_api import Page, WebSocket, sync_playwright

SAMPLES = 90
LARGEST_FILE_KB_H = 16.0
LARGEST_KERNEL_MB_H = 40.0
LARGEST_HEAP_MB_H = 20.0
LARGEST_NODES_H = 500.0
LARGEST_TRAFFIC_RATIO = 1.25
_EPOCHS = 10_000
_ASKED_PER_S = 20
_PATIENCE_S = 300.0
_CELLS = (
    "from widgets import Selection, ServePanel, TrainPanel\n\nshared = Selection()",
    "TrainPanel(shared)",
    "ServePanel(shared)",
)
_SAVE = "window.jupyterapp.commands.execute('docmanager:save')"
_RUN_ALL = "window.jupyterapp.commands.execute('notebook:run-all-cells')"


@dataclass
class Sample:
    """What was measured at one moment; the last two count from the beginning."""

    hours: float
    file_kb: float
    kernel_mb: float
    heap_mb: float
    nodes: float
    messages: int
    sent_kb: float


class Traffic:
    """Counts what a page's web sockets receive."""

    def __init__(self, page: Page) -> None:
        self.messages, self.sent_kb = 0, 0.0
        page.on("websocket", self._listen)

    def _listen(self, one: WebSocket) -> None:
        if "/channels" in one.url:
            one.on("framereceived", self._count)

    def _count(self, frame: str | bytes) -> None:
        self.messages += 1
        self.sent_kb += len(frame) / 1000


@contextlib.contextmanager
def work_to_watch(stop: threading.Event) -> Iterator[None]:
    """Have a training go on and a server be asked, in the workspace of this process."""
    from agiwb import ConvertConfig, ServeConfig, TrainConfig, convert, load_dataset, submit, train
    from agiwb.maintenance.endpoints import endpoint_of
    from agiwb.serving.detached import serve_detached

    made = train(TrainConfig(architecture="mlp", units=16, epochs=2))
    files = convert(ConvertConfig(model=made.run.id, formats=("onnx",)))
    server = serve_detached(ServeConfig(model=str(files.file("onnx")), rest_api_port=0, grpc=False))
    server.wait_until_ready()
    endpoint, rows = endpoint_of(server), load_dataset("digits").test.features[:1]

    def ask() -> None:
        while not stop.wait(1 / _ASKED_PER_S):
            endpoint.predict(rows)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    job = submit("train", TrainConfig(architecture="cnn", epochs=_EPOCHS), reuse=False)
    try:
        yield
    finally:
        stop.set()
        asking.join()
        job.cancel(wait=True)
        endpoint.disconnect()
        server.stop()


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Yield the address and the process of a JupyterLab on a notebook with the two panels."""
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"soak-{place}", "metadata": {},
         "outputs": [], "source": source}
        for place, source in enumerate(_CELLS)
    ]  # fmt: skip
    kernel = {"display_name": "agiwb", "language": "python", "name": "agiwb"}
    notebook = {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "soak.ipynb").write_text(json.dumps(notebook))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--no-browser", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    flags += ["--allow-root"] if os.geteuid() == 0 else []
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agiwb", "lab", f"--port={port}", *flags], cwd=folder,
            env={**os.environ, "JUPYTER_CONFIG_DIR": str(folder / "settings")},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/api", timeout=5).close()  # noqa: S310  our own
                break
            time.sleep(0.2)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def watch(
    page: Page, address: str, lab: psutil.Process, folder: Path, seconds: float
) -> list[Sample]:
    """Show the panels for so long; return what was measured."""
    traffic = Traffic(page)
    page.goto(f"{address}/lab/tree/notebooks/soak.ipynb?reset")
    page.locator(".jp-NotebookPanel-toolbar").get_by_text("agiwb").wait_for(
        timeout=1000 * _PATIENCE_S
    )
    page.wait_for_selector(
        ".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=1000 * _PATIENCE_S
    )
    page.evaluate(_RUN_ALL)
    loss = page.get_by_role("img", name="loss after epoch")
    loss.wait_for(timeout=1000 * _PATIENCE_S)
    page.get_by_text("Requests a second").wait_for(timeout=1000 * _PATIENCE_S)
    kernel = next(
        one
        for one in lab.children(recursive=True)
        if "ipykernel_launcher" in " ".join(one.cmdline())
    )
    tools = page.context.new_cdp_session(page)
    tools.send("HeapProfiler.enable")
    began, first = time.monotonic(), loss.get_attribute("aria-label")
    samples: list[Sample] = []
    while (spent := time.monotonic() - began) < seconds:
        page.evaluate(_SAVE)
        tools.send("HeapProfiler.collectGarbage")
        samples.append(
            Sample(
                spent / 3600,
                (folder / "notebooks" / "soak.ipynb").stat().st_size / 1000,
                kernel.memory_full_info().uss / 1e6,
                tools.send("Runtime.getHeapUsage")["usedSize"] / 1e6,
                tools.send("Memory.getDOMCounters")["nodes"],
                traffic.messages,
                traffic.sent_kb,
            )
        )
        page.wait_for_timeout(1000 * seconds / SAMPLES)
    if loss.get_attribute("aria-label") == first:
        raise SystemExit("Nothing on the page has changed: there was nothing to measure.")
    return samples


def slope(samples: list[Sample], name: str) -> float:
    """Return how much a figure grows in an hour."""
    pairs = itertools.combinations(samples, 2)
    slopes = [
        (getattr(later, name) - getattr(earlier, name)) / (later.hours - earlier.hours)
        for earlier, later in pairs
    ]
    return statistics.median(slopes)


def traffic_ratio(samples: list[Sample], name: str) -> float:
    """Return what came in the second half, to what came in the first."""
    start, middle, end = (samples[place] for place in (0, len(samples) // 2, -1))

    def rate(one: Sample, other: Sample) -> float:
        return float(getattr(other, name) - getattr(one, name)) / (other.hours - one.hours)

    return rate(middle, end) / rate(start, middle)


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    seconds = 60 * parser.parse_args().minutes
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        folder = Path(scratch)
        os.environ |= {"AGIWB_WORKSPACE": f"{scratch}/workspace"}
        stack.enter_context(work_to_watch(threading.Event()))
        address, lab = stack.enter_context(jupyterlab(folder))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        samples = watch(page, address, lab, folder, seconds)
        browser.close()
    settled = samples[len(samples) // 3 :]
    grown: dict[str, float] = {}
    for name in ("file_kb", "kernel_mb", "heap_mb", "nodes"):
        grown[name] = slope(settled, name)
        ends: tuple[Any, Any] = getattr(settled[0], name), getattr(settled[-1], name)
        print(f"{name:>10}: {ends[0]:9.1f} -> {ends[1]:9.1f}, {grown[name]:+8.1f} an hour")
    last, hours = samples[-1], samples[-1].hours - samples[0].hours
    rate = (last.messages - samples[0].messages) / hours / 3600
    print(f"  messages: {rate:.1f} a second, {last.sent_kb / hours / 3600:.1f} kB a second")
    claims = [
        claim("the notebook's file grows, kB an hour", grown["file_kb"], LARGEST_FILE_KB_H),
        claim("the kernel's memory grows, MB an hour", grown["kernel_mb"], LARGEST_KERNEL_MB_H),
        claim("the page's heap grows, MB an hour", grown["heap_mb"], LARGEST_HEAP_MB_H),
        claim("the page's DOM nodes grow, an hour", grown["nodes"], LARGEST_NODES_H),
        claim("messages, second half to first", traffic_ratio(settled, "messages"),
              LARGEST_TRAFFIC_RATIO),
        claim("bytes of messages, second half to first", traffic_ratio(settled, "sent_kb"),
              LARGEST_TRAFFIC_RATIO),
    ]  # fmt: skip
    machine = f"{platform.machine()} {platform.system()}"
    print(json.dumps({"claims": claims, "minutes": round(seconds / 60, 1), "machine": machine}))


if __name__ == "__main__":
    main()
