// The dashboard: asks the node every two seconds for ui/ring.json and draws what it says.
//
// Names, zones and texts come from other machines: they enter the page as text (textContent, attributes that hold
// text) and never as markup. The server's Content-Security-Policy forbids the rest.
"use strict";

const POLL_MS = 2000;
const ANSWER_MS_MAX = 5000;
const CHART_SECONDS = 300;
const STEP_MS = 2000;
// A node that answered so few steps ago still counts in the sums of the ring: clocks of polls are not in step.
const CARRIED_STEPS = 3;
const RADIAL_LABELS_FROM = 15;  // nodes: more do not fit with their labels upright
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

// ---- Words -------------------------------------------------------------------------------------------------------

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const orZero = (value) => (isNumber(value) ? value : 0);
const orDash = (value, show) => (isNumber(value) ? show(value) : "–");

function scaled(amount, step, units, digits) {
  let unit = 0;
  while (amount >= step && unit + 1 < units.length) {
    amount /= step;
    unit += 1;
  }
  return amount.toFixed(unit === 0 || amount >= 100 ? 0 : digits) + units[unit];
}
const bytes = (amount) => scaled(amount, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"], 1);
const count = (amount) => scaled(amount, 1000, ["", "k", "M", "G", "T"], 1);
const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)}%`;
const whole = (number) => Math.round(number).toLocaleString("en");

function latency(seconds) {
  if (seconds < 1e-4) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1e-2) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 1) return `${(seconds * 1e3).toFixed(0)} ms`;
  return `${seconds.toFixed(1)} s`;
}

function duration(seconds) {
  const all = Math.floor(Math.max(seconds, 0));
  const two = (big, bigUnit, small, smallUnit) => big + bigUnit + (small > 0 ? small + smallUnit : "");
  if (all < 60) return `${all}s`;
  if (all < 3600) return two(Math.floor(all / 60), "m", all % 60, "s");
  if (all < 86400) return two(Math.floor(all / 3600), "h", Math.floor((all % 3600) / 60), "m");
  return two(Math.floor(all / 86400), "d", Math.floor((all % 86400) / 3600), "h");
}

const text = (value) => (typeof value === "string" ? value : "");
const listOf = (value) => (Array.isArray(value) ? value.filter((one) => one !== null && typeof one === "object") : []);
const nameOf = (node) => text(node.name) || text(node.address) || "?";
const shortened = (name, length) => (name.length > length ? `${name.slice(0, length - 1)}…` : name);
const counted = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;

// ---- Elements ----------------------------------------------------------------------------------------------------

function set(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const html = (tag, attributes = {}, ...children) => set(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => set(document.createElementNS(SVG, tag), attributes, children);

function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

const STATE_SHAPES = {
  alive: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z",
  filling: "M8 2a6 6 0 0 1 0 12zM8 1a7 7 0 0 0 0 14v-1.6A5.4 5.4 0 0 1 8 2.6z",
  joining: "M8 2a6 6 0 0 1 0 12zM8 1a7 7 0 0 0 0 14v-1.6A5.4 5.4 0 0 1 8 2.6z",
  suspect: "M8 1.5 15 14H1z",
  dead: "M3.2 1.8 8 6.6l4.8-4.8 1.4 1.4L9.4 8l4.8 4.8-1.4 1.4L8 9.4l-4.8 4.8-1.4-1.4L6.6 8 1.8 3.2z",
  stopped: "M2.5 2.5h11v11h-11z",
  drained: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zm0 1.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 8 2.8z",
};
const VERDICT_SHAPES = {
  OK: "M8 0a8 8 0 1 1 0 16A8 8 0 0 1 8 0zm4.2 5L11 3.9 6.9 8.6 4.9 6.7 3.8 7.9 7 11z",
  DEGRADED: "M8 .8 16 15H0zM7.2 5.5v5h1.6v-5zm0 6.2v1.6h1.6v-1.6z",
  DOWN: "M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7zM5 3.9 3.9 5l3 3-3 3L5 12.1l3-3 3 3 1.1-1.1-3-3 3-3L11 3.9l-3 3z",
  note: "M8 0a8 8 0 1 1 0 16A8 8 0 0 1 8 0zM7.2 3.4V5h1.6V3.4zm0 3.1v6h1.6v-6z",
};
const TONES = {
  alive: "good", filling: "warn", joining: "warn", suspect: "warn", dead: "bad", stopped: "quiet", drained: "quiet",
  OK: "good", DEGRADED: "warn", DOWN: "bad", note: "quiet",
};
// Own keys alone: a state is a word of another machine.
const lookUp = (table, key, otherwise) => (Object.hasOwn(table, key) ? table[key] : otherwise);
const toneOf = (word) => lookUp(TONES, word, "quiet");

function icon(shape, tone) {
  return svg("svg", {viewBox: "0 0 16 16", class: `icon ${tone}`, "aria-hidden": "true"},
             svg("path", {d: shape, "fill-rule": "evenodd"}));
}

// ---- History -----------------------------------------------------------------------------------------------------

// Of each node the figures of the last minutes, by step: Map(id -> Map(step -> point)).
const series = new Map();
const stepOf = (ms) => Math.round(ms / STEP_MS);

function pointOf(node) {
  return {
    requests: node.requests_per_second,
    reads: node.reads_per_second,
    latency: node.latency_p99_seconds,
    hits: node.hit_ratio,
    memory: node.memory_used_bytes,
  };
}

function remember(nodes, now) {
  const newest = stepOf(now);
  const oldest = newest - CHART_SECONDS * 1000 / STEP_MS;
  const known = new Set();
  for (const node of nodes) {
    known.add(node.id);
    if (!series.has(node.id)) series.set(node.id, new Map());
    const steps = series.get(node.id);
    const past = node.history;
    if (past && isNumber(past.step_seconds)) {
      const lists = [past.requests_per_second, past.reads_per_second, past.latency_p99_seconds, past.hit_ratio,
                     past.memory_used_bytes].map((list) => (Array.isArray(list) ? list : []));
      const length = lists[0].length;
      for (let i = 0; i < length; i += 1) {
        const at = stepOf(now - (length - 1 - i) * past.step_seconds * 1000);
        const [requests, reads, slow, hits, memory] = lists.map((list) => list[i]);
        steps.set(at, {requests, reads, latency: slow, hits, memory});
      }
    }
    if (node.answered) steps.set(newest, pointOf(node));
    for (const step of steps.keys()) if (step < oldest) steps.delete(step);
  }
  for (const id of series.keys()) if (!known.has(id)) series.delete(id);
}

function pointAt(steps, step) {
  for (let back = 0; back <= CARRIED_STEPS; back += 1) {
    if (steps.has(step - back)) return steps.get(step - back);
  }
  return null;
}

// The points of one node, or of all ("") at each step of the chart; null where nobody was heard.
function pointsOf(id, now) {
  const chosen = id === "" ? [...series.values()] : [series.get(id) ?? new Map()];
  const newest = stepOf(now);
  const points = [];
  for (let step = newest - CHART_SECONDS * 1000 / STEP_MS; step <= newest; step += 1) {
    const heard = chosen.map((steps) => pointAt(steps, step)).filter((point) => point !== null);
    points.push(heard.length === 0 ? null : joined(heard));
  }
  return points;
}

function joined(points) {
  const numbers = (field) => points.map((point) => point[field]).filter(isNumber);
  const sum = (field) => (numbers(field).length > 0 ? numbers(field).reduce((a, b) => a + b, 0) : null);
  let reads = 0;
  let hits = 0;
  for (const point of points) {
    if (!isNumber(point.hits) || !isNumber(point.reads)) continue;
    reads += point.reads;
    hits += point.reads * point.hits;
  }
  return {
    requests: sum("requests"),
    latency: numbers("latency").length > 0 ? Math.max(...numbers("latency")) : null,
    hits: reads > 0 ? hits / reads : null,
    memory: sum("memory"),
  };
}

// ---- Charts ------------------------------------------------------------------------------------------------------

const CHARTS = [
  {field: "requests", title: "Throughput", unit: "requests/s", show: count},
  {field: "latency", title: "Latency p99", unit: "of the slowest node", show: latency},
  {field: "hits", title: "Hit ratio", unit: "of keys read", show: (share) => percent(share), top: 1},
  {field: "memory", title: "Memory", unit: "of records", show: bytes},
];
const CHART_WIDTH = 300;
const CHART_HEIGHT = 64;

function makeCharts() {
  for (const chart of CHARTS) {
    chart.value = html("span", {class: "chart-value"}, "–");
    chart.note = html("span", {class: "chart-unit"}, chart.unit);
    chart.most = html("span", {}, "");
    chart.area = svg("path", {class: "area"});
    chart.line = svg("path", {class: "line"});
    chart.picture = svg("svg", {viewBox: `0 0 ${CHART_WIDTH} ${CHART_HEIGHT}`, preserveAspectRatio: "none", role: "img",
                                class: "spark"},
                        svg("path", {class: "base", d: `M0 ${CHART_HEIGHT - 0.5}H${CHART_WIDTH}`}), chart.area, chart.line);
    byId("charts").append(html(
        "figure", {class: "chart"},
        html("figcaption", {}, html("span", {class: "chart-title"}, chart.title), chart.value, chart.note),
        chart.picture,
        html("p", {class: "chart-axis", "aria-hidden": "true"}, html("span", {}, "5 min ago"), chart.most,
             html("span", {}, "now"))));
  }
}

// The next round number above, so that the scale does not jump with each point.
function roundedUp(number) {
  if (number <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].find((step) => step * power >= number) * power;
}

// The line through the points, broken where there is none, and the area below it.
function shapesOf(values, top) {
  const x = (i) => (i * CHART_WIDTH / (values.length - 1)).toFixed(1);
  const y = (value) => (CHART_HEIGHT - 1 - Math.min(value / top, 1) * (CHART_HEIGHT - 4)).toFixed(1);
  let line = "";
  let area = "";
  let from = -1;
  for (let i = 0; i <= values.length; i += 1) {
    const there = i < values.length && isNumber(values[i]);
    if (there) line += `${from < 0 ? "M" : "L"}${x(i)} ${y(values[i])}`;
    if (there && from < 0) {
      from = i;
      area += `M${x(i)} ${CHART_HEIGHT}`;
    }
    if (there) area += `L${x(i)} ${y(values[i])}`;
    if (!there && from >= 0) {
      area += `L${x(i - 1)} ${CHART_HEIGHT}Z`;
      if (i - from === 1) line += `h0.01`;
      from = -1;
    }
  }
  return {line, area};
}

function drawCharts(now, nodes) {
  const scope = byId("scope").value;
  const points = pointsOf(scope, now);
  const limit = nodes.filter((node) => scope === "" || node.id === scope).map((node) => node.memory_limit_bytes)
      .filter(isNumber).reduce((a, b) => a + b, 0);
  for (const chart of CHARTS) {
    const values = points.map((point) => (point === null ? null : point[chart.field]));
    const numbers = values.filter(isNumber);
    const most = numbers.length > 0 ? Math.max(...numbers) : 0;
    const last = values[values.length - 1];
    const top = chart.top ?? roundedUp(most);
    const {line, area} = shapesOf(values, top);
    chart.line.setAttribute("d", line);
    chart.area.setAttribute("d", area);
    say(chart.value, orDash(last, chart.show));
    say(chart.most, numbers.length > 0 ? `at most ${chart.show(most)}` : "");
    if (chart.field === "memory" && limit > 0) say(chart.note, `of ${bytes(limit)}`);
    if (chart.field === "latency") say(chart.note, scope === "" ? chart.unit : "of clients' requests");
    chart.picture.setAttribute("aria-label", numbers.length === 0
      ? `${chart.title}: nothing to show`
      : `${chart.title} in the last five minutes: now ${orDash(last, chart.show)}, at least ` +
        `${chart.show(Math.min(...numbers))}, at most ${chart.show(most)}`);
  }
}

// ---- The ring ----------------------------------------------------------------------------------------------------

const CENTRE = 230;
const OUTER = 150;
const INNER = 122;
const MOVE_OUTER = 117;
const MOVE_INNER = 110;
const ZONE_OUTER = 105;
const ZONE_INNER = 101;
const ZONE_HUES = 6;

function spot(radius, degrees) {
  const turn = (degrees - 90) * Math.PI / 180;
  return [CENTRE + radius * Math.cos(turn), CENTRE + radius * Math.sin(turn)].map((at) => at.toFixed(2)).join(" ");
}

// A piece of a band between two radii; a whole turn is two halves.
function band(outer, inner, from, to) {
  if (to - from >= 359.99) {
    const circle = (radius, sweep) =>
        `M${spot(radius, 0)}A${radius} ${radius} 0 1 ${sweep} ${spot(radius, 180)}A${radius} ${radius} 0 1 ${sweep} ${spot(radius, 0)}Z`;
    return circle(outer, 1) + circle(inner, 0);
  }
  const large = to - from > 180 ? 1 : 0;
  return `M${spot(outer, from)}A${outer} ${outer} 0 ${large} 1 ${spot(outer, to)}` +
         `L${spot(inner, to)}A${inner} ${inner} 0 ${large} 0 ${spot(inner, from)}Z`;
}

// Each node's place on the circle: as wide as what it owns, and wide enough to be seen. By zone, then by name.
function placesOf(status, nodes) {
  const parts = nodes.map((node) => ({node, zone: text(node.zone), owned: orZero(node.owned_partitions)}));
  parts.sort((a, b) => a.zone.localeCompare(b.zone) || nameOf(a.node).localeCompare(nameOf(b.node), "en", {numeric: true}));
  if (orZero(status.unowned_partitions) > 0) parts.push({node: null, zone: null, owned: status.unowned_partitions});
  const gap = parts.length > 1 ? Math.min(2, 60 / parts.length) : 0;
  const least = Math.min(4, 120 / parts.length);
  const total = parts.reduce((sum, part) => sum + part.owned, 0);
  const room = 360 - parts.length * (gap + least);
  let at = 0;
  for (const part of parts) {
    const share = total > 0 ? part.owned / total : 1 / parts.length;
    part.from = at;
    part.to = at + least + share * room;
    at = part.to + gap;
  }
  return parts;
}

function labelOf(part, many, share) {
  const middle = (part.from + part.to) / 2;
  const tone = part.node === null ? "bad" : toneOf(text(part.node.condition));
  const name = part.node === null ? "no owner" : nameOf(part.node);
  const mark = {bad: "✕ ", warn: "▲ ", quiet: "", good: ""}[tone];
  if (many) {
    const right = middle < 180;
    return svg("text", {
      class: `label radial ${tone}`,
      transform: `translate(${spot(OUTER + 6, middle)}) rotate(${right ? middle - 90 : middle + 90})`,
      "text-anchor": right ? "start" : "end", "dominant-baseline": "central",
    }, mark + shortened(name, 10));
  }
  const [x, y] = spot(OUTER + 14, middle).split(" ").map(Number);
  const side = Math.abs(x - CENTRE) < 30 ? "middle" : x > CENTRE ? "start" : "end";
  const lift = y < CENTRE - OUTER * 0.9 ? -14 : y > CENTRE + OUTER * 0.9 ? 8 : -3;
  return svg("text", {class: `label ${tone}`, x, y: y + lift, "text-anchor": side},
             svg("tspan", {x, class: "label-name"}, mark + shortened(name, 9)),
             svg("tspan", {x, dy: 13, class: "label-share"}, share));
}

let ringDrawn = "";

function drawRing(status, nodes) {
  const moving = (node) => isNumber(node.filled_percent);
  const shown = nodes.map((node) => [node.id, node.name, node.zone, node.condition, node.owned_partitions,
                                     node.filled_percent]);
  const picture = JSON.stringify([shown, status.partitions, status.unowned_partitions, status.serving_nodes,
                                  status.wanted_nodes]);
  if (picture === ringDrawn) return;
  ringDrawn = picture;
  const parts = placesOf(status, nodes);
  const many = parts.length >= RADIAL_LABELS_FROM;
  const zones = [...new Set(parts.filter((part) => part.node !== null).map((part) => part.zone))];
  const hue = (zone) => `zone-${zones.indexOf(zone) % ZONE_HUES}`;
  const drawing = [svg("defs", {}, svg("pattern", {id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse",
                                                  patternTransform: "rotate(45)"},
                                       svg("rect", {width: 6, height: 6, class: "hatch-ground"}),
                                       svg("rect", {width: 2, height: 6, class: "hatch-line"})))];
  for (const part of parts) {
    const share = status.partitions > 0 ? percent(part.owned / status.partitions, 0) : "";
    const condition = part.node === null ? "unowned" : text(part.node.condition);
    const state = part.node === null ? "bad" : toneOf(condition);
    const arc = svg("path", {d: band(OUTER, INNER, part.from, part.to), "fill-rule": "evenodd",
                             class: `arc ${state} ${part.node === null ? "" : hue(part.zone)}`},
                    svg("title", {}, part.node === null ? `${counted(part.owned, "partition")} without an owner`
                      : `${nameOf(part.node)}: ${condition}, owns ${counted(part.owned, "partition")}`));
    if (part.node !== null) arc.dataset.node = part.node.id;
    drawing.push(arc);
    if (part.node !== null && moving(part.node)) {
      const done = part.from + (part.to - part.from) * Math.min(Math.max(part.node.filled_percent / 100, 0.02), 1);
      drawing.push(svg("path", {d: band(MOVE_OUTER, MOVE_INNER, part.from, part.to), class: "move-track"}),
                   svg("path", {d: band(MOVE_OUTER, MOVE_INNER, part.from, done), class: "move-done"}));
    }
    drawing.push(labelOf(part, many, share));
  }
  if (zones.length > 1 || zones[0]) {
    for (const zone of zones) {
      const within = parts.filter((part) => part.node !== null && part.zone === zone);
      drawing.push(svg("path", {d: band(ZONE_OUTER, ZONE_INNER, within[0].from, within[within.length - 1].to),
                                "fill-rule": "evenodd", class: `zone-band ${hue(zone)}`}));
    }
  }
  const centre = (dy, name, words) =>
      svg("text", {x: CENTRE, y: CENTRE + dy, "text-anchor": "middle", class: name}, words);
  drawing.push(centre(0, "centre-number", `${status.serving_nodes}/${status.wanted_nodes}`),
               centre(20, "centre-words", "nodes up"),
               centre(40, "centre-words", counted(orZero(status.partitions), "partition")));
  if (status.unowned_partitions > 0) {
    drawing.push(centre(58, "centre-words bad", `${whole(status.unowned_partitions)} without owner`));
  }
  byId("ring").setAttribute("viewBox", many ? "10 10 440 440" : "-20 42 500 376");
  byId("ring").replaceChildren(...drawing);
  byId("ring").setAttribute("aria-label", "The ring: " + parts.map((part) => (part.node === null
    ? `nobody owns ${part.owned}` : `${nameOf(part.node)} owns ${part.owned}, ${text(part.node.condition)}`)).join("; "));
  drawZones(zones, parts, hue);
}

function drawZones(zones, parts, hue) {
  const named = zones.length > 1 || zones[0];
  byId("zones").replaceChildren(...(named ? zones : []).map((zone) => {
    const within = parts.filter((part) => part.node !== null && part.zone === zone);
    return html("li", {}, html("span", {class: `swatch ${hue(zone)}`, "aria-hidden": "true"}),
                html("span", {class: "zone-name"}, zone || "no zone"),
                ` ${counted(within.length, "node")}, owns ${whole(within.reduce((sum, part) => sum + part.owned, 0))}`);
  }));
}

function progress(share) {
  const bar = html("span", {class: "bar", "aria-hidden": "true"}, html("span", {class: "bar-full"}));
  bar.firstChild.style.width = percent(Math.min(Math.max(share, 0), 1));
  return bar;
}

function drawMoves(status, nodes) {
  const moves = status.moves ?? {};
  const lines = [];
  for (const node of nodes.filter((one) => isNumber(one.filled_percent))) {
    const words = [`filled ${node.filled_percent.toFixed(0)}%`];
    if (node.moving_bytes_per_second > 0) words.push(`${bytes(node.moving_bytes_per_second)}/s`);
    if (isNumber(node.eta_seconds)) words.push(`${duration(node.eta_seconds)} to go`);
    lines.push(html("p", {}, html("span", {class: "move-name"}, nameOf(node)), progress(node.filled_percent / 100),
                    html("span", {class: "move-words"}, words.join(" · "))));
  }
  for (const node of listOf(moves.leaving)) {
    lines.push(html("p", {}, html("span", {class: "move-name"}, nameOf(node)),
                    html("span", {class: "move-words"}, `leaves, ${counted(orZero(node.partitions_left), "partition")} left`)));
  }
  if (lines.length === 0) {
    lines.push(html("p", {class: "move-words"}, moves.partitions_left > 0
      ? `${counted(moves.partitions_left, "partition")} to fill` : "Nothing moves."));
  }
  if (moves.paused === true) lines.push(html("p", {class: "move-words"}, "Moves are paused: gyre rebalance resume"));
  byId("moves").replaceChildren(...lines);
}

// ---- The table ---------------------------------------------------------------------------------------------------

const memoryShare = (node) => (isNumber(node.memory_used_bytes) && node.memory_limit_bytes > 0
  ? node.memory_used_bytes / node.memory_limit_bytes : null);

const COLUMNS = [
  {key: "name", title: "Node", of: nameOf},
  {key: "zone", title: "Zone", of: (node) => text(node.zone), words: (node) => text(node.zone) || "–"},
  {key: "state", title: "State", of: (node) => text(node.condition)},
  {key: "up", title: "Up", number: true, of: (node) => node.uptime_seconds, words: (node) => orDash(node.uptime_seconds, duration)},
  {key: "version", title: "Version", of: (node) => text(node.version), words: (node) => text(node.version) || "–"},
  {key: "memory", title: "Memory", number: true, of: memoryShare},
  {key: "ops", title: "Ops/s", number: true, of: (node) => node.requests_per_second,
   words: (node) => orDash(node.requests_per_second, count)},
  {key: "hits", title: "Hit", number: true, of: (node) => node.hit_ratio, words: (node) => orDash(node.hit_ratio, (one) => percent(one))},
  {key: "latency", title: "p99", number: true, of: (node) => node.latency_p99_seconds,
   words: (node) => orDash(node.latency_p99_seconds, latency)},
  {key: "keys", title: "Keys", number: true, of: (node) => node.records, words: (node) => orDash(node.records, count)},
  {key: "owned", title: "Owns", number: true, of: (node) => node.owned_partitions,
   words: (node) => orDash(node.owned_partitions, whole)},
];
const sorting = {key: "name", down: false};
const rows = new Map();  // id -> {row, cells}

function makeColumns() {
  for (const column of COLUMNS) {
    column.button = html("button", {type: "button"}, column.title, html("span", {class: "arrow", "aria-hidden": "true"}));
    column.head = html("th", {role: "columnheader", scope: "col", class: column.number ? "number" : ""}, column.button);
    column.button.addEventListener("click", () => {
      // The largest number first: that is what one looks for.
      sorting.down = sorting.key === column.key ? !sorting.down : column.number === true;
      sorting.key = column.key;
      sortRows();
    });
    byId("columns").append(column.head);
  }
}

// Only what one may follow: this protocol, that host and port, nothing else of what a node says.
function addressOf(node) {
  const match = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\]):([0-9]{1,5})$/.exec(text(node.http_address));
  return match ? `http://${match[1]}:${match[2]}/ui` : null;
}

function makeRow(node) {
  const cells = new Map();
  const row = html("tr", {role: "row"});
  for (const column of COLUMNS) {
    const cell = html("td", {role: "cell", class: `${column.number ? "number " : ""}cell-${column.key}`,
                             "data-title": column.title});
    if (column.key === "memory") {
      const bar = progress(0);
      cell.append(bar, html("span", {class: "memory-words"}));
      cells.set("memory-bar", bar.firstChild);
      cells.set("memory-words", cell.lastChild);
    }
    if (column.key === "name") {
      cells.set("link", html("a", {class: "node-link"}));
      cells.set("here", html("span", {class: "here"}));
      cell.append(cells.get("link"), cells.get("here"));
    }
    if (column.key === "state") {
      cells.set("state-icon", html("span", {class: "state-icon"}));
      cells.set("state-words", html("span", {}));
      cell.append(cells.get("state-icon"), cells.get("state-words"));
    }
    cells.set(column.key, cell);
    row.append(cell);
  }
  const point = (on) => {
    for (const arc of byId("ring").querySelectorAll(".arc")) arc.classList.toggle("hot", on && arc.dataset.node === node.id);
  };
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]]) {
    row.addEventListener(event, () => point(on));
  }
  return {row, cells, condition: null};
}

function stateWords(node) {
  const words = [text(node.condition) || "unknown"];
  if (isNumber(node.since_seconds)) words.push(duration(node.since_seconds));
  if (isNumber(node.filled_percent)) words.push(`${node.filled_percent.toFixed(0)}%`);
  if (node.stale === true) words.push(`· silent ${duration(orZero(node.age_seconds))}`);
  else if (node.answered !== true && text(node.state) === "alive") words.push("· no answer");
  return words.join(" ");
}

function fillRow(entry, node) {
  const {row, cells} = entry;
  row.className = `${toneOf(text(node.condition))}${node.stale === true ? " stale" : ""}`;
  const address = addressOf(node);
  const link = cells.get("link");
  say(link, nameOf(node));
  if (address !== null && node.self !== true) link.href = address;
  else link.removeAttribute("href");
  say(cells.get("here"), node.self === true ? "this node" : "");
  if (entry.condition !== node.condition) {
    entry.condition = node.condition;
    const shape = lookUp(STATE_SHAPES, text(node.condition), STATE_SHAPES.stopped);
    cells.get("state-icon").replaceChildren(icon(shape, toneOf(text(node.condition))));
  }
  say(cells.get("state-words"), stateWords(node));
  const used = memoryShare(node);
  cells.get("memory-bar").style.width = percent(Math.min(used ?? 0, 1));
  cells.get("memory-bar").parentElement.hidden = used === null;
  say(cells.get("memory-words"), used === null ? "–" : percent(used, 0));
  cells.get("memory").title = used === null ? "" : `${bytes(node.memory_used_bytes)} of ${bytes(node.memory_limit_bytes)}`;
  for (const column of COLUMNS) if (column.words) say(cells.get(column.key), column.words(node));
}

function drawRows(nodes) {
  const there = new Set(nodes.map((node) => node.id));
  for (const [id, entry] of rows) {
    if (there.has(id)) continue;
    entry.row.remove();
    rows.delete(id);
  }
  for (const node of nodes) {
    if (!rows.has(node.id)) rows.set(node.id, makeRow(node));
    fillRow(rows.get(node.id), node);
    rows.get(node.id).node = node;
  }
  sortRows();
}

function compare(a, b, column) {
  const [x, y] = [column.of(a), column.of(b)];
  if (!column.number) return String(x).localeCompare(String(y), "en", {numeric: true}) * (sorting.down ? -1 : 1);
  if (!isNumber(x) || !isNumber(y)) return (isNumber(y) ? 1 : 0) - (isNumber(x) ? 1 : 0);  // who says nothing, last
  return (x - y) * (sorting.down ? -1 : 1);
}

function sortRows() {
  const column = COLUMNS.find((one) => one.key === sorting.key);
  for (const one of COLUMNS) {
    if (one === column) one.head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
    else one.head.removeAttribute("aria-sort");
  }
  const sorted = [...rows.values()].sort((a, b) => compare(a.node, b.node, column) ||
      nameOf(a.node).localeCompare(nameOf(b.node), "en", {numeric: true}));
  // Rows that stand right are not touched: one may hold the focus.
  const body = byId("rows");
  sorted.forEach((entry, i) => {
    if (body.children[i] !== entry.row) body.insertBefore(entry.row, body.children[i] ?? null);
  });
}

// ---- The verdict -------------------------------------------------------------------------------------------------

let verdictShown = "";

function drawVerdict(status, nodes) {
  const word = text(status.verdict);
  const findings = listOf(status.findings);
  if (verdictShown !== word) {
    verdictShown = word;
    byId("verdict-icon").replaceChildren(icon(lookUp(VERDICT_SHAPES, word, VERDICT_SHAPES.note), toneOf(word)));
    byId("health").className = `health ${toneOf(word)}`;
    say(byId("verdict-word"), word);
    document.title = `${word} · ${text(status.cluster)} · Gyre`;
  }
  const problems = findings.filter((finding) => finding.severity !== "note").length;
  say(byId("verdict-count"), problems > 0 ? `: ${counted(problems, "finding")}` : ": nothing to do");
  const facts = [`${status.serving_nodes}/${status.wanted_nodes} up`];
  if (status.replicas > 0) facts.push(`copies ${status.replicas}`);
  if (isNumber(status.write_acks)) facts.push(`acks ${status.write_acks}`);
  const versions = [...new Set(nodes.map((node) => text(node.version)).filter((version) => version !== ""))];
  if (versions.length > 0) facts.push(versions.slice(0, 3).join(", "));
  say(byId("facts"), facts.join(" · "));
  say(byId("cluster"), text(status.cluster));
  const list = byId("findings");
  while (list.children.length > findings.length) list.lastChild.remove();
  findings.forEach((finding, i) => {
    const severity = text(finding.severity);
    if (i >= list.children.length) list.append(html("li", {}, html("span", {class: "finding-icon"}), html("span", {})));
    const item = list.children[i];
    if (item.dataset.severity !== severity) {
      item.dataset.severity = severity;
      item.firstChild.replaceChildren(icon(lookUp(VERDICT_SHAPES, severity, VERDICT_SHAPES.note), toneOf(severity)),
                                      html("span", {class: "unseen"}, `${severity}: `));
    }
    say(item.lastChild, text(finding.text));
  });
  list.hidden = findings.length === 0;
}

function drawScope(nodes) {
  const select = byId("scope");
  const wanted = ["", ...nodes.map((node) => node.id)];
  if ([...select.options].map((option) => option.value).join("\n") === wanted.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(html("option", {value: ""}, "the whole ring"),
                         ...nodes.map((node) => html("option", {value: node.id}, shortened(nameOf(node), 24))));
  select.value = wanted.includes(chosen) ? chosen : "";
}

// ---- Asking ------------------------------------------------------------------------------------------------------

const poll = {timer: 0, asking: false, wantHistory: true, answeredAt: 0, others: [], told: new Set(), nodes: []};

function draw(status, now) {
  const nodes = listOf(status.nodes).filter((node) => typeof node.id === "string");
  remember(nodes, now);
  poll.nodes = nodes;
  poll.others = nodes.filter((node) => node.self !== true);
  drawVerdict(status, nodes);
  drawRing(status, nodes);
  drawMoves(status, nodes);
  drawScope(nodes);
  drawCharts(now, nodes);
  drawRows(nodes);
  document.body.dataset.asked = text(status.asked);
}

// A node that came, or came back, has minutes to tell; one of another release may not know how.
function noteNewcomers(status, hadHistory) {
  for (const node of listOf(status.nodes)) {
    if (node.answered !== true) poll.told.delete(node.id);
    else if (hadHistory) poll.told.add(node.id);
    else if (!poll.told.has(node.id)) poll.wantHistory = true;
  }
}

async function ask() {
  if (poll.asking || document.hidden) return;
  poll.asking = true;
  clearTimeout(poll.timer);
  const withHistory = poll.wantHistory;
  try {
    const response = await fetch(withHistory ? "ui/ring.json?history=1" : "ui/ring.json",
                                 {cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS_MAX)});
    if (!response.ok) throw new Error(`the node answered ${response.status}`);
    const status = await response.json();
    const now = Date.now();
    poll.answeredAt = now;
    poll.wantHistory = false;
    noteNewcomers(status, withHistory);
    draw(status, now);
    showLost(false);
  } catch (error) {
    poll.wantHistory = true;  // what passes meanwhile is missed
    showLost(true, error);
  }
  poll.asking = false;
  freshen();
  if (!document.hidden) poll.timer = setTimeout(ask, POLL_MS);
}

// The page may ask only the node that it came from (its origin): the others are named.
function showLost(lost, error) {
  const banner = byId("lost");
  document.body.classList.toggle("is-lost", lost);
  if (!lost) {
    banner.hidden = true;
    return;
  }
  const reason = error instanceof Error && error.message.startsWith("the node answered") ? `${error.message}. ` : "";
  const shown = poll.answeredAt > 0 ? "Below is what it said last." : "It has not answered yet.";
  say(byId("lost-detail"), reason + shown);
  if (banner.hidden) {
    const links = poll.others.map((node) => [node, addressOf(node)]).filter(([, address]) => address !== null);
    byId("lost-links").replaceChildren(...links.map(([node, address]) => html("a", {href: address}, nameOf(node))));
    byId("lost-others").hidden = links.length === 0;
  }
  banner.hidden = false;
  if (verdictShown !== "") {
    say(byId("verdict-word"), `was ${verdictShown}`);
    document.title = `was ${document.title}`;
    verdictShown = "";  // what comes next is news
  }
}

function freshen() {
  const asked = document.body.dataset.asked ?? "";
  if (poll.answeredAt === 0) return say(byId("freshness"), "not yet asked");
  const age = Math.round((Date.now() - poll.answeredAt) / 1000);
  const live = age < 4 && !document.body.classList.contains("is-lost");
  say(byId("freshness"), `${asked} · ${live ? "live" : `${duration(age)} old`}`);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(poll.timer);
  if (document.hidden) return;
  poll.wantHistory = true;
  ask();
});
byId("scope").addEventListener("change", () => drawCharts(Date.now(), poll.nodes));
setInterval(freshen, 1000);
makeColumns();
makeCharts();
ask();
