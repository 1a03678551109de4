"""A ``models.config`` file: read with good errors, watched, and changed one model at a time."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from agiwb.errors import AgiwbError, ConfigError
from agiwb.runs.files import write_atomic
from agiwb.serving.protobuf.messages import parse_text, pool
from agiwb.serving.servables.model_config import ModelConfig, check_models
from agiwb.serving.servables.models_message import fill_entry, model_of, models_of

_SKIPPED = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""")
_ENTRY = re.compile(r"\bconfig\s*:?\s*[{<]")


class ModelsFile:
    """A ModelServerConfig in protobuf's text format. Thread-safe within one process.

    A change is made to what the file holds at that time, so what others wrote into it stays, also
    fields that are not used here. Comments do not stay: the text format's parser drops them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changing = threading.Lock()

    def read(self) -> tuple[ModelConfig, ...]:
        """Return the models that the file lists.

        Raises:
            ConfigError: The file cannot be read or is not such a file; names file and line.
        """
        text = self._text()
        message = parse_text("ModelServerConfig", text, str(self.path))
        self._check_each(message, text)
        try:
            return models_of(message)
        except AgiwbError as error:  # not one entry's fault
            raise ConfigError(f"{self.path}: {error.problem}", error.fix) from error

    def put(self, model: ModelConfig) -> None:
        """Write ``model`` into the file, in place of the one with its name if there is one.

        Raises:
            ConfigError: The file is there and is not such a file.
        """
        with self._changing:
            message = self._message()
            entries = message.model_config_list.config
            entry = next((entry for entry in entries if entry.name == model.name), None)
            fill_entry(entries.add() if entry is None else entry, model)
            self._write(message)

    def replace_all(self, models: Iterable[ModelConfig]) -> None:
        """Have the file list exactly ``models``; entries that stay keep what is not used here.

        Raises:
            ConfigError: The file is there and is not such a file.
        """
        with self._changing:
            message = self._message()
            entries = message.model_config_list.config
            former = {entry.name: entry for entry in entries}
            message.model_config_list.SetInParent()
            del entries[:]
            for model in models:
                entry = entries.add()
                if model.name in former:
                    entry.CopyFrom(former[model.name])
                fill_entry(entry, model)
            self._write(message)

    def drop(self, name: str) -> None:
        """Take the model ``name`` out of the file, if it is there.

        Raises:
            ConfigError: The file is not such a file.
        """
        with self._changing:
            message = self._message()
            entries = message.model_config_list.config
            kept = [entry for entry in entries if entry.name != name]
            if len(kept) < len(entries):
                message.model_config_list.ClearField("config")
                message.model_config_list.config.extend(kept)
                self._write(message)

    def _message(self) -> Any:
        text = self._text() if self.path.exists() else ""
        return parse_text("ModelServerConfig", text, str(self.path))

    def _text(self) -> str:
        try:
            return self.path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The file {self.path} cannot be read: {error}.", "Give a `models.config` file."
            ) from error

    def _write(self, message: Any) -> None:
        write_atomic(self.path, text_format.MessageToString(message, descriptor_pool=pool()))

    def _check_each(self, message: Any, text: str) -> None:
        """Raise ConfigError for the first model that cannot be served, with its line."""
        models: list[ModelConfig] = []
        for index, entry in enumerate(message.model_config_list.config):
            try:
                models.append(model_of(entry))
                check_models(models)
            except AgiwbError as error:
                line = _line_of_entry(text, index)
                raise ConfigError(f"{self.path}{line}: {error.problem}", error.fix) from error


_REST_S = 0.1
"""How long a changed file must stay as it is before it counts."""


class ModelsFileWatch:
    """Gives a file's models to ``configure`` whenever the file changes, from a thread of its own.

    A file that cannot be read, or whose models are refused, changes nothing; it is logged, and
    tried again at every poll, as a label may wait for its version. One that is just being written
    is left alone: many editors empty it first, and an empty one asks for no model at all.
    """

    def __init__(
        self,
        file: ModelsFile,
        configure: Callable[[tuple[ModelConfig, ...]], None],
        poll_s: float,
    ) -> None:
        """Watch ``file`` every ``poll_s`` seconds; 0 gives its models once, in ``start``."""
        self._file = file
        self._configure = configure
        self._poll_s = poll_s
        self._applied: tuple[ModelConfig, ...] | None = None
        self._told = ""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="models-file", daemon=True)

    def start(self) -> None:
        """Give the models for the first time, here and now, then watch.

        Raises:
            ConfigError: The file is not such a file.
            AgiwbError: What ``configure`` raises.
        """
        self._apply()
        if self._poll_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._ending.wait(self._poll_s):
            try:
                self._apply(at_rest=True)
                self._told = ""
            except AgiwbError as error:
                if str(error) != self._told:
                    logging.getLogger("agiwb").warning("The models stay as they are: %s", error)
                self._told = str(error)

    def _apply(self, *, at_rest: bool = False) -> None:
        models = self._file.read()
        if models == self._applied:
            return
        if at_rest:
            self._ending.wait(_REST_S)
            if self._file.read() != models:
                return
        self._configure(models)
        self._applied = models


def _line_of_entry(text: str, index: int) -> str:
    """Return ":line" of the ``config`` with that index, "" if they are written as a list."""
    # Comments and strings become blanks, so that their content is not taken for an entry.
    bare = _SKIPPED.sub(lambda match: " " * len(match[0]), text)
    starts = [match.start() for match in _ENTRY.finditer(bare)]
    return f":{text.count(chr(10), 0, starts[index]) + 1}" if index < len(starts) else ""
