"""What is known of the champion: the monitor's report, its labels, and how old things are."""

from __future__ import annotations

from datetime import UTC, datetime

from agiwb.datasets.registry import load_dataset
from agiwb.maintenance.decision import Decision
from agiwb.maintenance.ledger import Ledger, ledger_of
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.policy import Seen
from agiwb.maintenance.promotion import champion_of
from agiwb.maintenance.served_rows import served_rows
from agiwb.monitoring.config import MonitorConfig
from agiwb.monitoring.monitor import MonitorRecord, monitor
from agiwb.runs.context import Context
from agiwb.runs.events import Event

_UNUSABLE = "not a number"


def see(config: MaintainConfig, context: Context) -> Seen:
    """Return what is known of the champion now.

    Raises:
        NotFoundError: Nothing was served by it yet, or it has no artifact.
        ConfigError: What was served does not fit its data.
    """
    ledger = ledger_of(config.model)
    champion = champion_of(config.model, ledger)

    def quietly(event: Event) -> None:
        context.stop_if_cancelled()

    found = monitor(
        MonitorConfig(
            model=f"{config.model}/{champion.version}",
            format=config.format,  # rounding alone moves the scores
            model_name=config.served_as,
            last_rows=config.last_rows,
            version=champion.served,
        ),
        listener=quietly,
        cancelled=context.cancelled,
    )
    began = context.store.get(champion.run_id).run.started_at
    labelled = served_rows(config.served_as, load_dataset(found.dataset), began.timestamp())
    now, performance = datetime.now(UTC), found.performance
    return Seen(
        rows=found.rows,
        reference_accuracy=found.reference_accuracy or 0.0,
        accuracy=performance.accuracy if performance else None,
        p_value=performance.p_value if performance else None,
        expected=found.estimated_accuracy_interval,
        drifted=found.drifted_count,
        faults=_faults(found, config.max_faulty_share),
        new_labels=len(labelled),
        champion_age_s=(now - began).total_seconds(),
        since_decision_s=_since_decision(ledger, now),
    )


def _faults(found: MonitorRecord, limit: float) -> tuple[str, ...]:
    """Return what no drift explains: values that are no numbers, in more rows than may be."""
    return tuple(
        one.sentence for one in found.quality if one.kind == _UNUSABLE and one.share > limit
    )


def _since_decision(ledger: Ledger, now: datetime) -> float | None:
    """Return the seconds since who answers was last changed or confirmed."""
    settled = [one for one in ledger.decisions() if _settles(one)]
    if not settled:
        return None
    return (now - datetime.fromisoformat(settled[-1].time)).total_seconds()


def _settles(decision: Decision) -> bool:
    first = decision.action == "promote" and decision.stands.previous is None
    return decision.action in {"promote", "roll_back", "reject"} and not first
