"""A pad to draw on, by mouse, pen or finger."""

from __future__ import annotations

import base64
import binascii

import anywidget
import traitlets

_SIDE = 196

_SCRIPT = """
function render({ model, el }) {
  const side = model.get("side");
  el.classList.add("agiwb-pad");
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", model.get("label"));
  const clear = document.createElement("button");
  clear.type = "button";
  clear.textContent = "Clear the pad";
  el.append(canvas, clear);
  const pen = canvas.getContext("2d");
  let drawing = false;
  const blank = () => { pen.fillStyle = "#000"; pen.fillRect(0, 0, side, side); };
  const send = () => { model.set("picture", canvas.toDataURL("image/png")); model.save_changes(); };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * side / box.width,
            (event.clientY - box.top) * side / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    drawing = true;
    canvas.setPointerCapture(event.pointerId);
    pen.strokeStyle = "#fff"; pen.lineWidth = side / 10; pen.lineCap = pen.lineJoin = "round";
    pen.beginPath(); pen.moveTo(...at(event)); pen.lineTo(...at(event)); pen.stroke();
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    pen.lineTo(...at(event)); pen.stroke();
  });
  const end = () => { if (drawing) { drawing = false; send(); } };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  clear.addEventListener("click", () => {
    blank(); model.set("picture", ""); model.save_changes();
  });
  blank();
  if (model.get("picture")) {
    const former = new Image();
    former.onload = () => pen.drawImage(former, 0, 0);
    former.src = model.get("picture");
  }
}
export default { render };
"""

_STYLE = """
.agiwb-pad { display: flex; flex-direction: column; align-items: flex-start; gap: .3rem; }
.agiwb-pad canvas { touch-action: none; cursor: crosshair; width: 196px; height: 196px;
  border: 1px solid var(--jp-border-color1, #888); border-radius: 4px; }
.agiwb-pad button { color: var(--jp-ui-font-color1, #1d2330);
  background: var(--jp-layout-color2, #eee); border: 1px solid var(--jp-border-color1, #888);
  border-radius: 3px; padding: .25rem .7rem; cursor: pointer; }
"""


class DrawingPad(anywidget.AnyWidget):
    """White strokes on black; ``picture`` is what is drawn, sent when the pen is lifted.

    Who cannot draw uploads an image, or takes one of the data set's.
    """

    _esm = _SCRIPT
    _css = _STYLE
    side = traitlets.Int(_SIDE, help="Pixels").tag(sync=True)
    label = traitlets.Unicode("Drawing pad: draw here with the mouse, a pen or a finger").tag(
        sync=True
    )
    picture = traitlets.Unicode("", help="PNG as a data URL; empty while the pad is").tag(sync=True)

    @property
    def png(self) -> bytes:
        """What is drawn as PNG; nothing if the pad is empty."""
        try:
            return base64.b64decode(self.picture.partition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            return b""
