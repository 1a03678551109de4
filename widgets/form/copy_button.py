"""A button that copies a text in the browser: a kernel has no hand on the user's clipboard."""

from __future__ import annotations

import anywidget
import traitlets

_SCRIPT = """
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no permission, or a page without TLS on another machine
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function render({ model, el }) {
  el.classList.add("agiwb-copy");
  const button = el.appendChild(document.createElement("button"));
  button.type = "button";
  button.className = "jupyter-button widget-button lm-Widget";
  button.textContent = "Copy the text";
  const told = el.appendChild(document.createElement("span"));
  told.setAttribute("role", "status");
  const forget = () => { told.textContent = ""; };
  button.addEventListener("click", async () => {
    const done = await copied(model.get("text"));
    button.focus();
    told.textContent = done ? "Copied." : "The browser refused: select the text and copy it.";
  });
  model.on("change:text", forget);
  return () => model.off("change:text", forget);
}
export default { render };
"""

_STYLE = """
.agiwb-copy { display: flex; flex-flow: row wrap; align-items: center; gap: .5rem; }
"""


class CopyButton(anywidget.AnyWidget):
    """Copies ``text``, and says whether the browser let it."""

    _esm = _SCRIPT
    _css = _STYLE
    text = traitlets.Unicode("").tag(sync=True)
