"""The admin routes, under ``/admin/v1``: rollouts, labels, and the models themselves.

===========================================  ==================================================
``GET    /models``                           the models served
``POST   /models``                           serve one more: ``{name, base_path, policy, labels}``
``DELETE /models/NAME``                      serve it no longer
``GET    /models/NAME/rollout``              who answers, what was compared, and the ledger
``DELETE /models/NAME/rollout``              the highest version answers again
``PUT    /models/NAME/canary``               ``{version, share, guards}``; a share of 0 ends it
``PUT    /models/NAME/shadow``               ``{version, share}``; a share of 0 ends it
``POST   /models/NAME/promote``              ``{version}``, by default the challenger
``POST   /models/NAME/rollback``             end the canary, or undo the last promotion
``PUT    /models/NAME/labels/LABEL``         ``{version}``; ``DELETE`` takes the label away
``POST   /models/NAME/versions/N``             load version N too, and keep those that answer
``POST   /reload``                           read the configuration again
===========================================  ==================================================

Every change of a rollout also takes ``why``, for the ledger, and ``revision``, so that it is
refused (409) if anybody else has changed the rollout since; ``decision`` is the revision of the
model's promotion ledger that it carries out, if it is not decided here. ``policy`` is ``"all"``,
``{"latest": N}`` or ``{"specific": [N, ...]}``; paths of models are below the models' root.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from agiwb.errors import AgiwbError
from agiwb.serving.access.audit import enable_audit, write_audit_line
from agiwb.serving.http.messages import Request, Response
from agiwb.serving.rest.admin_bodies import (
    CanaryBody,
    Decision,
    LabelBody,
    ModelBody,
    PromoteBody,
    ShadowBody,
    parse_body,
)
from agiwb.serving.rollout.rollout import Rollout
from agiwb.serving.rollout.state import Decided, RolloutState
from agiwb.serving.servables.model_changes import ModelChanges
from agiwb.serving.servables.model_config import ModelConfig
from agiwb.serving.status import Code, Refusal, http_status_of
from agiwb.serving.versions import find_versions

_PATH = re.compile(
    r"/admin/v1(?:/(reload)|/models(?:/([^/]+)(?:/(rollout|canary|shadow|promote|rollback"
    r"|labels/[^/]+|versions/\d{1,19}))?)?)/?"
)


class Admin:
    """Answers the admin routes. What may ask them is for the caller to check first.

    Each request leaves an audit line.
    """

    def __init__(self, changes: ModelChanges, rollout: Rollout) -> None:
        """Act on the models by ``changes``, and on their ``rollout``."""
        enable_audit()
        self._changes = changes
        self._catalogue = changes.catalogue
        self._rollout = rollout

    async def handle_admin(self, request: Request, who: str = "") -> Response:
        """Return the answer; ``who`` asks is for the ledger and the audit.

        Raises:
            AgiwbError: What was asked for cannot be done.
        """
        who = who or request.client_certificate or request.peer or "operator"
        problem, status = "", 200
        try:
            answer = await asyncio.to_thread(self._answer, request, who)
            return Response(status, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
        except Exception as error:
            problem = str(error) if isinstance(error, AgiwbError) else type(error).__name__
            status = http_status_of(error)
            raise
        finally:
            write_audit_line(
                who=who,
                peer=request.peer,
                method=request.method,
                path=request.path,
                body=request.body.decode(errors="replace"),
                status=status,
                error=problem,
            )

    def _answer(self, request: Request, who: str) -> Any:
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise Refusal(Code.NOT_FOUND, f"There is no {request.path}.", _WHERE)
        reload, name, action = match.groups()
        method, body = request.method, request.body
        if reload:
            return self._reload(method)
        if name is None:
            return self._all_models(method, body)
        model = unquote(name)
        if action is None:
            return self._one_model(method, model)
        kind, _, part = action.partition("/")
        if part:
            return (
                self._version(method, model, int(part), who)
                if kind == "versions"
                else self._label(method, model, unquote(part), body)
            )
        if action == "rollout" and method == "GET":
            return self._rollout.describe(model)
        return _state(self._change(method, action, model, body, who))

    def _change(self, method: str, action: str, model: str, body: bytes, who: str) -> RolloutState:
        rollout = self._rollout
        match method, action:
            case "PUT", "canary":
                canary = parse_body(CanaryBody, body)
                return rollout.set_canary(
                    model,
                    canary.version,
                    canary.share,
                    canary.guards,
                    decided=_decided(canary, who),
                )
            case "PUT", "shadow":
                shadow = parse_body(ShadowBody, body)
                return rollout.set_shadow(
                    model, shadow.version, shadow.share, decided=_decided(shadow, who)
                )
            case "POST", "promote":
                chosen = parse_body(PromoteBody, body)
                return rollout.promote(model, chosen.version, decided=_decided(chosen, who))
            case "POST", "rollback":
                return rollout.roll_back(model, decided=_decided(parse_body(Decision, body), who))
            case "DELETE", "rollout":
                return rollout.unpin(model, decided=_decided(parse_body(Decision, body), who))
        raise _not_so(method)

    def _reload(self, method: str) -> Any:
        if method != "POST":
            raise _not_so(method)
        self._changes.reload()
        return self._listing()

    def _all_models(self, method: str, body: bytes) -> Any:
        if method == "POST":
            asked = parse_body(ModelBody, body)
            self._changes.add(
                ModelConfig(
                    asked.name, Path(asked.base_path), asked.version_policy(), dict(asked.labels)
                )
            )
        elif method != "GET":
            raise _not_so(method)
        return self._listing()

    def _one_model(self, method: str, model: str) -> Any:
        if method != "DELETE":
            raise _not_so(method)
        self._changes.remove(model)
        return self._listing()

    def _version(self, method: str, model: str, number: int, who: str) -> Any:
        """Have one more version loaded beside those that answer, which go on answering."""
        if method != "POST":
            raise _not_so(method)
        base_path = self._changes.config(model).base_path
        published = [version.number for version in find_versions(base_path)]
        if number not in published:
            raise Refusal(
                Code.NOT_FOUND,
                f"Version {number} of {model} is not published.",
                f"There is: {', '.join(map(str, published)) or 'none'}.",
            )
        rollout = self._rollout.describe(model)
        if rollout["champion"] not in {None, rollout["pinned"]}:
            # Else the highest version, or one that was pinned in former times, would answer
            # everybody as soon as it is loaded.
            why = f"version {number} is loaded beside it"
            self._rollout.pin(model, decided=Decided(who=who, why=why))
        self._changes.serve_also(model, number)
        return self._listing()

    def _label(self, method: str, model: str, label: str, body: bytes) -> Any:
        if method not in {"PUT", "DELETE"}:
            raise _not_so(method)
        version = parse_body(LabelBody, body).version if method == "PUT" else None
        self._changes.set_label(model, label, version)
        return {"labels": dict(self._catalogue.labels(model))}

    def _listing(self) -> dict[str, Any]:
        return {
            "models": [
                {"name": model.name, "available": list(self._catalogue.available(model.name))}
                for model in self._catalogue.models()
            ]
        }


_WHERE = "The routes are /admin/v1/models[/NAME[/rollout|canary|shadow|promote|rollback|labels/L]]."


def _decided(body: Decision, who: str) -> Decided:
    return Decided(who=who, why=body.why, revision=body.revision, decision=body.decision)


def _state(state: RolloutState) -> dict[str, Any]:
    return state.model_dump(mode="json", by_alias=True)


def _not_so(method: str) -> Refusal:
    return Refusal(Code.UNIMPLEMENTED, f"This is not done by {method}.", _WHERE, http_status=405)
