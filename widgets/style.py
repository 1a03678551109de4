"""How the panels look: JupyterLab's own colours, so that its dark theme is ours too."""

from __future__ import annotations

import ipywidgets as ipw

_SHEET = """
.agiwb { max-width: 1100px; color: var(--jp-ui-font-color1, #1d2330); }
.agiwb-soft, .agiwb-note { color: var(--jp-ui-font-color2, #5b6474); }
.agiwb-note { font-size: .85em; line-height: 1.35; max-width: 34rem; }
.agiwb-wrong { color: var(--jp-error-color1, #b00020); font-weight: 600; }
.agiwb-row { flex-flow: row wrap; align-items: center; gap: 0 .75rem; }
.agiwb-buttons { flex-flow: row wrap; gap: .25rem; align-items: center; }
.agiwb-scroll { overflow-x: auto; max-width: 100%; }
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
.agiwb h2 { font-size: 1.15em; margin: .6rem 0 .2rem; }
.agiwb button:focus-visible, .agiwb input:focus-visible, .agiwb select:focus-visible {
  outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
"""


def style_sheet() -> ipw.HTML:
    """Return the style sheet as a widget that takes no room; each panel holds one."""
    return ipw.HTML(f"<style>{_SHEET}</style>", layout={"height": "0", "margin": "0"})
