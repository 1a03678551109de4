// Axes of a plot drawn as SVG: scales, ticks and numbers. Put before ``scatter.js``.

const SVG = "http://www.w3.org/2000/svg";

function add(parent, tag, values = {}, text = "") {
  const node = parent.appendChild(document.createElementNS(SVG, tag));
  attributes(node, values);
  if (text) node.textContent = text;
  return node;
}

function ends(values, log) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (log) {
    const room = Math.pow(high / low, 0.1) * 1.06;
    return [low / room, high * room];
  }
  const room = 0.1 * (high - low) || 0.05 * Math.abs(high) || 1;
  return [low - room, high + room];
}

function scale([low, high], [from, to], log) {
  const f = log ? Math.log : (v) => v;
  const back = log ? Math.exp : (v) => v;
  const share = (to - from) / (f(high) - f(low));
  const place = (value) => from + (f(value) - f(low)) * share;
  place.invert = (at) => back(f(low) + (at - from) / share);
  place.low = low;
  place.high = high;
  return place;
}

function niceTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = [1, 2, 5, 10].map((n) => n * power).find((s) => s >= rough);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n += 1) ticks.push(n * step);
  return ticks;
}

function ticksOf(place, log, most) {
  if (!log) return niceTicks(place.low, place.high, most);
  const ticks = [];
  for (let e = Math.floor(Math.log10(place.low)); Math.pow(10, e) <= place.high; e += 1)
    for (const n of [1, 2, 5]) {
      const value = n * Math.pow(10, e);
      if (value >= place.low && value <= place.high) ticks.push(value);
    }
  return ticks.length > 1 ? ticks : niceTicks(place.low, place.high, most);
}

const short = (value) => String(Number(value.toPrecision(3)));

function attributes(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
}

function describe(node, label, place, now, words) {
  attributes(node, {
    "aria-label": label, "aria-valuemin": short(place.low), "aria-valuemax": short(place.high),
    "aria-valuenow": short(now), "aria-valuetext": words,
  });
}
