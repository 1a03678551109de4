"""Promoting and rolling back as a user asks for it: what the command line and Python share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    is_champion,
    last_promotion,
    mirror,
    promote,
    refuse_champion,
    roll_back,
)
from agiwb.runs.store import open_store

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore
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
    revision: int | None = Field(
        None, ge=0, description="Decide only if the ledger is still at this revision."
    )


class PromoteConfig(RollBackConfig):
    """Which version of a model becomes its champion, and where."""

    version: int | None = Field(
        None, ge=1, description="Version in the registry; by default the challenger."
    )
    ungated: bool = Field(
        False, description="Promote without the gate's consent; a reason is then required."
    )


def promote_model(
    config: PromoteConfig, endpoint: Endpoint | None = None, served: int | None = None
) -> Standing:
    """Return what stands once a version is the champion.

    The first champion needs no gate: there is nothing to compare it with. Any other needs one that
    compared exactly these two versions and said ``promote`` last.

    Args:
        config: What is decided.
        endpoint: The server that follows, where it is at hand; by default the config's.
        served: The number that the server has the version under; by default it is published.

    Raises:
        NotFoundError: There is no such version, challenger or server.
        InputError: The gate has not let it pass.
        SupersededError: Somebody else decided meanwhile.
        ServingError: The server is gone; what stood before stands again.
    """
    asked = _asked(config, served)
    with _endpoint(config.server, endpoint) as following:
        return promote(
            config.model,
            asked.version,
            asked.store,
            who=config.who,
            why=config.why,
            expected=asked.standing.revision if config.revision is None else config.revision,
            evidence=asked.evidence,
            endpoint=following,
        )


def announce_promotion(config: PromoteConfig) -> str:
    """Return what ``promote_model`` would do, in a sentence for who has to confirm it.

    Raises:
        NotFoundError: There is no such version or challenger.
        InputError: The gate has not let it pass.
    """
    asked = _asked(config, None)
    now, server = asked.standing.champion, _of_server(config.server)
    place = f", in place of version {now.version}" if now is not None else ""
    consent = " The gate has not given its consent." if config.ungated else ""
    version = f"Version {asked.version.version} of {config.model}"
    return f"{version} becomes the champion{place}{server}.{consent}"


def announce_roll_back(config: RollBackConfig) -> str:
    """Return what ``roll_back_model`` would do, in a sentence for who has to confirm it.

    Raises:
        InputError: There is no promotion to undo.
    """
    champion, previous = last_promotion(config.model, ledger_of(config.model).standing())
    return (
        f"Version {previous.version} of {config.model} becomes the champion again, in place of "
        f"version {champion.version}{_of_server(config.server)}."
    )


def roll_back_model(config: RollBackConfig, endpoint: Endpoint | None = None) -> Standing:
    """Return what stands once the champion before the last promotion answers again.

    Args:
        config: What is decided.
        endpoint: The server that follows, where it is at hand; by default the config's.

    Raises:
        NotFoundError: There is no such server.
        InputError: There is no promotion to undo.
        SupersededError: Somebody else decided at the same time.
        ServingError: The server is gone; what stood before stands again.
    """
    with _endpoint(config.server, endpoint) as following:
        standing = roll_back(
            config.model,
            who=config.who,
            why=config.why,
            expected=config.revision,
            endpoint=following,
        )
    mirror(config.model, standing, open_store())
    return standing


@dataclass(frozen=True)
class _Asked:
    """A promotion that may be: of which version, upon what standing and evidence."""

    store: RunStore
    standing: Standing
    version: ModelVersion
    evidence: tuple[str, str] | None


def _asked(config: PromoteConfig, served: int | None) -> _Asked:
    store = open_store()
    standing = ledger_of(config.model).standing()
    if config.version is None and standing.challenger is not None:
        version = standing.challenger
    else:
        version = find_version(config.model, config.version, store)
    if served is not None:
        version = version.model_copy(update={"served": served})
    if is_champion(standing, version):
        mirror(config.model, standing, store)  # the registry may have been away when it became so
    refuse_champion(config.model, standing, version)
    evidence = None
    if config.ungated:
        if not config.why:
            raise InputError(
                "A promotion without the gate's consent needs a reason.", "Give it as `--why`."
            )
    elif standing.champion is not None:
        evidence = evidence_for(config.model, standing.champion, version, store)
    return _Asked(store, standing, version, evidence)


def _of_server(server: str | None) -> str:
    return f", and server {server} follows" if server else "; no server is told"


def told(model: str, standing: Standing) -> str:
    """Return what stands, in a sentence."""
    if standing.champion is None:
        return f"{model} has no champion."
    sentence = f"The champion of {model} is version {standing.champion.version}."
    if standing.previous is not None:
        sentence += f" A roll-back returns to version {standing.previous.version}."
    return sentence + _of_challenger(standing.challenger)


def _of_challenger(challenger: ModelVersion | None) -> str:
    return f" Version {challenger.version} is its challenger." if challenger else ""


@contextmanager
def _endpoint(server: str | None, at_hand: Endpoint | None) -> Iterator[Endpoint | None]:
    """Yield how to ask a server, which goes on afterwards; None for none."""
    if server is None or at_hand is not None:
        yield at_hand
        return
    from agiwb.serving.detached import find_server

    endpoint = find_server(server).endpoint()
    try:
        yield endpoint
    finally:
        endpoint.disconnect()
