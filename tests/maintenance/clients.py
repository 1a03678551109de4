"""Clients of a served model of digits: they ask without a pause, and tell what was right later."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from agiwb.datasets.registry import load_dataset
from agiwb.monitoring.log import add_labels, prediction_folder


class Clients:
    """Two clients that ask for one image at a time, each as somebody new.

    Attributes:
        failures: What was not answered with 200.
        right: Of each answer, whether it was right, in the order they came.
        change: What happens to an image before it is sent; None for nothing.
    """

    def __init__(self, url: str, model: str, pause_s: float = 0.01) -> None:
        self.failures: list[str] = []
        self.right: list[bool] = []
        self.change: Callable[[NDArray[Any]], NDArray[Any]] | None = None
        self._place = urlsplit(url)
        self._model = model
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._numbers = itertools.count()
        self._known: list[tuple[str, int]] = []
        data = load_dataset("digits")
        parts = data.validation, data.test
        self._images = np.concatenate([part.features for part in parts])
        self._labels = np.concatenate([part.labels for part in parts])

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(str(self._place.hostname), self._place.port)
        with contextlib.closing(connection):
            self._ask_by(connection)

    def _ask_by(self, connection: http.client.HTTPConnection) -> None:
        draw = np.random.default_rng(threading.get_ident() % 2**32)
        while not self._ended.wait(self._pause_s):
            number, row = next(self._numbers), int(draw.integers(len(self._images)))
            image = self._images[row : row + 1]
            image = image if self.change is None else self.change(image)
            noisy = np.clip(image + draw.normal(0, 0.3, image.shape), 0, 16)
            name = f"request-{number}"
            body = json.dumps({"instances": noisy.round(3).tolist()})
            headers = {"X-Request-Id": name, "X-Sticky-Key": name}
            connection.request("POST", self._place.path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                self.failures.append(f"{answer.status}: {text!r}")
                continue
            predicted = int(np.argmax(json.loads(text)["predictions"][0]))
            self.right.append(predicted == self._labels[row])
            self._known.append((name, int(self._labels[row])))

    def tell_labels(self, folder: Path) -> None:
        """Add the labels of what was asked since the last time."""
        known, self._known = self._known, []
        file = folder / f"labels-{next(self._numbers)}.csv"
        lines = [f"{name},{label}\n" for name, label in known]
        file.write_text("".join(["request_id,label\n", *lines]))
        if known:
            add_labels(prediction_folder(self._model), file)

    @contextmanager
    def asking(self) -> Iterator[Clients]:
        """Ask until the block ends."""
        threads = [threading.Thread(target=self._ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
