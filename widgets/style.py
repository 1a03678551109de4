"""How the panels look, and whose the keys are that are pressed inside one.

Their colours are JupyterLab's own, so that its dark theme is ours too.
"""

from __future__ import annotations

import anywidget

_SHEET = """
.agiwb { container: agiwb / inline-size; max-width: 1100px;
  color: var(--jp-ui-font-color1, #1d2330); }
body[data-jp-theme-light="false"] .agiwb { --jp-widgets-dropdown-arrow: url("data:image/svg+xml,\
%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath d='M5 7l4 4 4-4' \
stroke='%23ddd' stroke-width='1.8' fill='none'/%3E%3C/svg%3E"); }
body[data-jp-theme-light="false"] .agiwb { color-scheme: dark; }
.agiwb-soft, .agiwb-note { color: var(--jp-ui-font-color2, #5b6474); }
.agiwb-note { font-size: .85em; line-height: 1.35; max-width: 34rem; }
.agiwb-wrong { color: var(--jp-error-color1, #b00020); font-weight: 600; }
.agiwb a { color: var(--jp-content-link-color, #1565c0); text-decoration: underline; }
.agiwb-row p { margin: .3rem 0; }
.agiwb-asking { border-left: 4px solid var(--jp-warn-color1, #f57c00); padding-left: .75rem; }
.agiwb-row { flex-flow: row wrap; align-items: center; gap: .2rem .75rem; padding: .15rem 0; }
.agiwb-row > .agiwb-beside { flex: 1 1 16rem; min-width: 0; }
.agiwb-buttons { flex-flow: row wrap; gap: .25rem; align-items: center; }
.agiwb-scroll { overflow-x: auto; max-width: 100%; }
.agiwb-scroll > .widget-html-content { min-width: 0; }
.agiwb table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.agiwb th, .agiwb td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid var(--jp-border-color2, #d9dee7); }
.agiwb th { color: var(--jp-ui-font-color2, #5b6474); font-weight: 600; white-space: nowrap; }
.agiwb pre { max-height: 20rem; overflow: auto; font-size: .85em; white-space: pre-wrap;
  color: var(--jp-content-font-color1, #1d2330); background: var(--jp-layout-color2, #f2f3f5);
  padding: .5rem; }
.agiwb figure { margin: .5rem 0; }
.agiwb figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
.agiwb .flag { color: var(--jp-warn-color0, #b34700); font-size: .8em; }
.agiwb .agiwb-page { --ink: var(--jp-ui-font-color1, #1d2330); --paper: transparent;
  --soft: var(--jp-ui-font-color2, #5b6474); --line: var(--jp-border-color2, #d9dee7);
  --warn: var(--jp-warn-color0, #b34700); padding: 0; margin: 0; font-size: 14px; }
.agiwb .agiwb-page section { margin-top: .75rem; padding-top: .5rem; }
.agiwb .widget-checkbox { width: auto; max-width: 100%; height: auto; }
.agiwb .widget-checkbox label { white-space: normal; overflow: visible; }
.agiwb .widget-inline-hbox:not(.widget-checkbox) { max-width: calc(100% - 4px); }
.agiwb .lm-TabBar-tab { min-width: max-content !important; }
.agiwb .widget-html-content { overflow-wrap: anywhere; }
.agiwb .widget-html-content table { overflow-wrap: normal; }
@container agiwb (max-width: 34rem) {
  .agiwb .widget-inline-hbox:not(.widget-checkbox) { flex-flow: column; height: auto;
    align-items: stretch; }
  .agiwb .widget-inline-hbox:not(.widget-checkbox) > .widget-label { width: auto !important;
    max-width: none; text-align: left; line-height: 1.6; }
  .agiwb .widget-inline-hbox > :is(input, select:not([size])) { flex: none; width: 100%;
    height: var(--jp-widgets-inline-height, 28px); }
  .agiwb .widget-checkbox > .widget-label:first-child { display: none; }
}
@container agiwb (max-width: 40rem) {
  .agiwb .lm-TabBar, .agiwb .lm-TabBar-content { overflow: visible; flex-flow: row wrap; }
  .agiwb .lm-TabBar-tab { flex: 1 0 auto !important; }
}
.agiwb .agiwb-page tr:not(:has(> :nth-child(6))) > td { white-space: normal; }
.agiwb h2 { font-size: 1.15em; margin: .6rem 0 .2rem; }
.agiwb-row > .widget-html:has(> .widget-html-content:empty) { display: none; }
.agiwb :is(button, input, select, textarea, [tabindex]):focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 1px; }
"""


# JupyterLab takes arrows and letters as its own wherever no text is written: in a list they would
# move to another cell, and "x" would cut the workbench out of the notebook.
_SCRIPT = """
const keep = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Escape") return;
  event.stopPropagation();
};
const leave = (event) => {
  if (event.key === "Escape") event.currentTarget.closest(".jp-Cell")?.focus();
};

function render({ model, el }) {
  const show = () => el.closest(".agiwb")?.scrollIntoView({ block: "start" });
  model.on("msg:custom", show);
  const placed = new ResizeObserver(() => {
    const panel = el.closest(".agiwb"); // which hears each of them once, however often it is told
    panel?.addEventListener("keydown", keep);
    panel?.addEventListener("keydown", leave, true); // before text fields, which keep all keys
  });
  placed.observe(el);
  return () => {
    placed.disconnect();
    model.off("msg:custom", show);
  };
}
export default { render };
"""


class PanelStyle(anywidget.AnyWidget):
    """The style sheet; and keys without Ctrl, Alt or Cmd are the panel's while it has the focus.

    Escape gives the focus back to the notebook.
    """

    _esm = _SCRIPT
    _css = _SHEET

    def show_beginning(self) -> None:
        """Scroll the page to where the panel begins."""
        self.send({"show": "beginning"})


def style_sheet() -> PanelStyle:
    """Return the style as a widget that takes no room; each panel holds one."""
    return PanelStyle(layout={"height": "0", "margin": "0"})
