"""Dead units: ReLU units that are zero whatever comes in, and so can never learn again."""

from __future__ import annotations

from agiwb.training.diagnosis.finding import Evidence, Finding
from agiwb.training.diagnosis.observed import Observed

_MANY = 0.4
_MOST = 0.8


def dead_units(seen: Observed) -> Finding | None:
    """Return a finding if two fifths or more of a layer's units are zero on all sampled examples.

    A unit that is zero on the sampled examples may answer to rare others; in the first samples of
    a training it may still come to life. So the share must be as high in the sample before, too,
    if there is one.
    """
    if not seen.samples:
        return None
    last = seen.samples[-1]
    before = seen.samples[-2].dead_shares if len(seen.samples) > 1 else last.dead_shares
    lasting = {name: min(share, before[name]) for name, share in last.dead_shares.items()}
    if not lasting or max(lasting.values()) < _MANY:
        return None
    worst = max(lasting, key=lasting.__getitem__)
    others = sum(share >= _MANY for share in lasting.values()) - 1
    return Finding(
        rule="dead_units",
        severity="problem" if lasting[worst] >= _MOST else "hint",
        what=f"{lasting[worst]:.0%} of the units of {worst} are zero on all {last.examples} "
        f"sampled training examples{f', and many in {others} more layers' if others else ''}: "
        "a ReLU that is always zero has no gradient, and cannot learn again.",
        evidence=Evidence(
            x_label="layer, from input to output",
            y_label=f"share of dead units after epoch {last.epoch}",
            bars=last.dead_shares,
            levels={"many": _MANY},
        ),
        advice=f"Try `learning_rate: {seen.rate / 10:g}`, {seen.batch_norm_advice}fewer `units`, "
        "or in a model of your own LeakyReLU or GELU instead of ReLU.",
    )
