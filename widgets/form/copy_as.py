"""What is on screen, written as a user of another face would write it."""

from __future__ import annotations

import json
import shlex
from typing import Any

import yaml

import agiwb
from agiwb.runs.registry import STEPS
from widgets.form.state import FormState

_COMMANDS = {"add_dataset": "datasets add", "import_model": "import"}
"""Commands that are not called as their step."""


def as_python(step_name: str, state: FormState) -> str:
    """Return the Python that runs the step: its imports and one call."""
    module, _, function = STEPS[step_name].target.partition(":")
    config = state.config_type.__name__
    homes = {name: "agiwb" if name in agiwb.__all__ else "" for name in (config, function)}
    homes[config] = homes[config] or state.config_type.__module__
    homes[function] = homes[function] or module
    if homes[config] == homes[function]:
        imports = [f"from {homes[config]} import {config}, {function}"]
    else:
        imports = [f"from {homes[name]} import {name}" for name in (config, function)]
    arguments = ", ".join(f"{name}={_python(value)}" for name, value in state.given().items())
    return "\n".join([*imports, "", f"{function}({config}({arguments}))"])


def as_command(step_name: str, state: FormState) -> str:
    """Return the command line that runs the step."""
    words = ["agiwb", *_COMMANDS.get(step_name, step_name).split()]
    for name, value in state.given().items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag.removeprefix('--')}")
        elif isinstance(value, dict):
            words += [flag, *(f"{key}={_word(item)}" for key, item in value.items())]
        elif isinstance(value, list):
            words += [flag, *map(_word, value)]
        else:
            words += [flag, _word(value)]
    return shlex.join(words)


def as_notebook(step_name: str, state: FormState) -> str:
    """Return the lines of a notebook's ``parameters`` cell."""
    given = state.given() or _first_field(state)
    return "\n".join(f"{name} = {_python(value)}" for name, value in given.items())


def as_yaml(step_name: str, state: FormState) -> str:
    """Return the file that ``agiwb <step> --config FILE.yaml`` reads."""
    given = state.given() or _first_field(state)
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True).rstrip("\n")


FACES = {
    "Python call": as_python,
    "Command line": as_command,
    "Notebook parameters": as_notebook,
    "YAML file": as_yaml,
}
"""The ways to write a form, by the name that the form gives them."""


def _first_field(state: FormState) -> dict[str, Any]:
    """Return one field of a config that is all defaults: a file must say something."""
    if state.config is None:
        return {}
    name, value = next(iter(json.loads(state.config.model_dump_json()).items()))
    return {name: value}


def _python(value: Any) -> str:
    """Return a value as Python; a list becomes a tuple, which every config takes."""
    if isinstance(value, list):
        inner = ", ".join(map(_python, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (list, dict)) else str(value)
