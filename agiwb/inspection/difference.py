"""How two models differ: signature, operators, layers, sizes, and the weights themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from agiwb.inspection.contents import Weight
from agiwb.inspection.inspect_model import inspect_model, opened, read_contents
from agiwb.inspection.inspection import Inspection


class TensorChange(BaseModel):
    """One tensor that both models have, by name, or by a shape that only one tensor of each has.

    Attributes:
        name: In the first model.
        other_name: In the second.
        dtypes: As stored in the first, and in the second.
        largest: The largest difference of a value; quantised ones as what they stand for.
        relative: Euclidean norm of the difference, over that of the first; None over zero.
        changed: How many values differ at all.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    other_name: str
    dtypes: tuple[str, str]
    largest: float
    relative: float | None
    changed: int


class Difference(BaseModel):
    """What is different; a field is empty where nothing is.

    Attributes:
        one: The first model.
        other: The second.
        signature: Tensors that only one of them has: ``- `` the first, ``+ `` the second.
        operators: How often an operator occurs in each, where that differs.
        only_one: Tensors of the first that the second has none of.
        only_other: The reverse.
        tensors: Those in both whose values or dtypes differ.
        unchanged: How many tensors are in both and the same.
    """

    model_config = ConfigDict(frozen=True)

    one: Inspection
    other: Inspection
    signature: tuple[str, ...]
    operators: dict[str, tuple[int, int]]
    only_one: tuple[str, ...]
    only_other: tuple[str, ...]
    tensors: tuple[TensorChange, ...]
    unchanged: int

    @property
    def layers(self) -> dict[str, tuple[int, int]]:
        """Bytes of each layer in the first and in the second model, where they differ."""
        sizes = [{layer.name: layer.size_bytes for layer in model.layers}
                 for model in (self.one, self.other)]  # fmt: skip
        names = dict.fromkeys([*sizes[0], *sizes[1]])
        pairs = {name: (sizes[0].get(name, 0), sizes[1].get(name, 0)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def is_empty(self) -> bool:
        """Whether the models are the same but for their bytes."""
        found = (self.signature, self.operators, self.only_one, self.only_other, self.tensors)
        return not any(found)


def compare_models(one: Path | str, other: Path | str) -> Difference:
    """Return how two models differ, which may be of different formats.

    Raises as ``inspect_model`` does.
    """
    first, second = inspect_model(one), inspect_model(other)
    weights, others = _weights(one), _weights(other)
    pairs = _pairs(weights, others)
    changes = [_change(weights[name], others[also]) for name, also in pairs]
    met, also_met = {name for name, _ in pairs}, {also for _, also in pairs}
    found = [change for change in changes if change is not None]
    return Difference(
        one=first,
        other=second,
        signature=_signature(first, second),
        operators={
            name: (first.operators.get(name, 0), second.operators.get(name, 0))
            for name in dict.fromkeys([*first.operators, *second.operators])
            if first.operators.get(name) != second.operators.get(name)
        },
        only_one=tuple(name for name in weights if name not in met),
        only_other=tuple(name for name in others if name not in also_met),
        tensors=tuple(found),
        unchanged=len(changes) - len(found),
    )


def _weights(path: Path | str) -> dict[str, Weight]:
    with opened(Path(path)) as (kind, file):
        return {weight.name: weight for weight in read_contents(kind, file).weights}


def _signature(one: Inspection, other: Inspection) -> tuple[str, ...]:
    lines: list[str] = []
    for side in ("inputs", "outputs"):
        ours = [f"{side[:-1]} {spec}" for spec in getattr(one.signature, side)]
        theirs = [f"{side[:-1]} {spec}" for spec in getattr(other.signature, side)]
        if not ours or not theirs:  # not known, as the outputs of a Keras file
            continue
        lines += [f"- {line}" for line in ours if line not in theirs]
        lines += [f"+ {line}" for line in theirs if line not in ours]
    return tuple(lines)


def _pairs(ones: dict[str, Weight], others: dict[str, Weight]) -> list[tuple[str, str]]:
    """Return the names that belong together: the same name, else a shape that is there once."""
    pairs = [
        (name, name) for name in ones
        if name in others and ones[name].shape == others[name].shape
    ]  # fmt: skip
    met = {name for name, _ in pairs}
    left = {name: weight for name, weight in ones.items() if name not in met}
    left_others = {name: weight for name, weight in others.items() if name not in met}
    counts = [Counter(weight.shape for weight in some.values()) for some in (left, left_others)]
    by_shape = {weight.shape: name for name, weight in left_others.items()}
    return pairs + [
        (name, by_shape[weight.shape])
        for name, weight in left.items()
        if weight.shape and counts[0][weight.shape] == counts[1][weight.shape] == 1
    ]


def _change(one: Weight, other: Weight) -> TensorChange | None:
    """Return how two tensors of one shape differ; None if they do not."""
    dtypes = (one.dtype, other.dtype)
    ours, theirs = one.real(), other.real()
    if ours is None or theirs is None:
        same = dtypes[0] == dtypes[1] and _same_content(one, other)
        largest, relative, changed = 0.0, None, 0 if same else -1
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(
                (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0, theirs - ours
            )
            largest, changed = float(np.abs(apart).max()), int(np.count_nonzero(apart))
            norm = float(np.linalg.norm(ours))
            relative = float(np.linalg.norm(apart)) / norm if norm else None
        same = not changed and dtypes[0] == dtypes[1]
    if same:
        return None
    return TensorChange(
        name=one.name, other_name=other.name, dtypes=dtypes, largest=largest, relative=relative,
        changed=max(changed, 0),
    )  # fmt: skip


def _same_content(one: Weight, other: Weight) -> bool:
    if one.values is None or other.values is None:
        return one.values is other.values and one.size_bytes == other.size_bytes
    return bool(np.array_equal(one.values, other.values))
