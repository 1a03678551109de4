"""A slider for a share in percent; ipywidgets' own have no name for a screen reader."""

from __future__ import annotations

import anywidget
import traitlets

_SCRIPT = """
function render({ model, el }) {
  el.classList.add("agiwb-share");
  const label = el.appendChild(document.createElement("label"));
  label.append(model.get("label"));
  const slider = label.appendChild(document.createElement("input"));
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1 });
  const told = label.appendChild(document.createElement("output"));
  const say = () => {
    told.textContent = `${slider.value} %`;
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  const show = () => { slider.value = model.get("value"); say(); };
  slider.addEventListener("input", say);
  slider.addEventListener("change", () => {
    model.set("value", Number(slider.value));
    model.save_changes();
  });
  model.on("change:value", show);
  show();
  return () => model.off("change:value", show);
}
export default { render };
"""

_STYLE = """
.agiwb-share label { display: flex; align-items: center; gap: .6rem; }
.agiwb-share input { width: 12rem; accent-color: var(--jp-brand-color1, #1976d2); }
.agiwb-share output { min-width: 3.5rem; font-variant-numeric: tabular-nums; }
"""


class ShareSlider(anywidget.AnyWidget):
    """A whole number of percent, sent when the handle is let go or a key has moved it."""

    _esm = _SCRIPT
    _css = _STYLE
    label = traitlets.Unicode("Share").tag(sync=True)
    value = traitlets.Float(10.0, min=0.0, max=100.0, help="Percent").tag(sync=True)
