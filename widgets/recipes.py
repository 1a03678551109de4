"""An editor of a sweep's recipes: one is added or taken away at a time, and checked as typed."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as ipw
import traitlets

from agiwb.compression.recipe import BASELINE, parse_recipe
from agiwb.errors import AgiwbError
from widgets.form import FormState
from widgets.guard import GuardedState, guarded

_FIELD = "recipes"
USUAL = (
    "float16", "dynamic", "int8", "prune_50", "prune_80", "prune_80+int8", "cluster_16",
    "cluster_16+int8", "prune_80+cluster_16+int8", "qat+int8", "rank_50", "shrink_50",
    "distil_50", "two_four", "int16x8", "onnx", "onnx_dynamic", "onnx_int8", "onnx_float16",
)  # fmt: skip
"""Recipes that are offered; any other may be typed."""


class RecipesState(GuardedState):
    """The recipes of a sweep's form, and the one that is being written."""

    recipes = traitlets.Tuple(help="Without the baseline")
    draft = traitlets.Unicode("")
    wrong = traitlets.Unicode("", help="What is wrong with the draft; empty if nothing is")

    def __init__(self, form: FormState) -> None:
        super().__init__()
        self._form = form
        form.observe(self._take, "values")
        self._take()

    @guarded
    def add(self) -> None:
        """Put the draft among the recipes, and begin another."""
        self._check()
        if self.draft.strip() and not self.wrong:
            name = parse_recipe(self.draft).name
            self._set((*self.recipes, name))
            self.draft = ""

    @guarded
    def remove(self, recipe: str) -> None:
        """Take a recipe away."""
        self._set(tuple(each for each in self.recipes if each != recipe))

    @traitlets.observe("draft")
    def _drafted(self, change: Any) -> None:
        self._check()

    def _check(self) -> None:
        try:
            if self.draft.strip():
                parse_recipe(self.draft)
            self.wrong = ""
        except AgiwbError as error:
            self.wrong = str(error)

    def _set(self, recipes: tuple[str, ...]) -> None:
        self._form.change({_FIELD: tuple(dict.fromkeys([BASELINE, *recipes]))})

    def _take(self, _: Any = None) -> None:
        try:
            entered = self._form.fields[_FIELD].entered(self._form.values[_FIELD])
        except ValueError:  # half a quotation: the form says so
            return
        self.recipes = tuple(each for each in entered or () if each != BASELINE)


class RecipesEditor(ipw.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """A line to write a recipe in, and a button for each recipe to take it away."""

    def __init__(self, form: FormState) -> None:
        self.state = RecipesState(form)
        self.draft = ipw.Combobox(
            description="Add a recipe", options=USUAL, ensure_option=False,
            placeholder="prune_80+int8", continuous_update=True,
            style={"description_width": "12rem"}, layout={"width": "min(100%, 26rem)"},
        )  # fmt: skip
        self.button = ipw.Button(description="Add")
        self.wrong = ipw.HTML()
        self.listed = ipw.Box()
        self.listed.add_class("agiwb-row")
        line = ipw.Box([self.draft, self.button])
        line.add_class("agiwb-row")
        super().__init__([line, self.wrong, self.listed])
        traitlets.link((self.state, "draft"), (self.draft, "value"))
        self.button.on_click(lambda _: self.state.add())
        self.state.observe(self._show_recipes, "recipes")
        self.state.observe(self._show_wrong, ["wrong", "error", "draft"])
        self._show_recipes()
        self._show_wrong()

    def _show_recipes(self, _: Any = None) -> None:
        self.listed.children = [self._row(recipe) for recipe in self.state.recipes]

    def _row(self, recipe: str) -> ipw.Button:
        button = ipw.Button(
            description=f"Remove {recipe}",
            tooltip=f"Do not make {recipe}",
            layout={"width": "auto"},
        )
        button.on_click(lambda _: self.state.remove(recipe))
        return button

    def _show_wrong(self, _: Any = None) -> None:
        wrong = self.state.error or self.state.wrong
        self.wrong.value = (
            f'<p class="agiwb-note agiwb-wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
        )
        self.button.disabled = bool(self.state.wrong) or not self.state.draft.strip()
