"""The public Python: what ``agiwb`` and ``widgets`` name, with signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable

from prose import docstring_of, first_line
from steps import field_table

import agiwb
import widgets
from agiwb.config import Config
from agiwb.runs.record import Record
from agiwb.runs.step import Step

_HOW_TO_CALL = """A step is called with its config and returns its record:
`record = train(TrainConfig(dataset="digits"))`. All take `reuse=False` to run even if a result is
known, and `listener=` to be told each event. The record's `metrics`, `problems` and `file(NAME)`
are what most programs need; `record.run.id` names the run."""


def python_page() -> str:
    """Return the Markdown of the page on public names."""
    public = {name: getattr(agiwb, name) for name in agiwb.__all__ if name != "__version__"}
    steps = {name: one for name, one in public.items() if isinstance(one, Step)}
    of_steps = {kind for step in steps.values() for kind in (step.config_type, step.record_type)}
    rest = {name: one for name, one in public.items() if name not in steps and one not in of_steps}
    errors = {name: one for name, one in rest.items() if _is(one, Exception)}
    configs = {name: one for name, one in rest.items() if _is(one, Config)}
    classes = {
        name: one for name, one in rest.items()
        if isinstance(one, type) and name not in errors | configs
    }  # fmt: skip
    functions = {name: one for name, one in rest.items() if not isinstance(one, type)}
    return "\n\n".join(
        [
            "# Python",
            "Everything here is imported from `agiwb`, and loaded when it is first used.",
            "## Steps",
            _HOW_TO_CALL,
            *(_step(name, step) for name, step in steps.items()),
            "## Functions",
            *(_function(name, one) for name, one in functions.items()),
            "## Other configs",
            *(_config(name, one) for name, one in configs.items()),
            "## Classes",
            *(_class(name, one) for name, one in classes.items()),
            "## Errors",
            *(f"- `{name}`: {first_line(one)}" for name, one in errors.items()),
            "## Panels",
            "Imported from `widgets`, and shown by the last line of a notebook's cell.",
            *(_panel(name) for name in widgets.__all__),
        ]
    )


def _is(one: object, kind: type) -> bool:
    return isinstance(one, type) and issubclass(one, kind)


def _step(name: str, step: Step) -> str:  # type: ignore[type-arg]
    config, record = step.config_type.__name__, step.record_type.__name__
    return f"- [`{name}({config}) -> {record}`](steps/{step.name}.md): {first_line(step)}"


def _function(name: str, one: Callable[..., object]) -> str:
    return f"### {name}\n\n```python\n{name}{_signature(one)}\n```\n\n{docstring_of(one)}"


def _config(name: str, one: type[Config]) -> str:
    return f"### {name}\n\n{docstring_of(one)}\n\n{field_table(one)}"


def _class(name: str, one: type) -> str:
    members = [
        f"- `{member}{_signature(value)}`: {first_line(value)}"
        for member, value in vars(one).items()
        if not member.startswith("_") and callable(value) and not _is(one, Record)
    ]
    return "\n\n".join([f"### {name}", docstring_of(one), "\n".join(members)])


def _signature(one: Callable[..., object]) -> str:
    """Return a signature as its source has it: annotations are no strings, functions have names."""
    text = str(inspect.signature(one))
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)
    text = re.sub(r"<function .*? at 0x\w+>", "...", text)
    return text.replace("(self, ", "(").replace("(self)", "()")


def _panel(name: str) -> str:
    return f"- `{name}`: {first_line(getattr(widgets, name))}"
