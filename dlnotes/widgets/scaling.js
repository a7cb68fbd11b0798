// Random queries and keys, their scores, and what the softmax makes of them; everything is computed here.

const POWERS = 10, ROWS = 48, KEYS = 16;
const DIVIDE = { one: () => 1, root: Math.sqrt, width: (d) => d };
const WORDS = { one: "not divided", root: "divided by √d", width: "divided by d" };

/** Normal numbers from a seed: mulberry32 and the Box–Muller transform. */
function normals(seed) {
  let a = (seed * 0x9e3779b9) >>> 0, spare = null;
  const uniform = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => {
    if (spare !== null) { const z = spare; spare = null; return z; }
    const r = Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    spare = r * Math.sin(angle);
    return r * Math.cos(angle);
  };
}

/** Raw scores q · k of ROWS queries against KEYS keys each, for widths 2, 4, ..., 1024: dots[p][row * KEYS + key]. */
function rawScores(seed) {
  const next = normals(seed), dots = Array.from({ length: POWERS }, () => new Float64Array(ROWS * KEYS));
  const q = new Float64Array(2 ** POWERS);
  for (let row = 0; row < ROWS; row++) {
    for (let i = 0; i < q.length; i++) q[i] = next();
    for (let key = 0; key < KEYS; key++) {
      let sum = 0;
      for (let i = 0, p = 0; i < q.length; i++) {
        sum += q[i] * next();
        if (i + 1 === 2 ** (p + 1)) dots[p++][row * KEYS + key] = sum; // a narrower head is the beginning of a wider one
      }
    }
  }
  return dots;
}

function softmax(scores) {
  const top = Math.max(...scores), e = scores.map((s) => Math.exp(s - top)), sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/** Largest weight, entropy as a share of its greatest value, and Frobenius norm of diag(w) - w wᵀ. */
function measures(weights) {
  let entropy = 0, square = 0;
  for (const w of weights) { entropy -= w > 0 ? w * Math.log(w) : 0; square += w * w; }
  let jacobian = 0;
  for (const w of weights) jacobian += w * w * (1 - 2 * w) + w * w * square;
  return { largest: Math.max(...weights), entropy: entropy / Math.log(weights.length), jacobian: Math.sqrt(Math.max(jacobian, 0)) };
}

const row = (dots, index, divisor) => Array.from(dots.subarray(index * KEYS, (index + 1) * KEYS), (s) => s / divisor);

/** Means of the three measures, and the spread of the scores, over all rows of one width. */
function means(dots, divisor) {
  const sum = { largest: 0, entropy: 0, jacobian: 0 };
  let square = 0;
  for (const s of dots) square += (s / divisor) ** 2;
  for (let r = 0; r < dots.length / KEYS; r++) {
    const m = measures(softmax(row(dots, r, divisor)));
    for (const name in sum) sum[name] += m[name] * KEYS / dots.length;
  }
  return { ...sum, spread: Math.sqrt(square / dots.length) };
}

function python(scores, d, divisor) {
  const by = { one: "1", root: "math.sqrt(d)", width: "d" }[divisor];
  return ["import math", "", "import torch", "", `d = ${d}  # width of one head`,
    `raw = torch.tensor([${scores.map((v) => v.toFixed(3)).join(", ")}])  # 16: q · k of this query`,
    `weights = (raw / ${by}).softmax(-1)  # 16`,
    "jacobian = torch.diag(weights) - torch.outer(weights, weights)  # 16 16",
    "print(weights.max(), jacobian.norm())", "", "# the same for 48 fresh queries",
    "q, k = torch.randn(48, 1, d), torch.randn(48, 16, d)",
    `w = ((q @ k.mT)[:, 0] / ${by}).softmax(-1)  # 48 16`,
    "jacobians = torch.diag_embed(w) - w[:, :, None] * w[:, None, :]  # 48 16 16",
    "print(jacobians.flatten(1).norm(dim=-1).mean())"].join("\n");
}

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Scaling lab",
    hint: "Widen the head and watch the weights of one query. Arrow keys on the bars choose a key; on the curves, a width." });
  frame.root.classList.add("dln-scaling");
  const s = Object.fromEntries(["width", "divisor", "seed", "key"].map((name) => [name, model.get(name)]));
  let dots = rawScores(s.seed), curves = null;

  const bars = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Weights of one query; choose a key", "aria-valuemin": 0, "aria-valuemax": KEYS - 1 });
  const chart = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Jacobian norm against width; choose a width", "aria-valuemin": 1, "aria-valuemax": POWERS });
  const panel = (text, canvas) => kit.el("div", { class: "dln-scaling-panel" }, kit.el("div", { class: "dln-scaling-caption", text }), canvas);
  frame.picture.append(kit.el("div", { class: "dln-scaling-pair" }, panel("Weights of one query over 16 keys", bars),
    panel("How far the weights move when the scores do: mean norm of the softmax’s Jacobian", chart)));
  const width = kit.slider({ label: "Width d", min: 1, max: POWERS, value: Math.log2(s.width), format: (p) => String(2 ** p), oninput: (p) => set({ width: 2 ** p }) });
  const divisor = kit.choice({ label: "Scores", value: s.divisor, options: Object.entries({ one: "as they are", root: "÷ √d", width: "÷ d" }), onchange: (divisor) => set({ divisor }) });
  const again = kit.button({ label: "Draw again", onclick: () => set({ seed: s.seed + 1 }) });
  frame.controls.append(width.node, divisor.node, again);

  const power = () => Math.log2(s.width) - 1;
  function set(change) {
    Object.assign(s, change);
    for (const name in change) model.set(name, change[name]);
    model.save_changes();
    if ("seed" in change) { dots = rawScores(s.seed); curves = null; }
    update();
  }

  const M = { left: 44, right: 12, top: 8, bottom: 36 };
  function axes(g, w, h, label) {
    g.clearRect(0, 0, w, h);
    g.font = "12px system-ui, sans-serif";
    g.strokeStyle = kit.color(frame.root, "muted"); g.fillStyle = kit.color(frame.root, "muted"); g.lineWidth = 1;
    g.beginPath(); g.moveTo(M.left, M.top); g.lineTo(M.left, h - M.bottom); g.lineTo(w - M.right, h - M.bottom); g.stroke();
    g.textAlign = "center";
    g.fillText(label, (M.left + w - M.right) / 2, h - 4);
  }

  function paintBars(weights) {
    const w = bars.parentNode.clientWidth, h = 210, g = kit.fit(bars, w, h), step = (w - M.left - M.right) / KEYS;
    axes(g, w, h, "key");
    g.textAlign = "right";
    for (const v of [0, 0.5, 1]) g.fillText(v.toFixed(1), M.left - 6, y(v) + 4);
    function y(v) { return h - M.bottom - v * (h - M.bottom - M.top); }
    weights.forEach((v, i) => {
      g.fillStyle = kit.color(frame.root, i === s.key ? "reader" : "network");
      g.fillRect(M.left + i * step + 1, y(v), step - 2, Math.max(h - M.bottom - y(v), 1));
    });
    g.textAlign = "center"; g.fillStyle = kit.color(frame.root, "muted");
    for (const i of [0, 5, 10, 15]) g.fillText(String(i), M.left + (i + 0.5) * step, h - M.bottom + 14);
  }

  function paintChart() {
    const w = chart.parentNode.clientWidth, h = 210, g = kit.fit(chart, w, h), top = 0.4;
    const x = (p) => M.left + 8 + (p / (POWERS - 1)) * (w - M.left - M.right - 16), y = (v) => h - M.bottom - Math.min(v / top, 1) * (h - M.bottom - M.top);
    axes(g, w, h, "width d");
    g.textAlign = "right";
    for (const v of [0, 0.2, 0.4]) g.fillText(v.toFixed(1), M.left - 6, y(v) + 4);
    g.textAlign = "center";
    for (let p = 0; p < POWERS; p += w < 340 ? 3 : 1) g.fillText(String(2 ** (p + 1)), x(p), h - M.bottom + 14);
    g.strokeStyle = kit.color(frame.root, "reader");
    g.beginPath(); g.moveTo(x(power()), M.top); g.lineTo(x(power()), h - M.bottom); g.stroke();
    const names = ["width", "one", "root"].sort((a, b) => (a === s.divisor) - (b === s.divisor));
    for (const name of names) {
      const chosen = name === s.divisor;
      g.strokeStyle = kit.color(frame.root, chosen ? "network" : "muted");
      g.lineWidth = chosen ? 2.5 : 1.2;
      g.setLineDash({ one: [], root: [7, 4], width: [2, 3] }[name]);
      g.beginPath();
      curves[name].forEach((m, p) => (p ? g.lineTo(x(p), y(m.jacobian)) : g.moveTo(x(p), y(m.jacobian))));
      g.stroke();
      g.setLineDash([]);
      const at = { one: 4, root: 6, width: w < 340 ? 0 : 2 }[name], below = name === "one" ? -10 : name === "width" ? 16 : -8;
      g.fillStyle = kit.color(frame.root, chosen ? "network" : "muted");
      g.textAlign = "left";
      g.fillText({ one: "as they are", root: "÷ √d", width: "÷ d" }[name], Math.min(x(at), w - 76), y(curves[name][at].jacobian) + below);
    }
    g.fillStyle = kit.color(frame.root, "reader");
    g.beginPath(); g.arc(x(power()), y(curves[s.divisor][power()].jacobian), 5, 0, 7); g.fill();
  }

  const draw = kit.painter(() => { paintBars(present().weights); paintChart(); });
  function present() {
    const by = DIVIDE[s.divisor](s.width), scores = row(dots[power()], 0, by);
    return { scores, weights: softmax(scores), raw: row(dots[power()], 0, 1) };
  }
  function update() {
    curves ||= Object.fromEntries(Object.keys(DIVIDE).map((name) => [name, dots.map((d, p) => means(d, DIVIDE[name](2 ** (p + 1))))]));
    const { scores, weights, raw } = present(), m = curves[s.divisor][power()], here = measures(weights);
    width.set(Math.log2(s.width)); divisor.set(s.divisor);
    const text = `d = ${s.width}, scores ${WORDS[s.divisor]}. Over 48 queries: standard deviation of the scores ${m.spread.toPrecision(3)}, `
      + `largest weight ${m.largest.toFixed(2)}, entropy ${(100 * m.entropy).toFixed(0)} % of log 16, Jacobian norm ${m.jacobian.toFixed(3)}.\n`
      + `This query: largest weight ${here.largest.toFixed(2)}. Key ${s.key}: score ${scores[s.key].toFixed(2)}, weight ${weights[s.key].toFixed(3)}.`;
    bars.setAttribute("aria-valuenow", s.key);
    bars.setAttribute("aria-valuetext", `key ${s.key}, weight ${weights[s.key].toFixed(3)}`);
    chart.setAttribute("aria-valuenow", power() + 1);
    chart.setAttribute("aria-valuetext", `width ${s.width}, norm ${m.jacobian.toFixed(3)}`);
    frame.say(text);
    frame.code(python(raw, s.width, s.divisor));
    draw();
  }

  const within = (v, lo, hi) => Math.min(Math.max(v, lo), hi);
  kit.arrows(bars, (dx, dy) => (dx ? set({ key: within(Number.isFinite(dx) ? s.key + dx : dx < 0 ? 0 : KEYS - 1, 0, KEYS - 1) }) : wider(-dy)));
  kit.arrows(chart, (dx, dy) => wider(Number.isFinite(dx) ? dx - dy : dx < 0 ? -POWERS : POWERS));
  const wider = (by) => set({ width: 2 ** within(power() + 1 + by, 1, POWERS) });
  const inside = (x, node) => (x * node.clientWidth - M.left) / (node.clientWidth - M.left - M.right);
  kit.drag(bars, (x) => set({ key: within(Math.floor(inside(x, bars) * KEYS), 0, KEYS - 1) }));
  kit.drag(chart, (x) => set({ width: 2 ** within(1 + Math.round(inside(x, chart) * (POWERS - 1)), 1, POWERS) }));

  const pull = () => { for (const name in s) s[name] = model.get(name); dots = rawScores(s.seed); curves = null; update(); };
  for (const name of ["width", "divisor"]) model.on(`change:${name}`, () => { if (model.get(name) !== s[name]) pull(); });
  const resize = new ResizeObserver(draw);
  resize.observe(frame.picture);
  const stop = kit.onTheme(draw);
  update();
  return () => { resize.disconnect(); stop(); };
}

export const kernels = {
  softmax,
  measures,
  /** Spread of the raw scores at each width, from a seed. */
  spreads: (seed) => rawScores(seed).map((d) => means(d, 1).spread),
  /** Means over rows of plain raw scores (rows * 16 numbers), divided by a number. */
  means: (scores, divisor) => means(Float64Array.from(scores), divisor),
  python,
};

export default { render };
