"""Changes that a client asks of one worker, carried out by all of them.

A change of the models is carried out where it was asked for, then everywhere else, and kept for
workers that are started later. A change of a rollout is in a file that all follow; the others are
told to look at it now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agiwb.serving.http.messages import Request, Response
from agiwb.serving.rest.admin import Admin
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.servables.catalogue import Catalogue, ModelConfig
from agiwb.serving.servables.policy import All, Latest, Specific, VersionPolicy
from agiwb.serving.status import Code, Refusal

Change = dict[str, Any]

FOLLOW_ROLLOUTS: Change = {"do": "follow_rollouts"}
_OK = 200
_LABEL_WAIT_S = 2.0
_LABEL_LOOK_S = 0.01


class Sharing(Protocol):
    """Has other workers carry out a change."""

    def share(self, change: Mapping[str, Any]) -> list[str]:
        """Return what went wrong there, once all have tried."""
        ...


class SharedCatalogue(Catalogue):
    """A catalogue whose changes reach those of the other workers. Thread-safe.

    ``Catalogue.configure(catalogue, ...)`` is for what every worker does by itself.
    """

    def __init__(self, crew: Sharing, *arguments: Any, **options: Any) -> None:
        """Share with ``crew``; the rest as for Catalogue."""
        super().__init__(*arguments, **options)
        self._crew = crew

    def configure(self, models: Sequence[ModelConfig]) -> None:
        """Serve exactly ``models``, in all workers; raise as Catalogue does."""
        change = {"do": "configure", "models": [_written(model) for model in models]}
        try:
            super().configure(models)
        except Refusal:  # of a label: all else was carried out, and is to be everywhere
            self._crew.share(change)
            raise
        self._share(change)

    def add(self, model: ModelConfig) -> None:
        """Serve ``model`` too, in all workers; raise as Catalogue does."""
        change = {"do": "add", "models": [_written(model)]}
        try:
            super().add(model)
        except Refusal:  # see ``configure``
            self._crew.share(change)
            raise
        self._share(change)

    def remove(self, name: str) -> None:
        """Unload the model ``name`` in all workers; raise as Catalogue does."""
        super().remove(name)
        self._share({"do": "remove", "name": name})

    def set_label(self, name: str, label: str, version: int | None) -> None:
        """Point ``label`` at ``version`` in all workers; raise as Catalogue does."""
        super().set_label(name, label, version)
        self._share({"do": "label", "name": name, "label": label, "version": version})

    def _share(self, change: Change) -> None:
        if problems := self._crew.share(change):
            raise Refusal(
                Code.UNAVAILABLE,
                "The change was made, but not in every worker: " + " ".join(problems),
                "Ask for it again.",
            )


class SharedAdmin(Admin):
    """Admin routes whose changes of rollouts reach the other workers before they are answered."""

    def __init__(self, crew: Sharing, *arguments: Any, **options: Any) -> None:
        """Share with ``crew``; the rest as for Admin."""
        super().__init__(*arguments, **options)
        self._crew = crew

    async def handle_admin(self, request: Request, who: str = "") -> Response:
        """Return the answer; raise as Admin does."""
        response = await super().handle_admin(request, who)
        if request.method != "GET" and response.status == _OK:
            try:
                await asyncio.to_thread(self._crew.share, FOLLOW_ROLLOUTS)
            except Exception:  # they look at the file by themselves, a second later
                logging.getLogger("agiwb").exception("The other workers were not told.")
        return response


def carry_out(
    catalogue: Catalogue,
    rollout: Rollout,
    change: Mapping[str, Any],
    wait_s: float = _LABEL_WAIT_S,
) -> Change:
    """Carry out, in this worker only, what another one was asked for.

    Args:
        catalogue: This worker's.
        rollout: Likewise.
        change: As it was shared.
        wait_s: Seconds that a label waits for its version to be available here as well.

    Returns:
        ``{"error": why}`` if that failed, else nothing.
    """
    try:
        match change["do"]:
            case "follow_rollouts":
                rollout.refresh()
            case "configure":
                Catalogue.configure(catalogue, [_read(model) for model in change["models"]])
            case "add":
                Catalogue.add(catalogue, _read(change["models"][0]))
            case "remove":
                Catalogue.remove(catalogue, change["name"])
            case "label":
                _label(catalogue, change["name"], change["label"], change["version"], wait_s)
    except Exception as error:  # noqa: BLE001  whoever asked is told
        logging.getLogger("agiwb").warning("A change was not made here: %s", error)
        return {"error": str(error)}
    return {}


def _label(catalogue: Catalogue, name: str, label: str, version: int | None, wait_s: float) -> None:
    """Set a label; a version that was just admitted elsewhere is, in a moment, here as well."""
    ends = time.monotonic() + wait_s
    while True:
        try:
            Catalogue.set_label(catalogue, name, label, version)
        except Refusal:
            if time.monotonic() > ends:
                raise
            time.sleep(_LABEL_LOOK_S)
        else:
            return


def _written(model: ModelConfig) -> Change:
    return {
        "name": model.name,
        "base_path": str(model.base_path),
        "policy": _written_policy(model.policy),
        "labels": dict(model.labels),
    }


def _read(model: Mapping[str, Any]) -> ModelConfig:
    kind, *numbers = model["policy"]
    policy: VersionPolicy = All()
    if kind == "latest":
        policy = Latest(numbers[0])
    elif kind == "specific":
        policy = Specific(tuple(numbers))
    return ModelConfig(model["name"], Path(model["base_path"]), policy, model["labels"])


def _written_policy(policy: VersionPolicy) -> list[str | int]:
    if isinstance(policy, Latest):
        return ["latest", policy.num_versions]
    return ["specific", *policy.versions] if isinstance(policy, Specific) else ["all"]
