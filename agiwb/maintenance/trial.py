"""A challenger's way: gate, shadow, canary, champion; one step at each look.

Where it stands is in the ledger and on the server, never in memory: whoever is killed goes on from
there. Each look of the gate spends half of the level that is left, so that the chance of a worse
challenger to pass stays below ``alpha`` however often it is looked at (a union bound over looks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agiwb.artifacts.resolve import dataset_of
from agiwb.maintenance.decision import Action, Decision, ModelVersion, Standing
from agiwb.maintenance.evidence import evidence_of
from agiwb.maintenance.gate import GateRecord, gate
from agiwb.maintenance.gate_config import GateConfig
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.promotion import promote, reject
from agiwb.runs.context import Context
from agiwb.runs.events import Event

if TYPE_CHECKING:
    from agiwb.serving.endpoint import Endpoint

WHO = "agiwb maintain"
_LEAST_WINDOW = 1_000
_TRIED: tuple[Action, ...] = ("challenge", "shadow", "canary")


class Trial:
    """The trial of a model's challenger on one server."""

    def __init__(self, config: MaintainConfig, context: Context, endpoint: Endpoint) -> None:
        self._config = config
        self._context = context
        self._endpoint = endpoint
        self._ledger = ledger_of(config.model)

    def advance(self) -> str:
        """Return what was done about the challenger, in a sentence.

        Raises:
            SupersededError: Somebody else decided meanwhile.
            InputError: The server refuses, or the challenger cannot be compared.
            ServingError: The server is gone.
        """
        decisions = self._decisions()
        last = decisions[-1]
        if last.action == "canary":
            return self._canary(last)
        if last.action == "challenge":
            return self._look(decisions)
        return self._shadow(decisions)

    def _decisions(self) -> list[Decision]:
        """Return the decisions on the present challenger since it became that."""
        known = self._ledger.decisions()
        challenger = known[-1].stands.challenger
        assert challenger is not None, "there is a challenger to try"  # noqa: S101
        of_it = [
            one
            for one in known
            if one.subject.version == challenger.version and one.action in _TRIED
        ]
        first = max(place for place, one in enumerate(of_it) if one.action == "challenge")
        return of_it[first:]

    def _look(self, decisions: list[Decision]) -> str:
        """Ask the gate; what is not rejected is the server's shadow from then on."""
        found = self._ask_gate(decisions)
        evidence = evidence_of(found)
        if found.verdict == "reject":
            return self._reject(" ".join(found.sentences), evidence)
        subject = self._loaded(found.challenger)
        why = f"{found.verdict}: {' '.join(found.sentences)}"
        self._enter("shadow", subject, {"version": subject.served}, why, evidence)
        return f"Version {subject.version} is the server's shadow. {why}"

    def _shadow(self, decisions: list[Decision]) -> str:
        last, rollout = decisions[-1], self._endpoint.rollout()
        served, now = last.subject.served, rollout["shadow"]
        if now is None or now["version"] != served:
            # The server was started again, or somebody else took the place.
            self._endpoint.load(int(served or 0))
            body = {"version": served, "why": "goes on", "decision": last.revision}
            self._endpoint.administer("PUT", "shadow", body)
            return f"Version {last.subject.version} is the server's shadow again."
        comparison = rollout["comparison"] or {}
        failed, done = comparison.get("requests_failed", 0), comparison.get("requests_compared", 0)
        if failed > self._config.max_error_rate * (failed + done):
            why = f"As a shadow it failed {failed} of {failed + done} requests."
            return self._reject(f"{why} {comparison.get('last_failure') or ''}".strip(), None)
        found = self._context.store.get(str(last.evidence_run))
        assert isinstance(found, GateRecord)  # noqa: S101  a shadow rests on one
        if found.verdict != "promote":
            return self._wait_for_labels(decisions, found)
        if done < self._config.shadow_requests:
            return f"The shadow has answered {done} of {self._config.shadow_requests} requests."
        share = self._config.canary_shares[0]
        why = f"the gate lets it pass, and as a shadow it answered {done} requests without a fault"
        self._set_canary(last.subject, share, why, (str(last.evidence), str(last.evidence_run)))
        return f"Version {last.subject.version} answers {share:.0%} of the clients: {why}."

    def _wait_for_labels(self, decisions: list[Decision], found: GateRecord) -> str:
        if found.labels_needed is None:
            return f"More labels would not settle it, a person has to. {' '.join(found.sentences)}"
        known = self._known_labels()
        wanted = found.served_rows + found.labels_needed
        if known < wanted:
            return f"The shadow waits for labels: {known} of about {wanted} are there."
        return self._look(decisions)

    def _canary(self, last: Decision) -> str:
        config, rollout = self._config, self._endpoint.rollout()
        canary = rollout["canary"]
        if canary is None or canary["version"] != last.subject.served:
            return self._reject(_why_ended(rollout), None)
        done = rollout["watch"]["challenger"]["requests"]
        stage = 1 + sum(share < canary["share"] for share in config.canary_shares)
        wanted = stage * config.canary_requests  # what is seen is kept from share to share
        if done < wanted:
            return (
                f"The canary answers {canary['share']:.0%} of the clients, so far {done} of "
                f"{wanted} requests."
            )
        later = [share for share in config.canary_shares if share > canary["share"]]
        evidence = (str(last.evidence), str(last.evidence_run))
        if later:
            why = f"{done} requests at {canary['share']:.0%} broke no guard"
            self._set_canary(last.subject, later[0], why, evidence)
            return f"Version {last.subject.version} answers {later[0]:.0%} of the clients: {why}."
        if config.approval == "person":
            return (
                f"Version {last.subject.version} broke no guard and waits for a person: "
                f"`agiwb promote {config.model} --server {config.server}`."
            )
        why = f"the gate lets it pass, and {done} requests at {canary['share']:.0%} broke no guard"
        promote(
            config.model,
            last.subject,
            self._context.store,
            who=WHO,
            why=why,
            expected=self._ledger.standing().revision,
            evidence=evidence,
            endpoint=self._endpoint,
        )
        return f"Version {last.subject.version} is the champion: {why}."

    def _ask_gate(self, decisions: list[Decision]) -> GateRecord:
        config = self._config
        look = len({one.evidence_run for one in decisions if one.evidence_run}) + 1
        return gate(
            GateConfig(
                model=config.model,
                challenger=decisions[-1].subject.version,
                format=config.format,
                model_name=config.model_name,
                slices=config.slices,
                margin=config.margin,
                slice_margin=config.slice_margin,
                alpha=config.alpha / 2**look,
                max_latency_ratio=config.max_latency_ratio,
            ),
            listener=self._tell,
            cancelled=self._context.cancelled,
        )

    def _known_labels(self) -> int:
        from agiwb.datasets.registry import load_dataset
        from agiwb.maintenance.served_rows import served_rows

        challenger = self._ledger.standing().challenger
        assert challenger is not None  # noqa: S101  as above
        record = self._context.store.get(challenger.run_id)
        data = load_dataset(dataset_of(record) or "")
        since = record.run.started_at.timestamp()
        return len(served_rows(self._config.served_as, data, since))

    def _loaded(self, version: ModelVersion) -> ModelVersion:
        reference = f"{self._config.model}/{version.version}"
        number = self._endpoint.load(reference, format=self._config.format)
        return version.model_copy(update={"served": number})

    def _set_canary(
        self, subject: ModelVersion, share: float, why: str, evidence: tuple[str, str]
    ) -> None:
        guards = {
            "max_error_rate": self._config.max_error_rate,
            "max_latency_ratio": self._config.max_latency_ratio,
            "window": max(
                _LEAST_WINDOW, len(self._config.canary_shares) * self._config.canary_requests
            ),
        }
        body = {"version": subject.served, "share": share, "guards": guards}
        self._enter("canary", subject, body, why, evidence)

    def _enter(
        self,
        action: Action,
        subject: ModelVersion,
        body: dict[str, Any],
        why: str,
        evidence: tuple[str, str],
    ) -> Standing:
        """Write a stage of the trial, and have the server follow."""
        return self._ledger.decide(
            action,
            subject,
            lambda _: {"challenger": subject},
            who=WHO,
            expected=self._ledger.standing().revision,
            then=lambda stands: self._endpoint.administer(
                "PUT", action, {**body, "why": why, "decision": stands.revision}
            ),
            why=why,
            evidence=evidence,
            server=self._endpoint.address,
        )

    def _reject(self, why: str, evidence: tuple[str, str] | None) -> str:
        """Take the challenger off the server and out of the ledger."""
        rollout, served = self._endpoint.rollout(), self._decisions()[-1].subject.served
        follows = self._ledger.standing().revision + 1  # who is killed in between does it again
        body = {"version": served, "share": 0, "why": why, "decision": follows}
        for role in ("canary", "shadow"):
            if served is not None and rollout[role] and rollout[role]["version"] == served:
                self._endpoint.administer("PUT", role, body)
        reject(
            self._config.model,
            self._context.store,
            who=WHO,
            why=why,
            evidence=evidence,
            server=self._endpoint.address,
        )
        return f"The challenger is rejected: {why}"

    def _tell(self, event: Event) -> None:
        if event.message:
            self._context.say(event.message, **event.values)


def _why_ended(rollout: dict[str, Any]) -> str:
    """Return who ended the canary, and why."""
    last = rollout["ledger"][-1] if rollout["ledger"] else {"who": "nobody", "why": ""}
    return f"{last['who']} ended the canary: {last['why'] or 'no reason was given'}"
