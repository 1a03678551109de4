"""One row asked of a server: the answer, what it took, and the command that asks the same."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from agiwb.serving.endpoint import Endpoint
from agiwb.serving.rest_json.json_text import dump_json


@dataclass(frozen=True)
class Answer:
    """What a server said to one row.

    Attributes:
        outputs: By the name of the output, of the one row.
        milliseconds: From asking to the answer, as seen here.
        curl: A shell command that asks the same.
    """

    outputs: dict[str, NDArray[Any]]
    milliseconds: float
    curl: str

    @property
    def first(self) -> NDArray[Any]:
        """The first output, flat."""
        return next(iter(self.outputs.values())).reshape(-1)

    def ranked(self, classes: Sequence[str] = ()) -> list[tuple[str, float]]:
        """Return names and values of the first output, the largest first.

        One number and two classes are the probability of the second class.
        """
        values = [float(value) for value in self.first]
        if len(values) == 1 and len(classes) == 2:
            values = [1 - values[0], values[0]]
        names = [str(name) for name in classes]
        if len(names) != len(values):
            names = ["value"] if len(values) == 1 else [str(n) for n in range(len(values))]
        return sorted(zip(names, values, strict=True), key=lambda pair: -pair[1])


def ask_row(endpoint: Endpoint, row: Any) -> Answer:
    """Return the answer to one row: an array, a text, or a mapping of the inputs' names.

    Raises:
        InputError: The row does not fit the model.
        ServingError: The server is gone, or failed.
    """
    began = time.perf_counter()
    outputs = endpoint.answer([row])
    spent = 1e3 * (time.perf_counter() - began)
    body = dump_json({"instances": [row]}).decode()
    command = shlex.join(["curl", *endpoint.curl_options, "-d", body, endpoint.url])
    return Answer({name: values[0] for name, values in outputs.items()}, spent, command)
