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
refused (409) if anybody else has changed the rollout since. ``policy`` is ``"all"``,
``{"latest": N}`` or ``{"specific": [N, ...]}``; paths of models are below the models' root.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from agiwb.errors import AgiwbError, InputError
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
from agiwb.serving.rollout.state import RolloutState
from agiwb.serving.servables.catalogue import Catalogue
from agiwb.serving.servables.model_config import ModelConfig
from agiwb.serving.servables.models_config import ModelsFile
from agiwb.serving.servables.policy import Specific
from agiwb.serving.status import Code, Refusal, http_status_of
from agiwb.serving.versions import find_versions

_log = logging.getLogger(__name__)
_audit = logging.getLogger("agiwb.audit")

_PATH = re.compile(
    r"/admin/v1(?:/(reload)|/models(?:/([^/]+)(?:/(rollout|canary|shadow|promote|rollback"
    r"|labels/[^/]+|versions/\d{1,19}))?)?)/?"
)
_INTERNAL_ERROR = 500


class Admin:
    """Answers the admin routes. What may ask them is for the caller to check first.

    Each request leaves an audit line, a JSON object, with the logger ``agiwb.audit``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        rollout: Rollout,
        *,
        root: Path | None = None,
        models_file: ModelsFile | None = None,
    ) -> None:
        """Act on ``catalogue`` and ``rollout``.

        Args:
            catalogue: The models served.
            rollout: Their rollouts.
            root: Folder that added models must be in; None if none may be added.
            models_file: The server's configuration, into which changes are written so that they
                survive a restart; None if there is none.
        """
        _audit.setLevel(logging.INFO)  # however quiet the server is
        self._catalogue = catalogue
        self._rollout = rollout
        self._root = root
        self._models_file = models_file

    async def handle_admin(self, request: Request, who: str = "") -> Response:
        """Return the answer; raises nothing. ``who`` asks is for the ledger and the audit."""
        who = who or request.client_certificate or request.peer or "operator"
        problem = ""
        try:
            answer = await asyncio.to_thread(self._answer, request, who)
            response = Response(200, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
        except AgiwbError as error:
            problem = str(error)
            response = Response(http_status_of(error), orjson.dumps({"error": problem}))
        except Exception as error:  # noqa: BLE001  the answer says so, and the log more
            _log.exception("An admin request failed: %s %s", request.method, request.path)
            problem = f"Internal error ({type(error).__name__}); the server's log has more."
            response = Response(_INTERNAL_ERROR, orjson.dumps({"error": problem}))
        line = {
            "who": who,
            "peer": request.peer,
            "method": request.method,
            "path": request.path,
            "body": request.body[:1000].decode(errors="replace"),
            "status": response.status,
            "error": problem,
        }
        _audit.info(json.dumps(line))
        return response

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
                    model, canary.version, canary.share, canary.guards, **_decided(canary, who)
                )
            case "PUT", "shadow":
                shadow = parse_body(ShadowBody, body)
                return rollout.set_shadow(
                    model, shadow.version, shadow.share, **_decided(shadow, who)
                )
            case "POST", "promote":
                chosen = parse_body(PromoteBody, body)
                return rollout.promote(model, chosen.version, **_decided(chosen, who))
            case "POST", "rollback":
                return rollout.roll_back(model, **_decided(parse_body(Decision, body), who))
            case "DELETE", "rollout":
                return rollout.unpin(model, **_decided(parse_body(Decision, body), who))
        raise _not_so(method)

    def _reload(self, method: str) -> Any:
        if method != "POST":
            raise _not_so(method)
        if self._models_file is None:
            raise Refusal(
                Code.FAILED_PRECONDITION,
                "This server has no configuration file to read again.",
                "Start it with one, or add and remove models under /admin/v1/models.",
            )
        self._catalogue.configure(self._models_file.read())
        return self._listing()

    def _all_models(self, method: str, body: bytes) -> Any:
        if method == "POST":
            asked = parse_body(ModelBody, body)
            path = self._confined(asked.base_path)
            if any(model.name == asked.name for model in self._catalogue.models()):
                raise Refusal(
                    Code.ALREADY_EXISTS,
                    f"A model {asked.name!r} is served already.",
                    "Remove it first, or choose another name.",
                )
            self._catalogue.add(
                ModelConfig(asked.name, path, asked.version_policy(), dict(asked.labels))
            )
            self._keep(asked.name)
        elif method != "GET":
            raise _not_so(method)
        return self._listing()

    def _one_model(self, method: str, model: str) -> Any:
        if method != "DELETE":
            raise _not_so(method)
        self._catalogue.remove(model)
        if self._models_file is not None:
            self._models_file.drop(model)
        return self._listing()

    def _version(self, method: str, model: str, number: int, who: str) -> Any:
        """Have one more version loaded beside those that answer, which go on answering."""
        if method != "POST":
            raise _not_so(method)
        config = self._config(model)
        published = [version.number for version in find_versions(config.base_path)]
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
            self._rollout.promote(model, rollout["champion"], who=who, why=why)
        numbers = {*self._catalogue.available(model), number}
        self._catalogue.add(replace(config, policy=Specific(tuple(sorted(numbers)))))
        self._keep(model)
        return self._listing()

    def _config(self, name: str) -> ModelConfig:
        for model in self._catalogue.models():
            if model.name == name:
                return model
        raise Refusal(Code.NOT_FOUND, f"No model {name!r} is served.")

    def _keep(self, name: str) -> None:
        """Write a model's entry, as it is now, into the configuration."""
        if self._models_file is not None:
            self._models_file.put(self._config(name))

    def _label(self, method: str, model: str, label: str, body: bytes) -> Any:
        if method not in {"PUT", "DELETE"}:
            raise _not_so(method)
        version = parse_body(LabelBody, body).version if method == "PUT" else None
        self._catalogue.set_label(model, label, version)
        self._keep(model)
        return {"labels": dict(self._catalogue.labels(model))}

    def _listing(self) -> dict[str, Any]:
        return {
            "models": [
                {"name": model.name, "available": list(self._catalogue.available(model.name))}
                for model in self._catalogue.models()
            ]
        }

    def _confined(self, base_path: str) -> Path:
        """Return the folder meant, which is inside the root even if there are symbolic links."""
        if self._root is None:
            raise Refusal(
                Code.PERMISSION_DENIED,
                "This server does not let models be added.",
                "Start it with a root folder for models.",
            )
        root = self._root.resolve()
        try:
            path = (root / base_path).resolve()
            exists = path.is_dir()
        except (OSError, ValueError) as error:
            raise InputError(
                f"{base_path!r} cannot be the path of a folder.", "Give one below the models' root."
            ) from error
        if not path.is_relative_to(root) or path == root:
            raise Refusal(
                Code.PERMISSION_DENIED,
                f"The folder {base_path!r} is not below the root of the models.",
                "Give a path relative to that root.",
            )
        if not exists:
            raise Refusal(
                Code.NOT_FOUND,
                f"There is no folder {base_path!r} below the root of the models.",
                "Publish a version there first.",
            )
        return path


_WHERE = "The routes are /admin/v1/models[/NAME[/rollout|canary|shadow|promote|rollback|labels/L]]."


def _decided(decision: Decision, who: str) -> dict[str, Any]:
    return {"who": who, "why": decision.why, "revision": decision.revision}


def _state(state: RolloutState) -> dict[str, Any]:
    return state.model_dump(mode="json", by_alias=True)


def _not_so(method: str) -> Refusal:
    return Refusal(Code.UNIMPLEMENTED, f"This is not done by {method}.", _WHERE, http_status=405)
