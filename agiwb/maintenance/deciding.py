"""Promoting and rolling back as a user asks for it: what the command line and Python share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import Field

from agiwb.config import Config
from agiwb.errors import InputError
from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.evidence import evidence_for
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.promotion import (
    current_user,
    find_version,
    mirror,
    promote,
    refuse_champion,
    roll_back,
)
from agiwb.runs.store import open_store

if TYPE_CHECKING:
    from agiwb.serving.endpoint import Endpoint


class RollBackConfig(Config):
    """Whose last promotion is undone, and where."""

    model: str = Field(description="Registered name of the model.")
    server: str | None = Field(
        None, description="Server that follows, by id or address; see `agiwb servers`."
    )
    why: str = Field("", description="Reason, for the ledger.")
    who: str = Field(
        default_factory=current_user, description="Who decides; by default user@machine."
    )


class PromoteConfig(RollBackConfig):
    """Which version of a model becomes its champion, and where."""

    version: int | None = Field(
        None, ge=1, description="Version in the registry; by default the challenger."
    )
    ungated: bool = Field(
        False, description="Promote without the gate's consent; a reason is then required."
    )


def promote_model(config: PromoteConfig) -> Standing:
    """Return what stands once a version is the champion.

    The first champion needs no gate: there is nothing to compare it with. Any other needs one that
    compared exactly these two versions and said ``promote`` last.

    Raises:
        NotFoundError: There is no such version, challenger or server.
        InputError: The gate has not let it pass.
        SupersededError: Somebody else decided meanwhile.
        ServingError: The server is gone; what stood before stands again.
    """
    store = open_store()
    standing = ledger_of(config.model).standing()
    if config.version is None and standing.challenger is not None:
        version = standing.challenger
    else:
        version = find_version(config.model, config.version, store)
    refuse_champion(config.model, standing, version)
    evidence = None
    if config.ungated:
        if not config.why:
            raise InputError(
                "A promotion without the gate's consent needs a reason.", "Give it as `--why`."
            )
    elif standing.champion is not None:
        evidence = evidence_for(config.model, standing.champion, version, store)
    with _endpoint(config.server) as endpoint:
        return promote(
            config.model,
            version,
            store,
            who=config.who,
            why=config.why,
            expected=standing.revision,
            evidence=evidence,
            endpoint=endpoint,
        )


def roll_back_model(config: RollBackConfig) -> Standing:
    """Return what stands once the champion before the last promotion answers again.

    Raises:
        NotFoundError: There is no such server.
        InputError: There is no promotion to undo.
        SupersededError: Somebody else decided at the same time.
        ServingError: The server is gone; what stood before stands again.
    """
    with _endpoint(config.server) as endpoint:
        standing = roll_back(config.model, who=config.who, why=config.why, endpoint=endpoint)
    mirror(config.model, standing, open_store())
    return standing


def told(model: str, standing: Standing) -> str:
    """Return what stands, in a sentence."""
    if standing.champion is None:
        return f"{model} has no champion."
    sentence = f"The champion of {model} is version {standing.champion.version}."
    if standing.previous is not None:
        sentence += f" `agiwb rollback` returns to version {standing.previous.version}."
    return sentence + _of_challenger(standing.challenger)


def _of_challenger(challenger: ModelVersion | None) -> str:
    return f" Version {challenger.version} is its challenger." if challenger else ""


@contextmanager
def _endpoint(server: str | None) -> Iterator[Endpoint | None]:
    """Yield how to ask a server, which goes on afterwards; None for none."""
    if server is None:
        yield None
        return
    from agiwb.serving.detached import find_server

    endpoint = find_server(server).endpoint()
    try:
        yield endpoint
    finally:
        endpoint.disconnect()
