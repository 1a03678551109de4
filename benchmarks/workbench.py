"""How soon the workbench is there, and how soon it shows what a job does.

The first figure is of a kernel of its own, from the cell's start to the widget's message, with what
importing TensorFlow takes in another kernel of the same run beside it. The others are of a panel in
this process: from the click on Train to the first batch on screen, of jobs from nothing and from
the warm process in turn; and from the end of an epoch, as the job wrote it, to its point in the
curves. "On screen" is the moment at which the message to the browser leaves: what the browser then
takes to draw it is not in it.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from typing import Any

from jobs import claim, warm_process

ROUNDS = 3
EPOCHS = 12
LARGEST_SHARE = 0.5
LARGEST_WARM_SHARE = 0.6
LONGEST_CLICK_MS = 150.0
LONGEST_LAG_MS = 500.0
_PATIENCE_S = 600.0

SHOW = "from widgets import Workbench\nWorkbench()"
HEAVY = "import sys; sorted({'tensorflow', 'keras', 'mlflow', 'pandas'} & set(sys.modules))"
WIDGET = "application/vnd.jupyter.widget-view+json"


def in_a_cold_kernel(*cells: str) -> list[tuple[float, dict[str, Any]]]:
    """Return the seconds to each cell's answer, and the last thing it displayed, by MIME type."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(startup_timeout=_PATIENCE_S)
    answers = []
    try:
        for cell in cells:
            shown: dict[str, Any] = {}

            def take(message: dict[str, Any], shown: dict[str, Any] = shown) -> None:
                content = message["content"]
                if message["msg_type"] == "error":
                    raise SystemExit("\n".join(content["traceback"]))
                shown.update(content.get("data", {}) if "result" in message["msg_type"] else {})

            began = time.perf_counter()
            client.execute_interactive(cell, output_hook=take, timeout=_PATIENCE_S)
            answers.append((time.perf_counter() - began, shown))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return answers


def show_workbench() -> tuple[float, int]:
    """Return the seconds until the workbench is shown, and how many heavy libraries that took."""
    (seconds, shown), (_, heavy) = in_a_cold_kernel(SHOW, HEAVY)
    if WIDGET not in shown:
        raise SystemExit("The workbench was not shown.")
    return seconds, len(json.loads(heavy["text/plain"].replace("'", '"')))


def until(is_so: Any) -> float:
    """Wait for it; return the time."""
    deadline = time.perf_counter() + _PATIENCE_S
    while not is_so():
        if time.perf_counter() > deadline:
            raise SystemExit("It took too long.")
        time.sleep(0.002)
    return time.perf_counter()


def train_by_click(is_warm: bool) -> tuple[float, float, list[float]]:
    """Train with the panel's button.

    Returns:
        The seconds that the click took, those from the click to the first batch on screen, and
        those from the end of each epoch to its point in the curves.
    """
    from agiwb.jobs.job import open_job
    from widgets import TrainPanel

    os.environ["AGIWB_WARM"] = str(int(is_warm))
    panel = TrainPanel()
    panel.form.state.change({"architecture": "mlp", "units": 16, "epochs": EPOCHS})
    panel.anew.value = True
    before = panel.state.job
    # As somebody who has seen the panel: it draws the last result first, in this process.
    until(lambda: before is None or panel.result.value)
    began = time.perf_counter()
    panel.button.click()
    clicked = time.perf_counter() - began
    if panel.state.job is before:
        raise SystemExit(panel.state.error)
    view = panel.job.children[0]
    seen: dict[int, float] = {}

    def take(change: Any) -> None:
        points = change["new"].get("train_loss", ())
        for epoch, _ in points:
            seen.setdefault(epoch, time.time())

    panel.state.job.observe(take, "curves")
    first = until(lambda: view.bar.text.startswith("epoch") or view.state.has_ended) - began
    until(lambda: view.state.has_ended)
    if view.state.state != "finished":
        raise SystemExit(view.state.problem)
    events, _ = open_job(view.state.id).events()
    ended = {
        int(event.phase.split()[1]): event.at.timestamp()
        for event in events
        if event.phase.startswith("epoch") and event.ends_phase and "train_loss" in event.values
    }
    return clicked, first, [seen[epoch] - at for epoch, at in ended.items() if epoch in seen]


def main() -> None:
    """Measure, print for people, and end with one JSON line."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"AGIWB_WORKSPACE": f"{folder}/workspace", "TMPDIR": folder}
        tempfile.tempdir = folder
        shown, imported, heavy = [], [], 0
        for _ in range(ROUNDS):
            seconds, found = show_workbench()
            shown.append(seconds)
            heavy = max(heavy, found)
            imported.append(in_a_cold_kernel("import tensorflow")[0][0])
            print(f"shown after {seconds:5.2f} s; import tensorflow {imported[-1]:5.2f} s")
        clicks, lags = [], []
        firsts: dict[str, list[float]] = {"cold": [], "warm": []}
        with warm_process():
            train_by_click(is_warm=True)  # makes the history's tables
            for _ in range(ROUNDS):
                for name, found_s in firsts.items():
                    click, first, lag = train_by_click(name == "warm")
                    clicks.append(click)
                    found_s.append(first)
                    lags += lag
                    print(f"{name}: first batch on screen {first:5.2f} s after the click")
    shown_s, import_s = statistics.median(shown), statistics.median(imported)
    cold, warm = (statistics.median(found_s) for found_s in firsts.values())
    click_ms, lag_ms = 1000 * statistics.median(clicks), 1000 * statistics.median(lags)
    print(f"median: shown after {shown_s:.2f} s (import tensorflow: {import_s:.2f} s);")
    print(f"  first batch {warm:.2f} s warm, {cold:.2f} s cold; a click takes {click_ms:.0f} ms;")
    print(f"  an epoch's end is shown {lag_ms:.0f} ms later (of {len(lags)})")
    claims = [
        claim("workbench shown, to importing TensorFlow", shown_s / import_s, LARGEST_SHARE),
        claim("heavy libraries that showing it imports", heavy, 0),
        claim("click to first batch on screen, warm to cold", warm / cold, LARGEST_WARM_SHARE),
        claim("a click on Train, milliseconds", click_ms, LONGEST_CLICK_MS),
        claim("event to screen, milliseconds", lag_ms, LONGEST_LAG_MS),
    ]
    print(json.dumps({"claims": claims, "machine": f"{platform.machine()} {platform.system()}"}))


if __name__ == "__main__":
    main()
