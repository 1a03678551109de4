"""The errors of agiwb; each says what was wrong, where, and what to do next.

AgiwbError
├── InputError              what the user gave is wrong; nothing was started      exit code 2
│   ├── ConfigError         a field of a config: unknown, ill-typed, out of bounds
│   ├── DatasetError        a data set: its name, its file or its content
│   ├── NotFoundError       a run, model or artifact this workspace does not have
│   └── WorkspaceError      the workspace cannot be read or written
│       └── UnreachableError    the server that keeps the history is away
├── WorkError               the work was started and did not succeed               exit code 1
│   ├── NotebookError       a cell of a notebook failed
│   └── ServingError        a server did not start, or did not answer
└── CancelledError          the user asked to stop                                 exit code 130
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ENDS = (".", "!", "?", ":")
"""What may stand before the next sentence; TensorFlow Serving's messages end without."""


class AgiwbError(Exception):
    """One problem in one paragraph: ``problem`` says what and where, ``fix`` what to do next."""

    exit_code = 1

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        ended = problem if problem.endswith(_ENDS) or not fix else f"{problem}."
        super().__init__(f"{ended} {fix}".strip())


class InputError(AgiwbError):
    """What the user gave is wrong; nothing was started."""

    exit_code = 2


class ConfigError(InputError):
    """A field of a config is unknown, ill-typed or out of bounds.

    ``fields`` has a sentence for each such field; what is wrong with several together is under "".
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.fields: dict[str, str] = {}


class DatasetError(InputError):
    """A data set's name, file or content is wrong."""


class NotFoundError(InputError):
    """The workspace has no such run, model or artifact."""


class WorkspaceError(InputError):
    """The workspace cannot be read or written."""


class UnreachableError(WorkspaceError):
    """A server that keeps what is shared does not answer; it may be back later."""


class WorkError(AgiwbError):
    """The work was started and did not succeed."""


class NotebookError(WorkError):
    """A cell of a notebook failed."""


class ServingError(WorkError):
    """A server did not start, or did not answer."""


class CancelledError(AgiwbError):
    """The user asked to stop."""

    exit_code = 130


_LONGEST_WORD = 200
"""Characters that are compared: a name may come from a request, and be as long as that."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return "Did you mean `x`?" for the choice nearest to ``word``, else the list of choices."""
    names = sorted(choices)
    nearest = difflib.get_close_matches(word[:_LONGEST_WORD], names, n=1, cutoff=0.6)
    if nearest:
        return f"Did you mean `{nearest[0]}`?"
    return f"Choose from: {', '.join(names)}."
