"""TensorFlow Serving's ``ModelService``: the states of versions, and a new list of models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from agiwb.errors import AgiwbError
from agiwb.serving.access.audit import write_audit_line
from agiwb.serving.engine import Engine
from agiwb.serving.exchange import Caller, ModelSpec
from agiwb.serving.grpc.calls import Method
from agiwb.serving.protobuf.messages import message_class
from agiwb.serving.servables.model_changes import ModelChanges
from agiwb.serving.servables.models_message import models_of
from agiwb.serving.status import HTTP_STATUS, Code, Refusal, code_of

SERVICE = "tensorflow.serving.ModelService"

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{.*\})?[ ](\S+)", re.MULTILINE)
"""A line of Prometheus's text format."""


class ModelService:
    """Answers both requests; several threads may."""

    def __init__(self, engine: Engine, changes: ModelChanges | None) -> None:
        """Answer; ``changes`` replaces the list of models, None if no client may do that."""
        self._engine = engine
        self._changes = changes

    def methods(self) -> dict[str, Method]:
        """Return the service's methods."""
        return {
            "GetModelStatus": Method("GetModelStatusRequest", self._status),
            "HandleReloadConfigRequest": Method("ReloadConfigRequest", self._reload, "admin"),
        }

    def _status(self, request: Any, caller: Caller) -> Any:
        """Return the ``GetModelStatusResponse``; labels are not looked at.

        Raises:
            Refusal: There is no such model or version.
        """
        if not request.HasField("model_spec"):
            raise Refusal(Code.INVALID_ARGUMENT, "Missing ModelSpec")
        spec = request.model_spec
        version = spec.version.value if spec.HasField("version") else None
        response = message_class("GetModelStatusResponse")()
        for status in self._engine.catalogue.status(ModelSpec(spec.name, version)):
            entry = response.model_version_status.add()
            entry.version = status.version
            entry.state = int(status.state)
            entry.status.error_code = int(status.code)
            entry.status.error_message = status.message
        return response

    def _reload(self, request: Any, caller: Caller) -> Any:
        """Return the ``ReloadConfigResponse`` once exactly the models listed are to be served.

        Each attempt leaves an audit line.

        Raises:
            Refusal: The server was started without ``admin``, the list cannot be served, or a
                model is outside the models' root.
            InputError: A model's name does not fit in a URL.
        """
        if self._changes is None:
            raise Refusal(
                Code.PERMISSION_DENIED,
                "This server's models cannot be changed by a request.",
                "Start it with --admin to allow that.",
            )
        problem, code = "", Code.OK
        try:
            return self._replace_models(self._changes, request)
        except Exception as error:
            problem = str(error) if isinstance(error, AgiwbError) else type(error).__name__
            code = code_of(error)
            raise
        finally:
            write_audit_line(
                who=caller.who,
                peer=caller.peer,
                method="gRPC",
                path=f"/{SERVICE}/HandleReloadConfigRequest",
                body=str(request),
                status=HTTP_STATUS[code],
                error=problem,
            )

    def _replace_models(self, changes: ModelChanges, request: Any) -> Any:
        if request.config.WhichOneof("config") != "model_config_list":
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
            )
        before = self._counters(request.metric_names)
        changes.replace_all(models_of(request.config))
        response = message_class("ReloadConfigResponse")()
        response.status.SetInParent()
        for name, value in self._counters(request.metric_names).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response

    def _counters(self, names: Iterable[str]) -> dict[str, int]:
        """Return the first sample of each metric, 0 for one there is not, as TensorFlow Serving."""
        if not names:
            return {}
        samples: dict[str, float] = {}
        for found in _SAMPLE.finditer(self._engine.metrics.render_tensorflow().decode()):
            samples.setdefault(found[1], float(found[2]))
        return {name: int(samples.get(name.replace("/", ":"), 0)) for name in names}
