"""Whether the rules of a log's policy find what they are to hide.

A misspelt rule, or a new version whose input has another name, would hide nothing, and nobody
would notice.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from agiwb.artifacts.signature import Signature
from agiwb.errors import ConfigError, did_you_mean
from agiwb.serving.prediction_log.policy import LogPolicy, Rule


class RuleCoverage:
    """Checks versions against rules, and remembers which rule found its tensor where. Thread-safe.

    A rule about one model must find its tensor in each of that model's versions. A rule about every
    model must find it in some model, and from then on in all versions of that model.
    """

    def __init__(self, policy: LogPolicy) -> None:
        """Check the rules of ``policy``."""
        self._rules = policy.redact
        self._found: dict[str, set[Rule]] = {}
        self._lock = threading.Lock()

    def check_models(self, models: Collection[str]) -> None:
        """Raise ConfigError for a rule about a model that is not among ``models``."""
        for rule in self._rules:
            if rule.model is not None and rule.model not in models:
                raise ConfigError(
                    f"`redact`: no model {rule.model!r} is served.",
                    did_you_mean(rule.model, models),
                )

    def check_version(self, model: str, signatures: Iterable[Signature], *, alone: bool) -> None:
        """Make sure that a version of ``model`` has what is to be hidden of it.

        Args:
            model: The model's name.
            signatures: All of the version's.
            alone: Whether no other model is served, so that every rule is about this one.

        Raises:
            ConfigError: It has no tensor that a rule names.
        """
        inputs: set[str] = set()
        outputs: set[str] = set()
        for signature in signatures:
            inputs.update(spec.name for spec in signature.inputs)
            outputs.update(spec.name for spec in signature.outputs)
        with self._lock:
            before = self._found.get(model, set())
            found = set()
            for rule in self._rules:
                names = inputs if rule.output is None else outputs
                if not rule.concerns(model):
                    continue
                if rule.tensor in names:
                    found.add(rule)
                elif alone or rule.model is not None or rule in before:
                    raise _not_found(rule, names)
            self._found[model] = before | found

    def check_all(self) -> None:
        """Raise ConfigError for a rule that found nothing in any version checked so far."""
        with self._lock:
            found = set().union(*self._found.values())
        for rule in self._rules:
            if rule not in found:
                raise _not_found(rule, ())


def _not_found(rule: Rule, names: Collection[str]) -> ConfigError:
    kind = "input" if rule.output is None else "output"
    return ConfigError(
        f"`redact`: no {kind} is named {rule.tensor!r}, so nothing of it would be hidden.",
        did_you_mean(rule.tensor, names) if names else "Correct the rule, or leave it out.",
    )
