"""The champion in hindsight: whether labels show that its predecessor would have answered better.

Both are asked the same requests, those that were served and labelled since the promotion. So what
has become harder for either is not held against the champion.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from agiwb.artifacts.resolve import dataset_of, resolve_artifact
from agiwb.datasets.registry import load_dataset
from agiwb.errors import NotFoundError
from agiwb.maintenance.ledger import ledger_of
from agiwb.maintenance.maintain_config import MaintainConfig
from agiwb.maintenance.noninferiority import compare_pairs
from agiwb.maintenance.scores import ask
from agiwb.maintenance.served_rows import served_rows

if TYPE_CHECKING:
    from agiwb.runs.store import RunStore

WHO = "agiwb maintain: labels"
_FEWEST_LABELS = 30
_MOST_LABELS = 2_000
_ALPHA = 1e-3
"""Level of each look: labels come in again and again, and each time it is looked at anew. Only a
champion that is worse by nearly the limit is ever at risk of a false alarm."""


class Hindsight:
    """Looks at a model's champion again whenever labels have come."""

    def __init__(self, config: MaintainConfig, store: RunStore) -> None:
        self._config = config
        self._store = store
        self._seen: tuple[int, float] | None = None

    def regret(self) -> str:
        """Return why the promotion is to be undone, in a sentence; "" if nothing surely says so.

        Where a version has no artifact in the served format any more, nothing is compared.

        Raises:
            ConfigError: What was served does not fit the champion's data.
        """
        config, limit = self._config, self._config.max_accuracy_loss
        ledger = ledger_of(config.model)
        standing = ledger.standing()
        champion, previous = standing.champion, standing.previous
        if limit is None or champion is None or previous is None:
            return ""
        promoted = [one for one in ledger.decisions() if one.action == "promote"][-1]
        since = datetime.fromisoformat(promoted.time).timestamp()
        data = load_dataset(dataset_of(self._store.get(champion.run_id)) or "")
        rows = served_rows(config.served_as, data, since)
        if len(rows) < _FEWEST_LABELS or (len(rows), rows.known_by) == self._seen:
            return ""
        self._seen = len(rows), rows.known_by
        split = rows.split.take(np.arange(len(rows))[-_MOST_LABELS:])
        try:
            found = [
                resolve_artifact(f"{config.model}/{one.version}", config.format, self._store)
                for one in (champion, previous)
            ]
        except NotFoundError:
            return ""
        ours, theirs = (ask(one, data, split).scores for one in found)
        compared = compare_pairs(ours - theirs, limit)
        if compared.p_worse > _ALPHA:
            return ""
        return (
            f"Of {len(split)} labelled requests since its promotion version {champion.version} "
            f"answered {ours.mean():.1%} right, and version {previous.version} would have answered "
            f"{theirs.mean():.1%}; the limit is {limit:g} less."
        )
