"""The maintain step: a served model is looked at, and what the policy decides is done."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from agiwb.errors import AgiwbError, CancelledError, InputError, NotFoundError
from agiwb.maintenance.decision import Standing
from agiwb.maintenance.following import follow
from agiwb.maintenance.guarding import Guardian
from agiwb.maintenance.hindsight import WHO as LABELS
from agiwb.maintenance.hindsight import Hindsight
from agiwb.maintenance.ledger import SupersededError, ledger_of
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.policy import Choice, Proposal, choose, propose
from agiwb.maintenance.promotion import champion_of, mirror, roll_back
from agiwb.maintenance.retrain import RetrainConfig, retrain
from agiwb.maintenance.seeing import see
from agiwb.maintenance.trial import Trial
from agiwb.runs.context import Context
from agiwb.runs.events import Event
from agiwb.runs.record import Record
from agiwb.runs.step import Input, step
from agiwb.serving.detached import find_server

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore
    from agiwb.serving.endpoint import Endpoint

_PATIENCE_S = 0.2
_KEPT_LOOKS = 1_000


class Look(BaseModel):
    """One look: what spoke for a new challenger, what was decided, and what came of it.

    Attributes:
        time: UTC, ISO 8601.
        proposals: Of the triggers; none while a challenger is tried.
        choice: Of the policy; None while a challenger is tried.
        rolled_back: Whether labels had the champion rolled back.
        sentence: What was done.
    """

    model_config = ConfigDict(frozen=True)

    time: str
    proposals: tuple[Proposal, ...] = ()
    choice: Choice | None = None
    rolled_back: bool = False
    sentence: str

    @property
    def is_problem(self) -> bool:
        """Whether somebody should know: the data are broken, or the champion was."""
        mend = self.choice is not None and self.choice.action == "mend the data"
        return mend or self.rolled_back


class MaintainRecord(Record):
    """What was seen and done; broken data and roll-backs are problems."""

    config: MaintainConfig
    model_name: str
    looks: tuple[Look, ...]
    """The newest thousand, the same one after the other told once."""
    stands: Standing


def _inputs(config: MaintainConfig, store: RunStore) -> dict[str, Input]:
    champion = champion_of(config.model, ledger_of(config.model))
    server = find_server(config.server)
    if server.process() is None:
        raise InputError(f"The server {server.id} is not running.", "Start it again.")
    return {"champion": Input(champion.run_id, champion.run_id)}


@step("maintain", inputs=_inputs, reusable=False)
def maintain(config: MaintainConfig, context: Context) -> MaintainRecord:
    """Return the record of looking after a served model: once, or until stopped.

    A look does one thing. Without a challenger the triggers propose and the policy decides: data
    that are broken are to be mended first, and after a decision time has to pass. A challenger goes
    from the gate to shadow, canary and champion; a guard that breaks ends its trial. Meanwhile
    the champion is guarded. All decisions are in the ledger: `agiwb history`.

    Raises:
        NotFoundError: There is no such server, or the model has no champion.
        InputError: The server is not running.
        ServingError: The server is gone.
    """
    endpoint = find_server(config.server).endpoint()
    looks: list[Look] = []
    problems: list[str] = []
    guardian = Guardian(config.model, endpoint, config.guards)
    hindsight = Hindsight(config, context.store)
    try:
        with guardian:
            for _ in _looks(config, context):
                found = _look(config, context, endpoint, hindsight)
                if not looks or found.sentence != looks[-1].sentence:
                    context.say(found.sentence)
                    looks = [*looks, found][-_KEPT_LOOKS:]
                if found.is_problem:
                    problems.append(found.sentence)
                problems += _guarded(guardian, config, context)
    finally:
        endpoint.disconnect()
    problems += _guarded(guardian, config, context)
    return MaintainRecord(
        run=context.run,
        config=config,
        problems=tuple(dict.fromkeys(problems)),
        model_name=config.model,
        looks=tuple(looks),
        stands=ledger_of(config.model).standing(),
    )


def _looks(config: MaintainConfig, context: Context) -> Iterator[int]:
    """Yield for each look there is to be, and wait in between."""
    count = config.looks or (None if config.watch else 1)
    for done in itertools.count(1):
        context.stop_if_cancelled()
        yield done
        if done == count:
            return
        until = time.monotonic() + config.every_s
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_PATIENCE_S, left))
            context.stop_if_cancelled()


def _guarded(guardian: Guardian, config: MaintainConfig, context: Context) -> list[str]:
    """Return what the guard has done, once it is told and the registry follows."""
    said = guardian.said()
    for sentence in said:
        context.say(sentence)
    if said:
        mirror(config.model, ledger_of(config.model).standing(), context.store)
    return said


def _look(
    config: MaintainConfig, context: Context, endpoint: Endpoint, hindsight: Hindsight
) -> Look:
    """Do one thing, and return what it was; what fails is told, and tried again."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        told = follow(config.model, endpoint, context.store)
        if told:
            return Look(time=now, sentence=told)
        why = hindsight.regret()
        if why:
            stands = roll_back(config.model, who=LABELS, why=why, endpoint=endpoint)
            mirror(config.model, stands, context.store)
            return Look(time=now, rolled_back=True, sentence=f"Rolled back. {why}")
        standing = ledger_of(config.model).standing()
        if standing.challenger is not None:
            return Look(time=now, sentence=Trial(config, context, endpoint).advance())
        return _decide(config, context, now)
    except CancelledError:
        raise
    except (SupersededError, InputError) as error:
        return Look(time=now, sentence=str(error))
    except AgiwbError as error:
        if not config.watch:
            raise
        return Look(time=now, sentence=f"It did not succeed: {error}")


def _decide(config: MaintainConfig, context: Context, now: str) -> Look:
    try:
        seen = see(config, context)
    except NotFoundError as error:
        return Look(time=now, sentence=f"There is nothing to look at: {error}")
    proposals = propose(seen, config.policy)
    choice = choose(proposals, seen, config.policy)
    sentence = choice.sentence
    if choice.action == "retrain":

        def tell(event: Event) -> None:
            if event.message:
                context.say(event.message, **event.values)

        context.say(f"Retraining: {choice.sentence}")
        champion = champion_of(config.model, ledger_of(config.model))
        began = context.store.get(champion.run_id).run.started_at
        made = retrain(
            RetrainConfig(
                model=config.model,
                model_name=config.model_name,
                since=began.isoformat(),
                leave_out=config.leave_out,
                replay=config.replay,
                epochs=config.epochs,
                min_rows=config.min_labels // 2,
            ),
            listener=tell,
            cancelled=context.cancelled,
        )
        sentence = (
            f"{choice.sentence} Version {made.challenger.version} was trained on "
            f"{made.fresh_rows} fresh and {made.replayed_rows} old examples."
        )
    return Look(time=now, proposals=proposals, choice=choice, sentence=sentence)
