"""The endpoints that people get: a promotion through them is a decision of the model's ledger.

Serving knows nothing of ledgers; here the two meet. So `endpoint.promote()`, the tab Serve and
`agiwb promote` are one way, with one gate before it and one line in the history.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agiwb.artifacts.manifest import SERVED_NAME
from agiwb.errors import InputError
from agiwb.maintenance.deciding import (
    PromoteConfig,
    RollBackConfig,
    promote_model,
    roll_back_model,
)
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.served_version import registered_version
from agiwb.serving.decider import ByWhoeverAsks
from agiwb.serving.serve import ServeConfig
from agiwb.serving.serve import serve as start

if TYPE_CHECKING:
    from agiwb.serving.detached import DetachedServer
    from agiwb.serving.endpoint import Endpoint

_BY_WHOEVER_ASKS = ByWhoeverAsks()


def serve(config: ServeConfig) -> Endpoint:
    """Return the endpoint of a server that is ready to predict.

    The artifact is published as a version below ``<workspace>/serving/<model_name>/`` and served
    by a process of its own, which ends with this one. In a notebook prefer ``rest_api_port=0``.
    With ``tune`` servers with other batching are tried first, which is told on stderr. Where the
    model has a champion in its promotion ledger, the endpoint's promotions are decided there.

    Raises:
        InputError: The port is taken, there is no such artifact, or clients need certificates of
            their own; nothing was published.
        WorkspaceError: The workspace cannot be written.
        ServingError: The server did not start, or no model of a model_config_file is available.
    """
    endpoint = start(config)
    endpoint.decider = ByLedger(config.model)
    return endpoint


def endpoint_of(server: DetachedServer) -> Endpoint:
    """Return how to ask a server of the workspace; see ``serve``.

    Raises:
        ServingError: It is not running, or no model answers by the usual signature.
    """
    endpoint = server.endpoint()
    endpoint.decider = ByLedger(server.config.model)
    return endpoint


class ByLedger:
    """Enters promotions and roll-backs in the ledger of the model, if it keeps one.

    Args:
        reference: What the server was told to serve.
    """

    def __init__(self, reference: str) -> None:
        self._reference = reference

    def model_of(self, endpoint: Endpoint) -> str | None:
        """Return the registered name whose ledger has a champion; None without one."""
        named = re.split("[/@:]", self._reference, maxsplit=1)[0]
        for name in dict.fromkeys((named, endpoint.model_name)):
            if re.fullmatch(SERVED_NAME, name) and ledger_of(name).standing().champion is not None:
                return name
        return None

    def promote(self, endpoint: Endpoint, version: int | None, why: str, *, ungated: bool) -> int:
        """Have a version answer everybody; see ``agiwb.serving.decider.Decider``."""
        from agiwb.runs.store import open_store

        model = self.model_of(endpoint)
        if model is None:
            return _BY_WHOEVER_ASKS.promote(endpoint, version, why, ungated=ungated)
        canary = endpoint.rollout()["canary"]
        if version is None and canary is None:
            raise InputError(
                f"No canary of {model} is on trial that could be promoted.",
                "Name the version to promote.",
            )
        number = canary["version"] if version is None else version
        known = registered_version(model, endpoint.model_name, number, open_store())
        config = PromoteConfig(model=model, version=known.version, why=why, ungated=ungated)
        promote_model(config, endpoint, served=number)
        return int(number)

    def roll_back(self, endpoint: Endpoint, why: str) -> None:
        """End the canary or undo the last promotion; see ``agiwb.serving.decider.Decider``."""
        model = self.model_of(endpoint)
        if model is None or endpoint.rollout()["canary"] is not None:
            _BY_WHOEVER_ASKS.roll_back(endpoint, why)
        else:
            roll_back_model(RollBackConfig(model=model, why=why), endpoint)
