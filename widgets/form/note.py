"""The note beside a control, tied to it: a screen reader says it when the control has the focus.

ipywidgets has no way to say that one widget describes another.
"""

from __future__ import annotations

import anywidget
import traitlets

_SCRIPT = """
function render({ model, el }) {
  const said = document.createElement("span");
  said.id = `agiwb-note-${Math.random().toString(36).slice(2)}`;
  el.classList.add("agiwb-beside");
  el.append(said);
  const draw = () => {
    said.textContent = model.get("text");
    said.className = model.get("wrong") ? "agiwb-note agiwb-wrong" : "agiwb-note";
    if (model.get("wrong")) said.setAttribute("role", "alert");
    else said.removeAttribute("role");
    const controls = el.closest(".agiwb-row")?.querySelectorAll("input, select, textarea") ?? [];
    for (const control of controls) {
      control.setAttribute("aria-describedby", said.id);
      control.setAttribute("aria-invalid", String(model.get("wrong")));
    }
  };
  const placed = new ResizeObserver(draw); // once it has a size, there is a control beside it
  placed.observe(el);
  draw();
  for (const name of ["text", "wrong"]) model.on(`change:${name}`, draw);
  return () => {
    placed.disconnect();
    for (const name of ["text", "wrong"]) model.off(`change:${name}`, draw);
  };
}
export default { render };
"""


class Note(anywidget.AnyWidget):
    """What a field means, or what is wrong with what was entered."""

    _esm = _SCRIPT
    text = traitlets.Unicode("").tag(sync=True)
    wrong = traitlets.Bool(False, help="Whether the text says what is wrong").tag(sync=True)
