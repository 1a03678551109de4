"""The control of one field, with its note: help as a rule, what is wrong when something is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as ipw
import traitlets

from widgets.form.fields import FormField
from widgets.form.note import Note
from widgets.form.state import FormState

_LABEL_WIDTH = "12rem"
_WIDTH = "min(100%, 26rem)"
_MOST_ROWS = 12
_SEVERAL = "Hold Ctrl or Cmd to choose several."


class FieldRow(ipw.Box):  # type: ignore[misc]  # ipywidgets is untyped
    """A labelled control beside its help; the config's own message takes the help's place."""

    def __init__(self, state: FormState, field: FormField, suggestions: Sequence[str] = ()) -> None:
        self.field = field
        self.control = _control(field, state.values[field.name], suggestions or field.choices)
        self.note = Note()
        self._state = state
        super().__init__([self.control, self.note])
        self.add_class("agiwb-row")
        self.control.observe(self._entered, "value")
        state.observe(self._show_value, "values")
        state.observe(self._show_note, "errors")
        self._show_note()

    @property
    def _help(self) -> str:
        return f"{self.field.help}. {_SEVERAL}" if self.field.kind == "several" else self.field.help

    def _entered(self, change: Any) -> None:
        self._state.enter(self.field.name, change["new"])

    def _show_value(self, change: Any) -> None:
        shown = change["new"][self.field.name]
        if self.control.value != shown:
            try:
                self.control.value = shown
            except traitlets.TraitError:  # an earlier run's choice that exists no more
                self._state.enter(self.field.name, self.control.value)

    def _show_note(self, _: Any = None) -> None:
        error = self._state.errors.get(self.field.name)
        with self.note.hold_sync():
            self.note.text, self.note.wrong = error or self._help, bool(error)


def _control(field: FormField, shown: Any, suggestions: Sequence[str]) -> ipw.Widget:  # noqa: PLR0911  one line a kind
    about = {
        "description": field.label,
        "style": {"description_width": _LABEL_WIDTH},
        "layout": {"width": _WIDTH},
        "tooltip": field.help,
    }
    if field.kind == "flag":
        return ipw.Checkbox(shown, indent=True, **about)
    if field.kind == "choice":
        none = [("by default", "")] if field.optional else []
        options = [*none, *((name.replace("_", " "), name) for name in field.choices)]
        return ipw.Dropdown(options=options, value=shown, **about)
    if field.kind == "several":
        rows = min(_MOST_ROWS, len(field.choices))
        return ipw.SelectMultiple(options=field.choices, value=shown, rows=rows, **about)
    if field.kind == "whole" and field.is_stepped:
        return ipw.IntText(shown, continuous_update=True, **about)
    if field.kind == "number" and field.is_stepped:
        return ipw.FloatText(shown, continuous_update=True, step=None, **about)
    hint = "required" if field.required else "by default" if field.optional else ""
    if suggestions:
        return ipw.Combobox(
            value=shown, options=tuple(suggestions), placeholder=hint, ensure_option=False,
            continuous_update=True, **about,
        )  # fmt: skip
    return ipw.Text(shown, placeholder=hint, continuous_update=True, **about)
