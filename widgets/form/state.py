"""What is entered in a form, and whether it makes a config."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import traitlets
from pydantic_core import to_json

from agiwb.config import Config
from agiwb.errors import AgiwbError, ConfigError
from widgets.form.fields import FormField, fields_of
from widgets.guard import GuardedState

_WHOLE = ""


class FormState(GuardedState):
    """The values on screen, a sentence for each that is wrong, and the config if none is.

    Thread safety: every method may be called from any thread.
    """

    values: traitlets.Dict[str, Any] = traitlets.Dict(
        help="What each field's control shows, as it is entered"
    )
    errors: traitlets.Dict[str, str] = traitlets.Dict(help="What is wrong, by field")
    problem = traitlets.Unicode("", help="What is wrong with several fields together")
    config = traitlets.Any(
        None, allow_none=True, help="The config on screen; None while something is wrong"
    )

    def __init__(
        self, config_type: type[Config], values: Mapping[str, Any] | None = None, **traits: Any
    ) -> None:
        super().__init__(**traits)
        self.config_type = config_type
        self.fields: dict[str, FormField] = {field.name: field for field in fields_of(config_type)}
        self._lock = threading.RLock()
        self.load(values or {})

    def load(self, values: Mapping[str, Any]) -> None:
        """Show a config's fields: those of an earlier run, perhaps; others get their defaults.

        A field that the config no longer has is passed over.
        """
        with self._lock:
            self._show(self._as_shown({**self._defaults(), **values}))

    def change(self, values: Mapping[str, Any]) -> None:
        """Show these values of a config's fields and leave the others as they are: a preset."""
        with self._lock:
            self._show({**self.values, **self._as_shown(values)})

    def enter(self, name: str, shown: Any) -> None:
        """Take what the control of the field ``name`` shows now."""
        with self._lock:
            if self.values.get(name) != shown:
                self._show({**self.values, name: shown})

    def shows(self, values: Mapping[str, Any], *, others_default: bool = False) -> bool:
        """Return whether these values are on screen: nothing of them was changed since.

        Args:
            values: Of a config's fields.
            others_default: Whether all other fields must be at their defaults, as ``load`` has it.
        """
        wanted = {**self._defaults(), **values} if others_default else values
        return self._as_shown(wanted).items() <= self.values.items()

    def given(self) -> dict[str, Any]:
        """Return the config's fields that are not at their defaults, as JSON and YAML have them."""
        if self.config is None:
            return {}
        fields: dict[str, Any] = json.loads(self.config.model_dump_json())
        usual = {
            name: json.loads(to_json(field.default, inf_nan_mode="strings"))
            for name, field in self.fields.items()
            if not field.required
        }
        return {
            name: value
            for name, value in fields.items()
            if name not in usual or value != usual[name]
        }

    def _defaults(self) -> dict[str, Any]:
        return {name: field.default for name, field in self.fields.items()}

    def _as_shown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the controls show for values of a config's fields."""
        return {
            name: self.fields[name].shown(value)
            for name, value in values.items()
            if name in self.fields
        }

    def _show(self, values: dict[str, Any]) -> None:
        config, errors = self._check(values)
        self.values = values
        self.problem = errors.pop(_WHOLE, "")
        self.errors = errors
        self.config = config

    def _check(self, values: Mapping[str, Any]) -> tuple[Config | None, dict[str, str]]:
        entered, errors = {}, {}
        for name, field in self.fields.items():
            try:
                value = field.entered(values[name])
            except ValueError as error:
                errors[name] = f"`{name}`: {error}"
                continue
            if value is not None or not field.required:
                entered[name] = value
        if errors:
            return None, errors
        try:
            return self.config_type(**entered), {}
        except ConfigError as error:
            if error.fields:
                return None, dict(error.fields)
            return None, self._blame(entered, error)
        except AgiwbError as error:
            return None, self._blame(entered, error)

    def _blame(self, entered: Mapping[str, Any], error: AgiwbError) -> dict[str, str]:
        """Return the error under the field that alone makes it.

        A validator of ours that raises our own error ends the validation, and names no field.
        """
        for name, value in entered.items():
            try:
                self.config_type(**{name: value})
            except AgiwbError as same:
                if str(same) == str(error):
                    return {name: str(error)}
        return {_WHOLE: str(error)}
