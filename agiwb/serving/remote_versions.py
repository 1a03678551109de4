"""The versions of a model on a running server: their states, and loading one more."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

from agiwb.errors import InputError, ServingError
from agiwb.serving.client import Client

_LOAD_TIMEOUT_S = 120.0
_LOOK_S = 0.05
_AVAILABLE = "AVAILABLE"


class RemoteVersions:
    """The versions of one model. Thread-safe, as the client is.

    Attributes:
        path: Of the model, below the server's address.
        admin_path: Of the model's admin routes.
    """

    def __init__(self, client: Client, model_name: str, log_file: Path) -> None:
        """Ask by ``client``; ``log_file`` is where the server tells more of a failure."""
        self.path = f"/v1/models/{quote(model_name)}"
        self.admin_path = f"/admin/v1/models/{quote(model_name)}"
        self._client = client
        self._log_file = log_file

    def states(self) -> dict[int, str]:
        """Return the state of each version that the server knows: ``{2: "AVAILABLE"}``."""
        return {number: state for number, (state, _) in self._look().items()}

    def load(self, number: int) -> None:
        """Have a version loaded if it is not, and return once it is available.

        Raises:
            InputError: It cannot be loaded.
            ServingError: The server is gone, or it takes too long.
        """
        if self.states().get(number) == _AVAILABLE:
            return
        self._client.ask("POST", f"{self.admin_path}/versions/{number}", {})
        deadline = time.monotonic() + _LOAD_TIMEOUT_S
        while time.monotonic() < deadline:
            state, problem = self._look().get(number, ("", ""))
            if state == _AVAILABLE:
                return
            if problem:
                raise InputError(f"Version {number} cannot be loaded: {problem}")
            time.sleep(_LOOK_S)
        raise ServingError(
            f"Version {number} was not loaded within {_LOAD_TIMEOUT_S:.0f} s.",
            f"See {self._log_file}.",
        )

    def _look(self) -> dict[int, tuple[str, str]]:
        """Return state and problem of each version."""
        found = self._client.ask("GET", self.path)["model_version_status"]
        return {
            int(one["version"]): (one["state"], one["status"]["error_message"]) for one in found
        }
