// One layer of shifted-window attention on a map of numbered tokens. Everything follows from height, width, window and shift;
// the numbering is that of dlnotes.attention.window: windows row by row, places in a window row by row, four regions.

const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
const STEPS = ["cut", "roll", "regions", "mask", "bias", "back"];
const signed = (n) => (n < 0 ? `−${-n}` : String(n));

/** Rows and columns that the map is rolled by: an axis of one window stays. */
const shifts = (h, w, m, s) => [h <= m ? 0 : s, w <= m ? 0 : s];

/** The token at each place of the rolled map. */
function rolled(h, w, [dy, dx]) {
  return Array.from({ length: h * w }, (_, i) => ((Math.floor(i / w) + dy) % h) * w + (((i % w) + dx) % w));
}

/** The window of each place of a map, windows row by row. */
function windowOf(h, w, m) {
  return Array.from({ length: h * w }, (_, i) => Math.floor(Math.floor(i / w) / m) * (w / m) + Math.floor((i % w) / m));
}

/** Values of a map, window by window, places row by row: (windows, m²). */
function partition(values, h, w, m) {
  const out = [];
  for (let a = 0; a < h; a += m) for (let b = 0; b < w; b += m) {
    const one = [];
    for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) one.push(values[(a + i) * w + b + j]);
    out.push(one);
  }
  return out;
}

/** 0 stayed, 1 came from the left, 2 from the top, 3 from both. */
function regions(h, w, [dy, dx]) {
  return Array.from({ length: h * w }, (_, i) => 2 * (Math.floor(i / w) >= h - dy) + (i % w >= w - dx));
}

/** (windows, m², m²) of 0 and 1: 1 where query and key are of one region. */
function mask(h, w, m, pair) {
  return partition(regions(h, w, pair), h, w, m).map((r) => r.map((a) => r.map((b) => +(a === b))));
}

/** (m², m²): the row of the table of biases for query and key. */
function biasIndex(m) {
  const n = m * m, at = (q, k) => (Math.floor(q / m) - Math.floor(k / m) + m - 1) * (2 * m - 1) + (q % m) - (k % m) + m - 1;
  return Array.from({ length: n }, (_, q) => Array.from({ length: n }, (_, k) => at(q, k)));
}

function python([h, w], m, s, query, key) {
  const [dy, dx] = shifts(h, w, m, s);
  return ["import torch", "", `h, w, m = ${h}, ${w}, ${m}`,
    `number = torch.arange(h * w).reshape(h, w).roll((-${dy}, -${dx}), (0, 1))  # h w, which token stands where`,
    `from_top, from_left = torch.arange(h) >= h - ${dy}, torch.arange(w) >= w - ${dx}  # h and w, have gone round`,
    "region = 2 * from_top.long()[:, None] + from_left.long()  # h w", "", "def cut(t):",
    "    return t.reshape(h // m, m, w // m, m).permute(0, 2, 1, 3).reshape(-1, m * m)  # windows n", "",
    "tokens, regions = cut(number), cut(region)  # windows n each",
    "allowed = regions[:, :, None] == regions[:, None, :]  # windows n n", "place = torch.arange(m * m)  # n",
    "down = place[:, None] // m - place // m + m - 1  # n n, from 0 to 2m - 2",
    "across = place[:, None] % m - place % m + m - 1  # n n", "index = down * (2 * m - 1) + across  # n n", "",
    `window, query = (tokens == ${query[0] * w + query[1]}).nonzero()[0].tolist()`,
    "keys = sorted(tokens[window][allowed[window, query]].tolist())", `key, bias = tokens[window, ${key}].item(), index[query, ${key}].item()`,
    'print(f"window {window}, place {query}, region {regions[window, query]}, keys {keys}, key {key}, bias {bias}")'].join("\n");
}

// ---- The widget.

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Window attention",
    hint: "Choose the token that asks on the left, the one that answers on the right: press, drag or arrow keys. "
      + "Then walk through the steps." });
  frame.root.classList.add("dln-windows");
  const KEYS = ["size", "window", "shift", "query", "key", "step"];
  const copy = (v) => (Array.isArray(v) ? [...v] : v), same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const s = Object.fromEntries(KEYS.map((name) => [name, copy(model.get(name))]));
  let c, ink = null, cw = 0;

  const map = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Token that asks (query)" });
  const side = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Token that answers (key)" });
  const captions = [0, 1].map(() => kit.el("div", { class: "dln-windows-caption" }));
  const legends = [0, 1].map(() => kit.el("div", { class: "dln-windows-legend" }));
  frame.picture.append(kit.el("div", { class: "dln-windows-grid" }, ...[map, side].map((canvas, i) =>
    kit.el("div", { class: "dln-windows-panel" }, captions[i], legends[i], canvas))));

  /** Everything about the present state. */
  function compute() {
    const [h, w] = s.size, m = s.window, pair = s.step === "cut" ? [0, 0] : shifts(h, w, m, s.shift);
    const number = rolled(h, w, pair), region = regions(h, w, pair), windows = windowOf(h, w, m);
    const token = s.query[0] * w + s.query[1], at = number.indexOf(token), window = windows[at];
    const tokens = partition(number, h, w, m)[window], cut = partition(region, h, w, m)[window], place = tokens.indexOf(token);
    const allowed = mask(h, w, m, pair)[window], index = biasIndex(m);
    c = { h, w, m, n: m * m, pair, number, region, windows, token, at, window, tokens, cut, place, allowed, index };
  }

  let saving, telling = false;
  function change(next, settle = true) {
    Object.assign(s, next);
    const [h, w] = s.size;
    s.shift = clamp(s.shift, 0, s.window - 1);
    s.query = [clamp(s.query[0], 0, h - 1), clamp(s.query[1], 0, w - 1)];
    s.key = clamp(s.key, 0, s.window ** 2 - 1);
    compute();
    telling = true;
    for (const name of KEYS) if (!same(model.get(name), s[name])) model.set(name, copy(s[name]));
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), settle ? 0 : 200);
    sync();
    paint();
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const name of KEYS) if (!same(model.get(name), s[name])) next[name] = copy(model.get(name));
    if (Object.keys(next).length) change(next);
  }

  // -- controls
  const step = kit.choice({ label: "Step", value: s.step, onchange: (value) => change({ step: value }),
    options: STEPS.map((name, i) => [name, `${i + 1} ${name}`]) });
  const sizes = (m) => [[1, 2], [2, 2], [2, 3], [3, 3]].map(([a, b]) => [a * m, b * m]).filter(([, b]) => b <= 12);
  const window = kit.choice({ label: "Window", value: String(s.window), options: ["2", "3", "4"].map((m) => [m, `${m} × ${m}`]),
    onchange: (value) => change({ window: +value, size: [2 * +value, 2 * +value], shift: +value >> 1, key: 0 }) });
  const size = kit.select({ label: "Map", value: "", options: [["", ""]], onchange: (value) => change({ size: value.split("x").map(Number) }) });
  const shift = kit.slider({ label: "Shift", min: 0, max: s.window - 1, value: s.shift, oninput: (value) => change({ shift: value }, false) });
  frame.controls.append(step.node, window.node, size.node, shift.node);
  let offered = "";
  function sync() {
    step.set(s.step);
    window.set(String(s.window));
    const list = sizes(s.window);
    if (!list.some((other) => same(other, s.size))) list.unshift(s.size);
    const key = JSON.stringify(list);
    if (key !== offered) {
      offered = key;
      size.input.replaceChildren(...list.map(([h, w]) => kit.el("option", { value: `${h}x${w}`, text: `${h} × ${w} tokens` })));
    }
    size.set(s.size.join("x"));
    shift.range(0, s.window - 1);
    shift.set(s.shift);
  }

  // -- drawing: a grid of cells, {fill, text, cross, tone}, with lines every `bold` cells
  function grid(canvas, rows, columns, cell, bold, marks) {
    const unit = cw / Math.max(rows, columns), g = kit.fit(canvas, columns * unit, rows * unit);
    canvas.style.width = `${columns * unit}px`;
    g.clearRect(0, 0, cw, cw);
    g.font = `${clamp(unit * 0.36, 8, 15)}px ${kit.color(frame.root, "mono") || "monospace"}`;
    g.textAlign = "center"; g.textBaseline = "middle";
    for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++) {
      const it = cell(y, x);
      g.fillStyle = it.fill; g.fillRect(x * unit, y * unit, unit, unit);
      g.strokeStyle = ink.line; g.lineWidth = 1; g.strokeRect(x * unit + 0.5, y * unit + 0.5, unit, unit);
      if (it.cross) {
        g.strokeStyle = ink.muted; g.lineWidth = 1.2; g.beginPath();
        g.moveTo(x * unit + 3, (y + 1) * unit - 3); g.lineTo((x + 1) * unit - 3, y * unit + 3); g.stroke();
      }
      if (it.text !== "" && unit > 15) { g.fillStyle = it.tone || ink.ink; g.fillText(it.text, (x + 0.5) * unit, (y + 0.54) * unit); }
    }
    g.strokeStyle = ink.ink; g.lineWidth = 2; g.beginPath();
    if (bold) {
      for (let y = 0; y <= rows; y += bold) { g.moveTo(0, clamp(y * unit, 1, rows * unit - 1)); g.lineTo(columns * unit, clamp(y * unit, 1, rows * unit - 1)); }
      for (let x = 0; x <= columns; x += bold) { g.moveTo(clamp(x * unit, 1, columns * unit - 1), 0); g.lineTo(clamp(x * unit, 1, columns * unit - 1), rows * unit); }
    }
    g.stroke();
    for (const [y, x, role, dash, wide = 1] of marks) {
      g.lineWidth = role === "reader" ? 3 : 2; g.strokeStyle = ink[role]; g.setLineDash(dash);
      g.strokeRect(x * unit + 2, y * unit + 2, wide * unit - 4, unit - 4);
      g.setLineDash([]);
    }
  }
  /** Where a token is drawn: in the rolled map, or at home in the first and last step. */
  const home = () => s.step === "cut" || s.step === "back";
  const drawn = (token) => (home() ? token : c.number.indexOf(token));
  const tint = (k) => ink[`tint-${k}`];
  const corner = (k) => (Math.floor(k / (c.w / c.m)) % 2) * 2 + ((k % (c.w / c.m)) % 2);

  function drawMap() {
    const { h, w, m } = c;
    grid(map, h, w, (y, x) => {
      const i = y * w + x, token = home() ? i : c.number[i], at = c.number.indexOf(token), k = c.tokens.indexOf(token);
      if (s.step === "cut") return { fill: tint(corner(c.windows[at])), text: token };
      if (s.step === "roll") return { fill: c.region[at] ? ink["network-soft"] : ink.paper, text: token };
      if (s.step === "regions") return { fill: tint(c.region[at]), text: c.region[at] };
      if (s.step === "bias") return k < 0 ? { fill: ink.paper, text: "" } : { fill: c.allowed[c.place][k] ? ink["network-soft"] : ink.panel,
        cross: !c.allowed[c.place][k], text: c.index[c.place][k] };
      if (k < 0) return { fill: s.step === "back" ? tint(corner(c.windows[at])) : ink.paper, text: token, tone: ink.muted };
      return c.allowed[c.place][k] ? { fill: ink.network, text: token, tone: ink.paper } : { fill: ink.panel, cross: true, text: token };
    }, s.step === "back" ? 0 : m, [c.token, c.tokens[s.key]].map((token, i) => {
      const at = drawn(token);
      return [Math.floor(at / w), at % w, i ? "ink" : "reader", i ? [4, 3] : []];
    }).reverse());
  }
  function drawSide() {
    const { m, n } = c, wide = 2 * m - 1, kind = view();
    if (kind === "table") {
      const here = c.index[c.place][s.key], used = new Set(c.index[c.place]);
      grid(side, wide, wide, (y, x) => ({ fill: used.has(y * wide + x) ? ink["network-soft"] : ink.paper, text: y * wide + x,
        tone: used.has(y * wide + x) ? ink.ink : ink.muted }), 0, [[Math.floor(here / wide), here % wide, "ink", [4, 3]]]);
    } else if (kind === "matrix") {
      grid(side, n, n, (y, x) => ({ fill: c.allowed[y][x] ? ink.network : ink.paper, text: "" }), 0,
        [[c.place, 0, "reader", [], n], [c.place, s.key, "ink", [3, 2]]]);
    } else {
      grid(side, m, m, (y, x) => { const k = y * m + x; return { fill: kind === "window" ? ink.paper : tint(c.cut[k]), text: c.tokens[k] }; }, m,
        [[Math.floor(s.key / m), s.key % m, "ink", [4, 3]], [Math.floor(c.place / m), c.place % m, "reader", []]]);
    }
  }
  const view = () => ({ cut: "window", roll: "window", regions: "regions", mask: "matrix", bias: "table", back: "matrix" })[s.step];
  const TELL = {
    cut: "Windows of the plain layer, each in a colour", roll: "Rolled up and left: who stands where",
    regions: "Regions: where each token came from", mask: "The query’s window: allowed and forbidden",
    bias: "Row of the table for each key", back: "Rolled back: who was asked, at home",
  };
  const MARK = { query: "query", key: "key", yes: "may be asked", no: "same window, forbidden", t0: "0 stayed", t1: "1 from the left",
    t2: "2 from the top", t3: "3 from both", moved: "has gone round", used: "offsets of this query", unit: "numbers: tokens, row by row" };
  function legend(node, names) {
    node.replaceChildren(...names.map((name) => kit.el("span", { class: name === "moved" || name === "used" ? "t1" : name },
      name === "unit" ? null : kit.el("i", { "aria-hidden": "true" }), MARK[name])));
  }
  function write() {
    const { h, w, m, n, pair } = c, key = c.tokens[s.key], ok = c.allowed[c.place][s.key];
    const keys = c.tokens.filter((_, k) => c.allowed[c.place][k]).sort((a, b) => a - b);
    const place = (token) => `(${Math.floor(token / w)}, ${token % w})`;
    const dy = Math.floor(c.place / m) - Math.floor(s.key / m), dx = (c.place % m) - (s.key % m), by = 2 * m - 1;
    const rollText = pair[0] || pair[1] ? `rolled up by ${pair[0]} and left by ${pair[1]}` : "not rolled";
    const lines = [`map ${h} × ${w}, ${(h / m) * (w / m)} windows of ${m} × ${m}, ${rollText}`,
      `query: token ${c.token} at ${place(c.token)}, stands at (${Math.floor(c.at / w)}, ${c.at % w}): window ${c.window}, place ${c.place}, region ${c.region[c.at]}`,
      `it may ask ${keys.length} of ${n} keys: ${keys.join(", ")}`,
      `key: token ${key} at ${place(key)}, region ${c.cut[s.key]}: ${ok ? "allowed" : "forbidden"}`,
      `offset ${signed(dy)} rows, ${signed(dx)} columns: bias index (${signed(dy)} + ${m - 1}) · ${by} + (${signed(dx)} + ${m - 1}) = ${c.index[c.place][s.key]} of ${by * by}`];
    frame.say(lines.join("\n"));
    frame.code(python(s.size, s.window, s.step === "cut" ? 0 : s.shift, s.query, s.key));
    captions[0].textContent = TELL[s.step];
    captions[1].textContent = { window: "The query’s window", regions: "The query’s window and its regions",
      matrix: `Mask of window ${c.window}: a row for each query`, table: `Table of biases: ${by} × ${by} offsets` }[view()];
    legend(legends[0], { cut: ["query", "key", "unit"], roll: ["query", "key", "moved", "unit"], regions: ["query", "t0", "t1", "t2", "t3"],
      mask: ["query", "key", "yes", "no"], bias: ["query", "key", "no"], back: ["query", "key", "yes", "no"] }[s.step]);
    legend(legends[1], { window: ["query", "key", "unit"], regions: ["query", "key", "unit"], matrix: ["query", "key", "yes"], table: ["key", "used"] }[view()]);
    const set = (node, max, now, text) => [["min", 0], ["max", max], ["now", now], ["text", text]]
      .forEach(([name, value]) => node.setAttribute(`aria-value${name}`, value));
    set(map, h * w - 1, c.token, `${lines[1]}; ${lines[2]}`);
    set(side, n - 1, s.key, `${lines[3]}; ${lines[4]}`);
  }
  const paint = kit.painter(() => {
    if (cw < 80) return;
    if (!ink) {
      const roles = ["ink", "muted", "line", "paper", "panel", "reader", "network", "network-soft", "tint-0", "tint-1", "tint-2", "tint-3"];
      ink = Object.fromEntries(roles.map((role) => [role, kit.color(frame.root, role)]));
    }
    drawMap(); drawSide(); write();
  });

  // -- input
  const ask = (y, x, settle) => {
    const i = clamp(y, 0, c.h - 1) * c.w + clamp(x, 0, c.w - 1), token = home() ? i : c.number[i];
    change({ query: [Math.floor(token / c.w), token % c.w] }, settle);
  };
  kit.drag(map, (fx, fy, phase) => { if (phase !== "end") ask(Math.floor(fy * c.h), Math.floor(fx * c.w), false); });
  kit.arrows(map, (dx, dy) => { const at = drawn(c.token); ask(Math.floor(at / c.w) + dy, (at % c.w) + dx, true); });
  const answer = (y, x) => change({ key: clamp(y, 0, c.m - 1) * c.m + clamp(x, 0, c.m - 1) });
  kit.drag(side, (fx, fy, phase) => {
    if (phase === "end") return;
    const { m, n } = c, wide = 2 * m - 1, [py, px] = [Math.floor(c.place / m), c.place % m];
    if (view() === "matrix") change({ key: clamp(Math.floor(fx * n), 0, n - 1) }, false);
    else if (view() === "table") answer(py - (Math.floor(fy * wide) - m + 1), px - (Math.floor(fx * wide) - m + 1));
    else answer(Math.floor(fy * m), Math.floor(fx * m));
  });
  kit.arrows(side, (dx, dy) => {
    const turn = view() === "table" ? -1 : 1; // in the table of offsets, query minus key, the key moves the other way
    answer(Math.floor(s.key / c.m) + turn * dy, (s.key % c.m) + turn * dx);
  });

  // -- start
  change({});
  const resize = new ResizeObserver(() => {
    const next = Math.floor(map.parentElement.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(map.parentElement);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  for (const name of KEYS) model.on(`change:${name}`, pull);
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, pull);
  };
}

export const kernels = { shifts, rolled, windowOf, partition, regions, mask, biasIndex, python };

export default { render };
