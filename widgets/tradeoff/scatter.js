// A scatter plot drawn as SVG, on the scales of ``axes.js``.
//
// Points: one tab stop; the arrow keys go from point to point in the order of x, Enter or Space
// looks at one, "c" or a click with Shift puts it beside the one looked at.
// Limits: sliders; dragged, or moved by the arrow keys, by Page Up and Page Down in large steps.
// The limit on x is taken away at the right end, by End or Delete.

const HEIGHT = 340;
const MARGIN = { left: 50, right: 16, top: 26, bottom: 44 };
const LETTER = 6.1; // mean width of a letter, in pixels
const NAMES = [
  "label", "x_label", "y_label", "x_unit", "x_log", "marks", "front", "band", "baseline",
  "chosen", "inspected", "compared", "x_limit", "y_limit", "x_steps", "movable",
];

const inside = (place, value) => Math.min(place.high, Math.max(place.low, value));

function render({ model, el }) {
  el.classList.add("agiwb-scatter");
  const svg = add(el, "svg", { role: "group", height: HEIGHT });
  const ground = add(svg, "g", { "aria-hidden": "true" });
  const points = add(svg, "g", { role: "group" });
  const handles = { y: makeHandle("y"), x: makeHandle("x") };
  let width = 0;
  let x = null;
  let y = null;
  let held = null; // the limit that is being dragged
  let current = ""; // the point that Tab comes to

  function set(values) {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  }

  function draw() {
    const marks = model.get("marks");
    const log = model.get("x_log");
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("aria-label", model.get("label"));
    ground.replaceChildren();
    const focused = el.ownerDocument.activeElement?.dataset?.name;
    const hadFocus = points.contains(el.ownerDocument.activeElement);
    points.replaceChildren();
    if (!marks.length || !width) return;
    const known = (...names) =>
      marks.flatMap((mark) => names.map((name) => mark[name])).filter((v) => v !== null);
    const right = width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    x = scale(ends([...known("x", "x_low", "x_high")], log), [MARGIN.left, right], log);
    y = scale(ends(known("y", "y_low", "y_high"), false), [bottom, MARGIN.top], false);
    drawGround(marks, log, right, bottom);
    drawPoints(marks, right, bottom);
    drawHandles(right, bottom);
    if (hadFocus) [...points.children].find((p) => p.dataset.name === focused)?.focus();
  }

  function drawGround(marks, log, right, bottom) {
    const [from, to] = model.get("band");
    if (to > from) {
      const left = Math.max(MARGIN.left, x(from));
      const end = Math.min(right, x(to));
      if (end > left)
        add(ground, "rect", {
          class: "band", x: left, y: MARGIN.top, width: end - left, height: bottom - MARGIN.top,
        });
    }
    add(ground, "rect", {
      class: "frame", x: MARGIN.left, y: MARGIN.top,
      width: right - MARGIN.left, height: bottom - MARGIN.top,
    });
    for (const value of ticksOf(x, log, width / 90)) {
      const tick = add(ground, "g", { class: "tick" });
      add(tick, "line", { x1: x(value), x2: x(value), y1: bottom, y2: bottom + 4 });
      add(tick, "text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, short(value));
    }
    for (const value of ticksOf(y, false, 6)) {
      const tick = add(ground, "g", { class: "tick" });
      add(tick, "line", { x1: MARGIN.left - 4, x2: MARGIN.left, y1: y(value), y2: y(value) });
      add(tick, "text", { x: MARGIN.left - 7, y: y(value) + 4, "text-anchor": "end" }, short(value));
    }
    add(ground, "text", {
      class: "axis-label", x: (MARGIN.left + right) / 2, y: HEIGHT - 8, "text-anchor": "middle",
    }, model.get("x_label"));
    add(ground, "text", {
      class: "axis-label", "text-anchor": "middle",
      transform: `translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)`,
    }, model.get("y_label"));
    const baseline = model.get("baseline");
    if (baseline !== null)
      add(ground, "line", {
        class: "baseline", x1: MARGIN.left, x2: right, y1: y(baseline), y2: y(baseline),
      });
    const byName = new Map(marks.map((mark) => [mark.name, mark]));
    const joined = model.get("front").map((name) => byName.get(name)).filter(Boolean);
    if (joined.length > 1)
      add(ground, "polyline", {
        class: "front", points: joined.map((mark) => `${x(mark.x)},${y(mark.y)}`).join(" "),
      });
  }

  function drawPoints(marks, right, bottom) {
    const inspected = model.get("inspected");
    const ordered = [...marks].sort((one, other) => one.x - other.x || one.y - other.y);
    if (!ordered.some((mark) => mark.name === current))
      current = ordered.some((mark) => mark.name === inspected) ? inspected : ordered[0].name;
    points.setAttribute("aria-label", `${marks.length} candidates; arrow keys go through them`);
    for (const mark of ordered) drawPoint(mark);
    drawNames(ordered, right, bottom);
  }

  function drawPoint(mark) {
    const chosen = mark.name === model.get("chosen");
    const inspected = mark.name === model.get("inspected");
    const compared = mark.name === model.get("compared");
    const [cx, cy] = [x(mark.x), y(mark.y)];
    const kinds = ["mark", mark.front && "on-front", chosen && "chosen"].filter(Boolean);
    const point = add(points, "g", {
      class: kinds.join(" "), role: "button", tabindex: mark.name === current ? 0 : -1,
      "aria-pressed": String(inspected || compared),
      "aria-label": mark.told + (chosen ? ", chosen" : ""),
    });
    point.dataset.name = mark.name;
    add(point, "title", {}, mark.told);
    add(point, "circle", { class: "reach", cx, cy, r: 13 });
    if (mark.y_low !== null)
      add(point, "line", { class: "bar", x1: cx, x2: cx, y1: y(mark.y_low), y2: y(mark.y_high) });
    if (mark.x_low !== null)
      add(point, "line", { class: "bar", x1: x(mark.x_low), x2: x(mark.x_high), y1: cy, y2: cy });
    if (inspected || compared)
      add(point, "circle", { class: inspected ? "ring" : "ring second", cx, cy, r: 9.5 });
    if (chosen) add(point, "rect", { class: "shape", x: cx - 5, y: cy - 5, width: 10, height: 10 });
    else add(point, "circle", { class: "shape", cx, cy, r: 4.6 });
  }

  // The more a point matters, the earlier it gets its name; one for which there is no room has
  // none, but is read out and shown under the mouse all the same.
  function drawNames(marks, right, bottom) {
    const important = (mark) =>
      (mark.name === model.get("inspected")) * 8 + (mark.name === model.get("chosen")) * 4 +
      (mark.picks.length > 0) * 2 + mark.front;
    const taken = marks.map((mark) => [x(mark.x) - 6, y(mark.y) - 6, x(mark.x) + 6, y(mark.y) + 6]);
    const least = model.get("movable") ? model.get("y_limit") : null;
    if (least !== null) {
      const up = y(inside(y, least));
      taken.push([MARGIN.left, up - 16, MARGIN.left + 92, up + 17]);
    }
    const free = (box) =>
      box[0] > MARGIN.left && box[2] < right && box[1] > MARGIN.top && box[3] < bottom &&
      !taken.some((t) => box[0] < t[2] && t[0] < box[2] && box[1] < t[3] && t[1] < box[3]);
    for (const mark of [...marks].sort((one, other) => important(other) - important(one))) {
      const text = mark.picks.length ? `${mark.name} (${mark.picks.join(", ")})` : mark.name;
      const wide = LETTER * text.length;
      const [cx, cy] = [x(mark.x), y(mark.y)];
      const places = [];
      for (const up of [0, -13, 13, -26, 26])
        for (const left of [cx + 11, cx - 11 - wide, cx - wide / 2])
          if (up || left !== cx - wide / 2) places.push([left, cy + up]);
      const place = places.find(([l, m]) => free([l, m - 7, l + wide, m + 6]));
      if (!place) continue;
      taken.push([place[0], place[1] - 7, place[0] + wide, place[1] + 6]);
      add(ground, "text", { class: "name", x: place[0], y: place[1] + 4 }, text);
    }
  }

  function makeHandle(axis) {
    const node = add(svg, "g", {
      class: "limit", role: "slider", tabindex: 0,
      "aria-orientation": axis === "x" ? "horizontal" : "vertical",
    });
    node.dataset.axis = axis;
    const parts = {
      node,
      reach: add(node, "line", { class: "reach" }),
      line: add(node, "line", { class: "line" }),
      grip: add(node, "circle", { class: "grip", r: 6 }),
      text: add(node, "text"),
    };
    node.addEventListener("pointerdown", (event) => {
      held = axis;
      svg.setPointerCapture(event.pointerId);
      node.focus();
      event.preventDefault();
    });
    node.addEventListener("keydown", (event) => onLimitKey(event, axis));
    return parts;
  }

  function drawHandles(right, bottom) {
    const shown = model.get("movable");
    const most = model.get("x_limit");
    const least = model.get("y_limit");
    const unit = model.get("x_unit");
    const at = most === null ? right : x(inside(x, most));
    const up = least === null ? bottom : y(inside(y, least));
    handles.x.node.style.display = shown ? "" : "none";
    handles.y.node.style.display = shown && least !== null ? "" : "none";
    handles.x.node.classList.toggle("off", most === null);
    for (const line of [handles.x.reach, handles.x.line])
      attributes(line, { x1: at, x2: at, y1: MARGIN.top, y2: bottom });
    for (const line of [handles.y.reach, handles.y.line])
      attributes(line, { x1: MARGIN.left, x2: right, y1: up, y2: up });
    attributes(handles.x.grip, { cx: at, cy: MARGIN.top });
    attributes(handles.y.grip, { cx: right, cy: up });
    const words = most === null ? "no limit" : `at most ${short(most)}${unit}`;
    attributes(handles.x.text, { x: at, y: MARGIN.top - 10, "text-anchor": at > width / 2 ? "end" : "start" });
    handles.x.text.textContent = words;
    describe(handles.x.node, `Limit on ${model.get("x_label")}`, x, most ?? x.high, words);
    if (least === null) return;
    const low = `at least ${least.toFixed(2).replace(/\.?0+$/, "")} %`;
    attributes(handles.y.text, { x: MARGIN.left + 4, y: up + (up > bottom - 18 ? -5 : 13) });
    handles.y.text.textContent = low;
    describe(handles.y.node, `Limit on ${model.get("y_label")}`, y, least, low);
  }

  const setX = (value) => {
    const steps = model.get("x_steps");
    const rounded = Math.max(1, Math.round(value * steps)) / steps;
    set({ x_limit: value === null || value >= x.high ? null : rounded });
  };
  const setY = (value) =>
    set({ y_limit: Math.max(0, Math.min(value, model.get("baseline") ?? 100)) });

  function onLimitKey(event, axis) {
    const sign = { ArrowRight: 1, ArrowUp: 1, PageUp: 10, ArrowLeft: -1, ArrowDown: -1, PageDown: -10 }[event.key];
    if (axis === "x" && ["End", "Delete", "Backspace"].includes(event.key)) setX(null);
    else if (axis === "x" && event.key === "Home") setX(x.low);
    else if (axis === "y" && event.key === "End") setY(model.get("baseline") ?? 100);
    else if (axis === "y" && event.key === "Home") setY(y.low);
    else if (!sign) return;
    else if (axis === "y") setY(Math.round(100 * (model.get("y_limit") + 0.1 * sign)) / 100);
    else {
      const at = x(Math.min(model.get("x_limit") ?? x.high, x.high));
      setX(Math.max(x.low, x.invert(at + (sign * (width - MARGIN.left - MARGIN.right)) / 100)));
    }
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has keys of its own
  }

  function onDrag(event) {
    if (!held || !x) return;
    const box = svg.getBoundingClientRect();
    if (held === "y") setY(Math.round(10 * y.invert(event.clientY - box.top)) / 10);
    else {
      const at = event.clientX - box.left;
      setX(at >= width - MARGIN.right ? null : Math.max(x.low, x.invert(at)));
    }
  }

  const nameAt = (event) => event.target.closest?.(".mark")?.dataset.name;

  function choose(name, beside) {
    current = name;
    set(beside ? { compared: name } : { inspected: name });
  }

  function onPointKey(event) {
    const name = nameAt(event);
    if (!name) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) {
      const all = [...points.children];
      const next = all[all.findIndex((p) => p.dataset.name === name) + step];
      if (next) {
        event.target.closest(".mark").setAttribute("tabindex", -1);
        current = next.dataset.name;
        next.setAttribute("tabindex", 0);
        next.focus();
      }
    } else if (event.key === "Enter" || event.key === " ") choose(name, event.shiftKey);
    else if (event.key === "c") choose(name, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Where points are so close that one's reach covers the other, the nearest is meant.
  function nearestTo(event) {
    const box = svg.getBoundingClientRect();
    const [across, down] = [event.clientX - box.left, event.clientY - box.top];
    const away = (mark) => Math.hypot(x(mark.x) - across, y(mark.y) - down);
    const nearer = (one, other) => (away(other) < away(one) ? other : one);
    return model.get("marks").reduce(nearer).name;
  }

  const release = () => { held = null; };
  points.addEventListener("click", (event) => {
    const byPointer = event.detail > 0 && !event.target.matches(".bar");
    const name = byPointer ? nearestTo(event) : nameAt(event);
    if (name) choose(name, event.shiftKey);
  });
  points.addEventListener("keydown", onPointKey);
  svg.addEventListener("pointermove", onDrag);
  svg.addEventListener("pointerup", release);
  svg.addEventListener("pointercancel", release);
  const watcher = new ResizeObserver(() => {
    const now = Math.round(el.clientWidth);
    if (now && now !== width) {
      width = now;
      draw();
    }
  });
  watcher.observe(el);
  for (const name of NAMES) model.on(`change:${name}`, draw);
  return () => {
    watcher.disconnect();
    for (const name of NAMES) model.off(`change:${name}`, draw);
  };
}

export default { render };
