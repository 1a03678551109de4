"""A form for any config: its fields in two groups, presets, earlier runs, and "copy as"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as ipw

from agiwb.config import Config
from widgets.form.controls import FieldRow
from widgets.form.copy_as import FACES
from widgets.form.copy_button import CopyButton
from widgets.form.state import FormState
from widgets.menu import Menu
from widgets.style import style_sheet
from widgets.wording import problem_line

_BASIC_FIELDS = 6
_WIDE = {"width": "min(100%, 40rem)"}
_STYLE = {"description_width": "12rem"}


class ConfigForm(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """The fields of ``config_type``, checked as they are entered.

    Args:
        config_type: The config whose fields are entered.
        state: What is entered; by default the config's defaults.
        basic: Fields that are always shown, in this order; by default the required ones and the
            first six. The rest is shown on request.
        presets: Values of several fields, by the name of the preset.
        suggestions: Values offered for text fields, by field; others may be typed.
        earlier: ``(label, fields)`` of earlier runs, whose config can be loaded.
        step_name: The step that takes the config; with it the form offers "copy as".
    """

    def __init__(
        self,
        config_type: type[Config],
        *,
        state: FormState | None = None,
        basic: Sequence[str] = (),
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        suggestions: Mapping[str, Sequence[str]] | None = None,
        earlier: Sequence[tuple[str, Mapping[str, Any]]] = (),
        step_name: str | None = None,
    ) -> None:
        self.state = state or FormState(config_type)
        self._step_name = step_name
        self._suggestions = suggestions or {}
        self._presets = presets or {}
        self.earlier = dict(earlier)
        names = self._basic_names(basic)
        self.rows: dict[str, FieldRow] = {}
        self.basic = ipw.VBox([self._row(name) for name in names])
        self._rest = [name for name in self.state.fields if name not in names]
        settings = "setting" if len(self._rest) == 1 else "settings"
        self.more = ipw.Checkbox(
            value=False, description=f"Show {len(self._rest)} more {settings}", indent=False
        )
        self.more.observe(self._show_rest, "value")
        self.advanced = ipw.VBox()
        self.problem = problem_line(self.state, "problem")
        # In the order of the page, where an earlier one decides what a later one shows.
        parts = [style_sheet(), *self._beginnings(), self.basic]
        parts += [self.more, self.advanced] if self._rest else []
        parts += [self.problem, *self._copies()]
        super().__init__(parts)
        self.add_class("agiwb")

    def show_earlier(self, earlier: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Offer these earlier runs from now on; the one that is on screen stays chosen."""
        chosen = self.runs.value
        self.earlier = dict(earlier)
        self.runs.layout.display = "" if self.earlier else "none"
        options = [("this form", ""), *((label, label) for label in self.earlier)]
        self.runs.fill(options, chosen if self._is_on_screen(chosen) else "")

    def add_below(self, name: str, widget: ipw.Widget) -> None:
        """Put a widget below the row of the basic field ``name``: another way to enter it."""
        rows = list(self.basic.children)
        rows.insert(rows.index(self.rows[name]) + 1, widget)
        self.basic.children = rows

    def _basic_names(self, basic: Sequence[str]) -> list[str]:
        if basic:
            return list(basic)
        fields = self.state.fields
        required = [name for name, field in fields.items() if field.required]
        return list(dict.fromkeys([*required, *list(fields)[:_BASIC_FIELDS]]))

    def _row(self, name: str) -> FieldRow:
        row = FieldRow(self.state, self.state.fields[name], self._suggestions.get(name, ()))
        self.rows[name] = row
        return row

    def _show_rest(self, change: Any) -> None:
        if change["new"] and not self.advanced.children:  # made when first asked for
            self.advanced.children = [self._row(name) for name in self._rest]
        self.advanced.layout.display = "" if change["new"] else "none"

    def _beginnings(self) -> list[ipw.Widget]:
        """Return the menus that fill in several fields at once.

        No menu has None among its values: ipywidgets shows a menu whose value is None as blank.
        """
        names = [("as it stands", ""), *((name, name) for name in self._presets)]
        self.preset = ipw.Dropdown(
            description="Preset", options=names, style=_STYLE, layout={"width": "min(100%, 26rem)"}
        )
        self.preset.observe(self._take_preset, "value")
        self.runs = Menu(description="Start from", style=_STYLE, layout=_WIDE)
        self.show_earlier(list(self.earlier.items()))
        self.runs.on_choice(self._take_earlier)
        self.state.observe(self._forget_beginnings, "values")
        return [*([self.preset] if self._presets else []), self.runs]

    def _is_on_screen(self, label: str) -> bool:
        return label in self.earlier and self.state.shows(self.earlier[label], others_default=True)

    def _forget_beginnings(self, _: Any) -> None:
        """Name a preset or a run no longer once something of it was changed.

        So a menu never says what is not so, and the same entry can be chosen again.
        """
        if self.preset.value and not self.state.shows(self._presets[self.preset.value]):
            self.preset.value = ""
        if self.runs.value and not self._is_on_screen(self.runs.value):
            self.runs.value = ""

    def _take_preset(self, change: Any) -> None:
        if change["new"]:
            self.state.change(self._presets[change["new"]])

    def _take_earlier(self, label: str) -> None:
        if label:
            self.state.load(self.earlier[label])

    def _copies(self) -> list[ipw.Widget]:
        """Return the menu of other faces, and the text that the one chosen has for this form."""
        if self._step_name is None:
            return []
        self.face = ipw.Dropdown(
            description="Copy as", options=[("nothing", ""), *((name, name) for name in FACES)],
            style=_STYLE, layout={"width": "min(100%, 26rem)"},
        )  # fmt: skip
        self.text = ipw.Textarea(
            description="Text to copy", disabled=False, rows=4, style=_STYLE,
            layout={**_WIDE, "display": "none"},
        )  # fmt: skip
        self.copy = CopyButton(layout={"display": "none"})
        self.face.observe(self._show_text, "value")
        self.state.observe(self._show_text, "config")
        return [self.face, self.text, self.copy]

    def _show_text(self, _: Any) -> None:
        face, step_name = self.face.value, self._step_name
        ready = self.state.config is not None
        self.text.layout.display = "" if face else "none"
        self.copy.layout.display = "" if face and ready else "none"
        if not face or step_name is None:
            return
        wrong = "Something on screen is wrong: mend it first."
        self.text.value = FACES[face](step_name, self.state) if ready else wrong
        self.copy.text = self.text.value
