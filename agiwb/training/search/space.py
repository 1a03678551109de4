"""The space to search: for each field of a TrainConfig, the values it may take.

A range is written ``LOW..HIGH``, ``LOW..HIGH:STEP`` or ``LOW..HIGH:log``, and a choice
``A,B,C``: ``learning_rate=1e-4..1e-1:log units=16..128:16 optimizer=adam,sgd``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError

from agiwb.config import describe_field
from agiwb.errors import did_you_mean
from agiwb.training.config import TrainConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = int | float | bool | str | None
"""What one field of a trial is set to."""

_FIXED = {
    "dataset": "a search compares models of one data set",
    "name": "it does not change the model",
    "options": "give it as a field of its own",
    "seed": "the luckiest seed on validation is not a better setting",
    "strategy": "it does not change the model",
}
SEARCHABLE = tuple(name for name in TrainConfig.model_fields if name not in _FIXED)
"""The fields that a space may have."""

_NOTATION = "Write `units=16..128:16`, `learning_rate=1e-4..1e-1:log` or `optimizer=adam,sgd`."
_MOST_GRID_POINTS = 10_000
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Choices:
    """Any of some values."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return ",".join(map(_text, self.values))

    def points(self) -> tuple[Value, ...]:
        """Every value."""
        return self.values

    def distribution(self) -> BaseDistribution:
        """Return it in Optuna's terms."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class Span:
    """Numbers from ``low`` to ``high``, both included: integers if these are, else real."""

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    def __str__(self) -> str:
        how = ":log" if self.log else f":{_text(self.step)}" if self.step else ""
        return f"{_text(self.low)}..{_text(self.high)}{how}"

    def points(self) -> tuple[Value, ...] | None:
        """Every value, or None if they are too many to be a grid's."""
        step = self.step or (1 if isinstance(self.low, int) else None)
        if self.log or step is None:
            return None
        count = round((self.high - self.low) / step) + 1
        # Rounded, for three steps of 0.1 are not quite 0.3.
        return tuple(
            self.low + i * step if isinstance(step, int) else round(self.low + i * step, 12)
            for i in range(count)
        )

    def distribution(self) -> BaseDistribution:
        """Return it in Optuna's terms."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)


Range = Choices | Span


def space_texts(given: Any) -> Any:
    """Return a space in its plain notation, whatever it was written in.

    Args:
        given: ``NAME=RANGE`` words, or a mapping from names to ranges; in a mapping a range may
            also be a list of values, or a mapping with ``low``, ``high``, and ``step`` or ``log``.
    """
    if isinstance(given, str):
        given = given.split()
    if isinstance(given, Sequence):
        words = [str(word).partition("=") for word in given]
        repeated = [name for name, _, _ in words if [w[0] for w in words].count(name) > 1]
        if repeated:
            raise ValueError(f"`{repeated[0]}` is given twice.")
        given = {name: text for name, _, text in words}
    if not isinstance(given, Mapping):
        return given
    return {str(name).replace("-", "_"): _range_text(name, value) for name, value in given.items()}


def canonical(space: dict[str, str]) -> dict[str, str]:
    """Return the space with each range checked and in its shortest notation."""
    return {name: str(parse_range(name, text)) for name, text in space.items()}


def parse_range(name: str, text: str) -> Range:
    """Return what ``text`` says about the field ``name``.

    Raises:
        ValueError: There is no such field, or it cannot take such values.
    """
    if name in _FIXED:
        raise ValueError(f"`{name}` cannot be searched: {_FIXED[name]}.")
    if name not in SEARCHABLE:
        raise ValueError(
            f"there is no parameter `{name}` to search. {did_you_mean(name, SEARCHABLE)}"
        )
    if not text.strip():
        raise ValueError(
            f"`{name}` has no values. Write {name}=LOW..HIGH[:log or :STEP] or {name}=A,B,C."
        )
    kinds = get_args(TrainConfig.model_fields[name].annotation) or (
        TrainConfig.model_fields[name].annotation,
    )
    if ".." in text and {int, float} & set(kinds):
        return _span(name, text)
    words = [word.strip() for word in text.split(",")]
    return Choices(tuple(dict.fromkeys(_value(name, word) for word in words)))


def default_space(config: TrainConfig, *, as_grid: bool) -> dict[str, Range]:
    """Return a usual space for the config's family.

    Fields that are set to another value than their default are the user's choice, and left out.
    """
    texts = {"learning_rate": "0.0001..0.01:log", "batch_size": "16,32,64,128"}
    if as_grid:
        texts = {"learning_rate": "0.0003,0.001,0.003,0.01", "batch_size": "32,128"}
    sized = {"units": "32,64,128"} if as_grid else {"units": "16..128:16", "dropout": "0..0.5:0.1"}
    of_family = {
        "auto": sized,
        "mlp": {**sized, "layers": "1..3"},
        "tabular": {**sized, "layers": "1..3"},
        "cnn": sized,
        "resnet": sized,
        "audio": sized,
        "two_tower": {**sized, "layers": "1..2"},
        "rnn": {**sized, "cell": "lstm,gru"},
        "text": {**sized, "encoder": "pooled,transformer"},
    }
    texts |= of_family.get(config.architecture, {})
    fields = TrainConfig.model_fields
    return {
        name: parse_range(name, text)
        for name, text in texts.items()
        if getattr(config, name) == fields[name].get_default()
    }


def grid_size(space: Mapping[str, Range]) -> int:
    """Return the number of points of the space.

    Raises:
        ValueError: It has no end, or too many.
    """
    sizes = {name: each.points() for name, each in space.items()}
    for name, points in sizes.items():
        if points is None:
            raise ValueError(
                f"a grid needs single values, and `{name}={space[name]}` is a continuum. List "
                f"them, as in {name}={_text(space[name].low)},{_text(space[name].high)}, or use "  # type: ignore[union-attr]
                "sampler tpe."
            )
    count = math.prod(len(points or ()) for points in sizes.values())
    if count > _MOST_GRID_POINTS:
        raise ValueError(
            f"the grid has {count} points; {_MOST_GRID_POINTS} are the most. Give fewer values, "
            "or use sampler random or tpe."
        )
    return count


def grid_points(space: Mapping[str, Range]) -> Iterator[dict[str, Value]]:
    """Yield every point of a space that is a grid; the last field changes fastest."""
    columns = [each.points() or () for each in space.values()]
    for point in itertools.product(*columns):
        yield dict(zip(space, point, strict=True))


def _span(name: str, text: str) -> Span:
    ends, _, how = text.partition(":")
    low_text, _, high_text = ends.partition("..")
    low, high = (_value(name, part) for part in (low_text, high_text))
    if not isinstance(low, int | float) or not isinstance(high, int | float) or low >= high:
        raise ValueError(f"`{name}={text}` must lead from a number to a larger one. {_NOTATION}")
    if how == "log":
        if low <= 0:
            raise ValueError(f"`{name}={text}`: a logarithmic range begins above 0.")
        return Span(low, high, log=True)
    if not how:
        return Span(low, high)
    return Span(low, high, _step(name, text, how, low, high))


def _step(name: str, text: str, how: str, low: float, high: float) -> float:
    try:
        step = int(how) if isinstance(low, int) else float(how)
    except ValueError:
        number = "a whole number" if isinstance(low, int) else "a number"
        raise ValueError(
            f"`{name}={text}`: after the colon comes `log`, or a step that is {number}."
        ) from None
    if not 0 < step <= high - low + _ROUNDING:
        raise ValueError(f"`{name}={text}`: a step lies above 0 and within the range.")
    steps = (high - low) / step
    if abs(steps - round(steps)) > _ROUNDING * max(1, steps):
        last = low + math.floor(steps) * step
        raise ValueError(
            f"`{name}={text}`: steps of {_text(step)} from {_text(low)} end at {_text(last)}. "
            f"Write {name}={_text(low)}..{_text(last)}:{_text(step)}."
        )
    return step


def _value(name: str, text: str) -> Value:
    """Return ``text`` as a value of the field, if it can take it."""
    field = TrainConfig.model_fields[name]
    text = text.strip()
    is_optional = NoneType in get_args(field.annotation)
    given = None if is_optional and text.lower() in {"none", "null"} else text
    try:
        value: Value = _adapter(name).validate_python(given)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, Exception):  # raised by our own validators, which say it all
            raise ValueError(str(cause)) from None  # noqa: TRY004  pydantic shows these
        raise ValueError(
            f"`{name}` cannot be {text!r}: {details['msg'].lower()}. "
            f"It means: {describe_field(field)}. {_NOTATION}"
        ) from None
    return value


def _adapter(name: str) -> TypeAdapter[Any]:
    field = TrainConfig.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]  # made here


def _range_text(name: str, value: Any) -> str:
    """Return a range in its plain notation."""
    if isinstance(value, Mapping):
        unknown = sorted({*map(str, value)} - {"low", "high", "step", "log"})
        if unknown or not {"low", "high"} <= set(value):
            raise ValueError(
                f"`{name}` has `low` and `high`, and optionally `step` or `log: true`; it is "
                f"{dict(value)!r}."
            )
        if value.get("log") and value.get("step"):
            raise ValueError(f"`{name}` has `log` or `step`, not both.")
        how = ":log" if value.get("log") else f":{value['step']}" if value.get("step") else ""
        return f"{value['low']}..{value['high']}{how}"
    if isinstance(value, list | tuple):
        return ",".join(map(_text, value))
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
