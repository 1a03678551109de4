"""TensorBoard inside JupyterLab: ``/tensorboard/`` on its address, where a tile of ours leads.

jupyter-server-proxy starts it at the first visit, on loopback, behind Jupyter's own token.
"""

from __future__ import annotations

import sys
from typing import Any

from agiwb.settings import Settings

_START_TIMEOUT_S = 60


def describe() -> dict[str, Any]:
    """Return what jupyter-server-proxy needs to know to start TensorBoard on this workspace."""
    logs = Settings().workspace_path / "tensorboard"
    logs.mkdir(parents=True, exist_ok=True)
    return {
        "command": [
            sys.executable, "-m", "tensorboard.main", "--logdir", str(logs),
            "--host", "127.0.0.1", "--port", "{port}", "--reload_interval", "5",
        ],
        "timeout": _START_TIMEOUT_S,
        "launcher_entry": {"enabled": False},  # which would be blank: ours has a picture
    }  # fmt: skip
