"""A progress bar that a screen reader can read.

ipywidgets' own bars have no name and no role.
"""

from __future__ import annotations

import anywidget
import traitlets

_SCRIPT = """
function render({ model, el }) {
  el.classList.add("agiwb-progress");
  const bar = document.createElement("div");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  const fill = bar.appendChild(document.createElement("div"));
  const text = document.createElement("div");
  const told = document.createElement("div");
  told.className = "agiwb-progress-told";
  told.setAttribute("aria-live", "polite");
  el.append(bar, text, told);
  const draw = () => {
    const fraction = model.get("fraction");
    const known = fraction !== null && fraction !== undefined;
    const percent = known ? Math.round(100 * Math.min(1, Math.max(0, fraction))) : 0;
    bar.setAttribute("aria-label", model.get("label"));
    bar.setAttribute("aria-valuetext", model.get("text"));
    if (known) bar.setAttribute("aria-valuenow", String(percent));
    else bar.removeAttribute("aria-valuenow");
    fill.style.width = percent + "%";
    text.textContent = model.get("text");
    if (told.textContent !== model.get("told")) told.textContent = model.get("told");
  };
  const names = ["fraction", "label", "text", "told"];
  names.forEach((name) => model.on("change:" + name, draw));
  draw();
  return () => names.forEach((name) => model.off("change:" + name, draw));
}
export default { render };
"""

_STYLE = """
.agiwb-progress { color: var(--jp-ui-font-color1, #1d2330); max-width: 40rem; margin: .3rem 0; }
.agiwb-progress [role=progressbar] { height: .8rem; border-radius: 3px; overflow: hidden;
  background: var(--jp-layout-color2, #eee); border: 1px solid var(--jp-border-color1, #888); }
.agiwb-progress [role=progressbar] > div { height: 100%; width: 0;
  background: var(--jp-brand-color1, #1976d2); }
.agiwb-progress-told { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
"""


class ProgressBar(anywidget.AnyWidget):
    """A bar with its figures in words below it."""

    _esm = _SCRIPT
    _css = _STYLE
    fraction = traitlets.Float(
        None, allow_none=True, help="What is done, from 0 to 1; None where nobody knows"
    ).tag(sync=True)
    label = traitlets.Unicode("Progress", help="The bar's accessible name").tag(sync=True)
    text = traitlets.Unicode("", help="The figures, shown below the bar").tag(sync=True)
    told = traitlets.Unicode("", help="What a screen reader says by itself; change it seldom").tag(
        sync=True
    )
