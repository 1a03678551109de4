"""Which registered version a server means by its number: servers count for themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agiwb.artifacts.manifest import read_artifact
from agiwb.errors import AgiwbError, NotFoundError
from agiwb.maintenance.decision import ModelVersion
from agiwb.maintenance.ledger import ledger_of
from agiwb.settings import Settings

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

_LONGEST_DESCENT = 10


def registered_version(model: str, served_as: str, number: int, store: RunStore) -> ModelVersion:
    """Return the registered version that is served under ``number``.

    The ledger knows those that it decided about. Of others the published artifact says which run
    it comes of; a compressed or converted form is the version that it was made from.

    Args:
        model: Registered name.
        served_as: The name that it is served under.
        number: As servers have it.
        store: Where it is registered.

    Raises:
        NotFoundError: It is none of the model's versions.
    """
    for decision in reversed(ledger_of(model).decisions()):
        stands = decision.stands
        for known in (decision.subject, stands.champion, stands.challenger, stands.previous):
            if known is not None and known.served == number:
                return known
    versions = store.registered_versions(model)
    for run_id in _origins(served_as, number, store):
        found = [version for version, its in versions.items() if its == run_id]
        if found:
            return ModelVersion(version=max(found), run_id=run_id, served=number)
    raise NotFoundError(
        f"Version {number}, as {served_as} is served, is no registered version of {model}: its "
        "ledger cannot tell of it.",
        "Train or import it under that name, and promote the registered version.",
    )


def _origins(served_as: str, number: int, store: RunStore) -> Iterator[str]:
    """Yield the run that an artifact was made from, and those that made its model."""
    folder = Settings().workspace_path / "serving" / served_as / str(number)
    try:
        run_id = read_artifact(folder).lineage.source_run
        for _ in range(_LONGEST_DESCENT):
            if run_id is None:
                return
            yield run_id
            run_id = store.get(run_id).run.provenance.parents.get("model")
    except AgiwbError:  # it was not published here, or its runs are gone
        return
