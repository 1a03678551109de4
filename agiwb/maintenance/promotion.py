"""Making a version the champion, and the former one again: ledger, registry and server together.

What may take long, publishing and loading a version, is done before it is decided. The decision is
a line of the ledger; carrying it out is a pointer flip on the server between two loaded versions.
"""

from __future__ import annotations

import getpass
import platform
from typing import TYPE_CHECKING, Any

from agiwb.errors import InputError, NotFoundError, UnreachableError
from agiwb.maintenance.decision import ModelVersion, Standing
from agiwb.maintenance.ledger import Ledger, ledger_of

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore
    from agiwb.serving.endpoint import Endpoint

CHAMPION, CHALLENGER = "champion", "challenger"


def current_user() -> str:
    """Return who decides: the user and the machine this process runs on."""
    return f"{getpass.getuser()}@{platform.node()}"


def find_version(model: str, number: int | None, store: RunStore) -> ModelVersion:
    """Return a registered version of a model, by default the one registered last.

    Raises:
        NotFoundError: There is no such model, or no such version of it.
    """
    run = store.registered_run(model, None if number is None else str(number))
    versions = store.registered_versions(model)
    newest = max(version for version, its in versions.items() if its == run)
    return ModelVersion(version=number or newest, run_id=run)


def challenge(
    model: str, challenger: ModelVersion, store: RunStore, *, who: str, why: str = ""
) -> Standing:
    """Return what stands once a version is the challenger; a former challenger is none any more.

    Raises:
        InputError: It is the champion.
    """
    ledger = ledger_of(model)
    standing = ledger.standing()
    refuse_champion(model, standing, challenger)
    standing = ledger.decide(
        "challenge",
        challenger,
        lambda _: {"challenger": challenger},
        who=who,
        expected=standing.revision,
        why=why,
    )
    mirror(model, standing, store)
    return standing


def promote(
    model: str,
    version: ModelVersion,
    store: RunStore,
    *,
    who: str,
    why: str = "",
    expected: int | None = None,
    evidence: tuple[str, str] | None = None,
    endpoint: Endpoint | None = None,
    format: str | None = None,  # noqa: A002  the field's word
) -> Standing:
    """Return what stands once ``version`` is the champion, in the ledger and for all clients.

    Args:
        model: Registered name.
        version: Of the model.
        store: Where it is registered.
        who: Decides.
        why: In words.
        expected: The ledger's revision that it was decided upon; None takes any.
        evidence: Digest and run of the record that it rests on.
        endpoint: The server that follows; by default none does.
        format: Which of the model's artifacts is served; by default the server's own choice.

    Raises:
        InputError: It is the champion already, or the server cannot load it.
        SupersededError: Somebody else decided since ``expected``.
        ServingError: The server is gone; what stood before stands again.
    """
    ledger = ledger_of(model)
    standing = ledger.standing()
    expected = standing.revision if expected is None else expected
    refuse_champion(model, standing, version)
    chosen = _loaded(model, version, endpoint, format)

    def changes(before: Standing) -> dict[str, Any]:
        rival = before.challenger
        ends = rival is not None and rival.version == chosen.version
        return {
            CHAMPION: chosen,
            "previous": before.champion,
            CHALLENGER: None if ends else rival,
        }

    standing = ledger.decide(
        "promote",
        chosen,
        changes,
        who=who,
        expected=expected,
        then=lambda stands: _flip(endpoint, chosen, why, stands.revision),
        why=why,
        evidence=evidence,
        server=endpoint.address if endpoint else None,
    )
    mirror(model, standing, store)
    return standing


def roll_back(
    model: str,
    *,
    who: str,
    why: str = "",
    expected: int | None = None,
    endpoint: Endpoint | None = None,
) -> Standing:
    """Return what stands once the champion before the last promotion answers again.

    The registry is not asked: its aliases follow when ``mirror`` is called. A server that still
    has the version loaded answers with it as soon as it is told.

    Args:
        model: Registered name.
        who: Decides.
        why: In words.
        expected: The ledger's revision that it was decided upon; None takes any.
        endpoint: The server that follows; by default none does.

    Raises:
        InputError: There is none, or the server cannot load it.
        SupersededError: Somebody else decided at the same time.
        ServingError: The server is gone; what stood before stands again.
    """
    ledger = ledger_of(model)
    standing = ledger.standing()
    undone, previous = last_promotion(model, standing)
    back = _loaded(model, previous, endpoint, None)
    return ledger.decide(
        "roll_back",
        undone,
        lambda _: {CHAMPION: back, "previous": None},
        who=who,
        expected=standing.revision if expected is None else expected,
        then=lambda stands: _flip(endpoint, back, why, stands.revision),
        why=why,
        server=endpoint.address if endpoint else None,
    )


def reject(
    model: str,
    store: RunStore,
    *,
    who: str,
    why: str,
    evidence: tuple[str, str] | None = None,
    server: str | None = None,
) -> Standing:
    """Return what stands once the challenger is none any more.

    Raises:
        NotFoundError: There is no challenger.
    """
    ledger = ledger_of(model)
    standing = ledger.standing()
    if standing.challenger is None:
        raise NotFoundError(f"{model} has no challenger.", "`agiwb retrain` makes one.")
    standing = ledger.decide(
        "reject",
        standing.challenger,
        lambda _: {CHALLENGER: None},
        who=who,
        expected=standing.revision,
        why=why,
        evidence=evidence,
        server=server,
    )
    mirror(model, standing, store)
    return standing


def mirror(model: str, standing: Standing, store: RunStore) -> None:
    """Have the registry's aliases say what stands; whoever finds them behind may repeat it.

    Raises:
        UnreachableError: The registry is away. What stands, stands.
    """
    roles = {CHAMPION: standing.champion, CHALLENGER: standing.challenger}
    try:
        for alias, version in roles.items():
            store.set_alias(model, alias, version.version if version else None)
    except UnreachableError as error:
        champion = standing.champion
        raise UnreachableError(
            f"The decision on {model} stands in its ledger, as revision {standing.revision}; but "
            f"{model}@champion may still name another version. {error.problem}",
            "Once it can be reached, "
            + (
                f"`agiwb promote {model} --version {champion.version}` has the name follow."
                if champion is not None
                else "the next decision has the name follow."
            ),
        ) from None


def champion_of(model: str, ledger: Ledger) -> ModelVersion:
    """Return the champion.

    Raises:
        NotFoundError: No version was ever promoted.
    """
    champion = ledger.standing().champion
    if champion is None:
        raise NotFoundError(
            f"{model} has no champion: no version of it was promoted yet.",
            f"`agiwb promote {model} --version N` makes the first one.",
        )
    return champion


def last_promotion(model: str, standing: Standing) -> tuple[ModelVersion, ModelVersion]:
    """Return the champion and the one before, which a roll-back returns to.

    Raises:
        InputError: There is no promotion to undo.
    """
    if standing.champion is None or standing.previous is None:
        raise InputError(
            f"There is no promotion of {model} to undo.",
            f"`agiwb history {model}` shows what was decided; `agiwb promote` takes any version.",
        )
    return standing.champion, standing.previous


def is_champion(standing: Standing, version: ModelVersion) -> bool:
    """Return whether ``version`` is the champion, in the form that is asked for."""
    champion = standing.champion
    return (
        champion is not None
        and champion.version == version.version
        and version.served in {None, champion.served}
    )


def refuse_champion(model: str, standing: Standing, version: ModelVersion) -> None:
    """Raise InputError if ``version`` is the champion."""
    if is_champion(standing, version):
        raise InputError(
            f"Version {version.version} of {model} is the champion already.",
            f"`agiwb history {model}` shows since when.",
        )


def _loaded(
    model: str,
    version: ModelVersion,
    endpoint: Endpoint | None,
    format: str | None,  # noqa: A002  as above
) -> ModelVersion:
    """Return the version with the number that the server has it loaded under."""
    if endpoint is None:
        return version
    if version.served is not None:
        return version.model_copy(update={"served": endpoint.load(version.served)})
    number = endpoint.load(f"{model}/{version.version}", format=format)
    return version.model_copy(update={"served": number})


def _flip(endpoint: Endpoint | None, version: ModelVersion, why: str, decision: int) -> None:
    if endpoint is not None:
        body = {"version": version.served, "why": why, "decision": decision}
        endpoint.administer("POST", "promote", body)
