"""One input given to the chosen server by hand: the answer, why, and the command for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets

from agiwb.artifacts.manifest import read_artifact
from agiwb.errors import InputError
from agiwb.serving.asking_once import ask_row
from agiwb.serving.dataset_rows import Example, example_of, usual_row
from agiwb.serving.example_inputs import (
    input_kind,
    row_of_columns,
    row_of_drawing,
    row_of_image,
    row_of_numbers,
)
from widgets.background import BusyState
from widgets.guard import guarded
from widgets.serve.servers import ServersState

_WHITE = 255.0


class TrialState(BusyState):
    """What the chosen server's model takes, and what it said to the last input."""

    kind = traitlets.Unicode("", help="image, text, table or numbers; empty without a server")
    columns = traitlets.Tuple(help="The inputs' names, for a table")
    takes = traitlets.Unicode("", help="What the model takes, in words")
    white = traitlets.Float(_WHITE, help="The value of a white pixel in the model's data")
    answer = traitlets.Any(None, allow_none=True)
    explanation = traitlets.Unicode("", help="HTML: what the last answer rests on")
    example = traitlets.Instance(
        Example, None, allow_none=True, help="What was uploaded, or taken from the data set, last"
    )
    truth = traitlets.Unicode("", help="What the data set says about the input asked last")
    has_examples = traitlets.Bool(False, help="Whether it is known what the model learned from")

    def __init__(self, servers: ServersState) -> None:
        super().__init__()
        self._servers = servers
        self.classes: tuple[str, ...] = ()
        self.dataset: str | None = None
        self._row: Any = None
        self._draw = np.random.default_rng(0)
        servers.observe(self._describe, "state")
        self._describe()

    @guarded
    def draw(self, png: bytes) -> None:
        """Ask about a drawing, white on black."""
        self._forget()
        if not png:
            raise InputError("Nothing was drawn.", "Draw on the pad first.")
        self._ask(row_of_drawing(png, self._spec(), self.white))

    @guarded
    def upload(self, encoded: bytes) -> None:
        """Ask about an image file, and show what the model sees of it."""
        self._forget()
        row = row_of_image(encoded, self._spec(), self.white)
        self._ask(row)
        self.example = Example(None, row, "")

    @guarded
    def write(self, text: str) -> None:
        """Ask about a text, or about numbers."""
        self._forget()
        self._ask(text if self.kind == "text" else row_of_numbers(text, self._spec()))

    @guarded
    def fill_in(self, values: Mapping[str, str]) -> None:
        """Ask about a table's row."""
        self._forget()
        self._ask(row_of_columns(values, self._servers.endpoint.signature))

    @guarded
    def take_example(self) -> None:
        """Ask about an example of the test split that the model was judged by, drawn at random."""
        if self.dataset is None:
            raise InputError(
                "It is not known which data this model learned from.", "Give an input yourself."
            )
        self.begin(f"reading {self.dataset}", self._take_example)

    def _take_example(self) -> None:
        from agiwb.datasets.registry import load_dataset

        if self.dataset is None:
            return
        data = load_dataset(self.dataset)
        number = int(self._draw.integers(len(data.test)))
        self.example = example_of(data, self._servers.endpoint.signature, number)
        self._ask(self.example.row, self.example.truth)

    @guarded
    def explain(self) -> None:
        """Show what the last answer rests on, by asking again with parts of the input hidden."""
        if self.answer is None:
            raise InputError("Nothing was asked yet.", "Ask the server first.")
        if not self.can_explain:
            raise InputError(
                "Single answers are explained for images and texts, and for tables whose data set "
                "is known.",
                "`agiwb explain` tells what matters over a data set.",
            )
        self.begin("asking again with parts of the input hidden", self._explain)

    @property
    def can_explain(self) -> bool:
        """Whether it can be told what an answer to an input of this kind rests on."""
        return self.kind in {"image", "text"} or (self.kind == "table" and self.has_examples)

    def _explain(self) -> None:
        from agiwb.explanation.occlusion import leave_out_words, occlude_image, replace_columns
        from agiwb.reporting.occlusion import columns_html, plot_occlusion, words_html

        endpoint, answer = self._servers.endpoint, self.answer
        if answer is None:
            return
        target = int(answer.first.argmax())
        name = self._name_of(target, answer.first.size)

        def ask(rows: Any) -> Any:
            return next(iter(endpoint.answer(rows).values())).reshape(len(rows), -1)

        if self.kind == "image":
            row = np.asarray(self._row)
            self.explanation = plot_occlusion(row, occlude_image(row, target, ask), name).html()
        elif self.kind == "text":
            self.explanation = words_html(leave_out_words(self._row, target, ask), name)
        elif self.dataset is not None:
            from agiwb.datasets.registry import load_dataset

            usual = usual_row(load_dataset(self.dataset), endpoint.signature)
            self.explanation = columns_html(replace_columns(self._row, usual, target, ask), name)

    def _name_of(self, target: int, outputs: int) -> str:
        """Return what an output stands for; one for two classes is for the second."""
        if len(self.classes) == outputs:
            return self.classes[target]
        return self.classes[1] if (outputs, len(self.classes)) == (1, 2) else "the answer"

    def _forget(self) -> None:
        """Show no answer while the input may be wrong: it would be taken for this one's."""
        self.answer, self.explanation = None, ""

    def _ask(self, row: Any, truth: str = "") -> None:
        self.explanation = ""
        self._row, self.truth = row, truth
        self.answer = ask_row(self._servers.endpoint, row)

    def _spec(self) -> Any:
        return self._servers.endpoint.signature.inputs[0]

    @guarded
    def _describe(self, _: Any = None) -> None:
        """Find out what the chosen server's model takes, and what its classes are called."""
        self.answer, self.explanation, self.example, self.truth = None, "", None, ""
        if self._servers.state != "running":
            self.kind, self.takes, self.has_examples = "", "", False
            return
        signature = self._servers.endpoint.signature
        folder = self._servers.server.model_folder()
        artifact = read_artifact(folder) if folder is not None else None
        self.classes = artifact.classes if artifact else ()
        self.dataset = artifact.dataset if artifact else None
        self.has_examples = self.dataset is not None
        self.columns = tuple(spec.name for spec in signature.inputs)
        self.takes = "; ".join(str(spec) for spec in signature.inputs)
        self.kind = input_kind(signature)
        if self.kind == "image" and self.dataset is not None:
            self.begin("looking up how bright the data set's white is", self._find_white)

    def _find_white(self) -> None:
        from agiwb.datasets.registry import load_dataset

        if self.dataset is not None:
            self.white = float(load_dataset(self.dataset).scale) or _WHITE
