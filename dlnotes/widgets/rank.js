// A picture as a sum of rank-1 pictures. The page decomposes the picture itself, once, and then only adds terms.

const minus = (text) => String(text).replace(/-/g, "−");
const many = (n) => Math.round(n).toLocaleString("en-US");
const percent = (x) => {
  const p = 100 * x;
  return `${p > 99.995 && p < 100 ? "> 99.99" : p >= 10 ? p.toFixed(2) : p < 0.0005 ? "0" : +p.toPrecision(3)}\u00a0%`;
};

// ---- One-sided Jacobi: turn pairs of columns until all are orthogonal; their lengths are the singular values.

/** Singular triples of an h × w matrix, in falling order: rows of u (r × h) and of v (r × w), and s (r). */
function svd(x, h, w) {
  const tall = h >= w, r = tall ? w : h, n = tall ? h : w, B = [];
  for (let j = 0; j < r; j++) B.push(Float64Array.from({ length: n }, (_, i) => (tall ? x[i * w + j] : x[j * w + i])));
  const square = (a) => { let t = 0; for (let i = 0; i < n; i++) t += a[i] * a[i]; return t; };
  let norms = B.map(square);
  const floor = 1e-30 * norms.reduce((a, b) => a + b, 0);
  for (let sweep = 0, turned = true; turned && sweep < 40; sweep++) {
    turned = false;
    const order = norms.map((_, i) => i).sort((a, b) => norms[b] - norms[a]); // longest first: fewer sweeps
    const C = order.map((i) => B[i]);
    for (let i = 0; i < r; i++) { B[i] = C[i]; norms[i] = square(B[i]); }
    for (let p = 0; p < r - 1; p++) for (let q = p + 1; q < r; q++) {
      const a = B[p], b = B[q];
      let dot = 0;
      for (let i = 0; i < n; i++) dot += a[i] * b[i];
      if (dot * dot <= 1e-26 * norms[p] * norms[q] || dot * dot <= floor * floor) continue;
      turned = true;
      const zeta = (norms[q] - norms[p]) / (2 * dot);
      const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta)), c = 1 / Math.hypot(1, t), s = c * t;
      for (let i = 0; i < n; i++) { const u = a[i], v = b[i]; a[i] = c * u - s * v; b[i] = s * u + c * v; }
      norms[p] -= t * dot; norms[q] += t * dot;
    }
  }
  const lengths = B.map((b) => Math.sqrt(square(b)));
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a]), top = lengths[order[0]] || 1;
  const s = order.map((i) => lengths[i]), u = [], v = [];
  for (const i of order) {
    const none = lengths[i] <= 1e-14 * top, unit = B[i].map((value) => (none ? 0 : value / lengths[i]));
    const other = new Float64Array(r); // the short side: unit vectors times the matrix, divided by the singular value
    if (!none) for (let y = 0; y < h; y++) for (let c = 0; c < w; c++) {
      if (tall) other[c] += unit[y] * x[y * w + c] / lengths[i]; else other[y] += unit[c] * x[y * w + c] / lengths[i];
    }
    u.push(tall ? unit : other); v.push(tall ? other : unit);
  }
  return { u, s, v };
}

/** Add the terms from `first` to `last` (counted from 1) into an h × w picture. */
function add({ u, s, v }, first, last, out) {
  const w = v[0].length;
  for (let i = first - 1; i < last; i++) for (let y = 0, o = 0; y < u[i].length; y++) {
    const weight = s[i] * u[i][y];
    if (!weight) { o += w; continue; }
    for (let c = 0; c < w; c++, o++) out[o] += weight * v[i][c];
  }
  return out;
}

/** What k terms hold, lack and cost. */
function figures(s, h, w, k) {
  const squares = s.map((value) => value * value), sum = (list) => list.reduceRight((a, b) => a + b, 0);
  const total = sum(squares), lost = sum(squares.slice(k)), numbers = k * (h + w + 1);
  return { energy: total ? 1 - lost / total : 1, error: total ? Math.sqrt(lost / total) : 0, numbers,
    share: numbers / (h * w), breakEven: Math.floor((h * w - 1) / (h + w + 1)) };
}

function python({ k, source, name, h, w }) {
  const lines = ["import torch"];
  const parts = ["color", "data", "transform"].filter((part) => source.includes(`${part}.`));
  if (parts.length) lines.push(`from skimage import ${parts.join(", ")}`);
  lines.push("", source ? `x = ${source}  # h w` : `x = torch.as_tensor(image).double()  # your ${name}, (${h}, ${w}) in [0, 1]`,
    "x = (x * 255).round() / 255  # 256 grey values, as in the picture", `k = ${k}`,
    "U, S, Vh = torch.linalg.svd(x, full_matrices=False)  # h r, r, r w",
    "y = (U[:, :k] * S[:k]) @ Vh[:k]  # h w: the sum of k terms",
    "term = S[k - 1] * torch.outer(U[:, k - 1], Vh[k - 1])  # h w",
    "energy = (S[:k]**2).sum() / (S**2).sum()",
    "error = (x - y).norm() / x.norm()  # = sqrt(discarded S**2 / all S**2)",
    "numbers = k * (x.shape[0] + x.shape[1] + 1), x.numel()");
  return lines.join("\n");
}

const M = { left: 52, right: 12, top: 16, bottom: 38 };
const TALL = 150; // height of a plot's frame

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Rank explorer",
    hint: "Drag on a curve to choose k. On the first picture, left and right arrows change k by 1, up and down by 10. "
      + "Point at a picture to read a pixel." });
  frame.root.classList.add("dln-rank");
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
  const cache = new Map(); // a kernel may add pictures; those that are there stay as they are
  let names = model.get("names"), sizes = model.get("sizes"), sources = model.get("sources");
  let raw, ink, spot = null, cw = 0, state = null;
  const decompose = (i) => {
    if (!cache.has(i)) {
      const [h, w] = sizes[i], start = sizes.slice(0, i).reduce((a, [p, q]) => a + p * q, 0);
      const x = Float64Array.from(raw.subarray(start, start + h * w), (v) => v / 255);
      cache.set(i, { x, h, w, ...svd(x, h, w) });
    }
    return cache.get(i);
  };

  const panel = (label, props) => {
    const caption = kit.el("div", { class: "dln-rank-caption" }), unit = kit.el("span"), lo = kit.el("span"), hi = kit.el("span");
    const bar = kit.el("span", { class: "dln-rank-bar", "aria-hidden": "true" });
    const canvas = kit.el("canvas", { class: "dln-pixels", "aria-label": label, ...props });
    const mark = kit.el("div", { class: "dln-rank-spot", hidden: true });
    return { caption, unit, lo, hi, bar, canvas, mark, node: kit.el("div", { class: "dln-rank-panel" }, caption,
      kit.el("div", { class: "dln-rank-legend" }, unit, lo, bar, hi), kit.el("div", { class: "dln-rank-stage" }, canvas, mark)) };
  };
  const total = panel("Number of terms k", { tabindex: "0", role: "slider" });
  const term = panel("The last term alone", { role: "img" }), rest = panel("What is missing", { role: "img" });
  const curve = (label, ...keys) => {
    const canvas = kit.el("canvas", { role: "img", "aria-label": label });
    const legend = kit.el("div", { class: "dln-rank-legend" }, ...keys);
    return { canvas, node: kit.el("div", { class: "dln-rank-panel" },
      kit.el("div", { class: "dln-rank-caption", text: label }), legend, canvas) };
  };
  const key = (text, kind = "") => kit.el("span", { class: `dln-rank-key ${kind}`, text });
  const values = curve("Singular values", key("kept"), key("discarded", "dln-rank-rest"));
  const costs = curve("Error and storage against k", key("error"), key("numbers to store", "dln-rank-cost"));
  frame.picture.append(kit.el("div", { class: "dln-rank-maps" }, total.node, term.node, rest.node),
    kit.el("div", { class: "dln-rank-plots" }, values.node, costs.node));

  let saving;
  function change(next) {
    for (const [name, value] of Object.entries(next)) model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    paint();
  }
  const rank = () => Math.min(...sizes[model.get("picture")]);
  const setK = (k) => change({ k: clamp(Math.round(k), 1, rank()) });
  const picture = kit.select({ label: "Picture", value: String(model.get("picture")), options: names.map((n, i) => [String(i), n]),
    onchange: (i) => change({ picture: +i, k: clamp(model.get("k"), 1, Math.min(...sizes[+i])) }) });
  const terms = kit.slider({ label: "Terms k", min: 1, max: rank(), value: model.get("k"), oninput: setK });
  const scale = kit.choice({ label: "Signed maps", value: model.get("scale"),
    options: [["own", "own scale"], ["shared", "−0.5 to 0.5"]], onchange: (v) => change({ scale: v }) });
  frame.controls.append(picture.node, terms.node, scale.node);

  const FONT = `12px ${getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif"}`;
  const gradient = (name) => {
    const t = kit.lut(name);
    return `linear-gradient(90deg, ${[0, 64, 128, 191, 255].map((k) => `rgb(${t[3 * k]} ${t[3 * k + 1]} ${t[3 * k + 2]})`).join(", ")})`;
  };
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  function show(p, data, d, map, lo, hi, caption, unit) {
    kit.paint(p.canvas, data, d.w, d.h, { map, lo, hi });
    const digits = hi < 0.01 ? 4 : hi < 0.1 ? 3 : 2;
    put(p.caption, caption); put(p.unit, unit); put(p.lo, minus(lo.toFixed(digits))); put(p.hi, minus(hi.toFixed(digits)));
    p.bar.style.background = gradient(map);
    p.mark.hidden = !spot;
    if (spot) { p.mark.style.left = `${(100 * (spot[1] + 0.5)) / d.w}%`; p.mark.style.top = `${(100 * (spot[0] + 0.5)) / d.h}%`; }
  }
  const largest = (data) => { let m = 0; for (const v of data) m = Math.max(m, Math.abs(v)); return m; };

  function plot(canvas, { ylabel, ys, Y, tick, lines, k, r, breakEven, label }) {
    const g = kit.fit(canvas, cw, M.top + TALL + M.bottom), pw = cw - M.left - M.right;
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, M.top + TALL + M.bottom);
    const X = (i) => M.left + ((i - 0.5) / r) * pw, P = (v) => M.top + TALL * Y(v);
    g.fillStyle = ink.paper; g.fillRect(M.left, M.top, pw, TALL);
    g.font = FONT; g.lineWidth = 1; g.textBaseline = "middle"; g.textAlign = "right";
    for (const v of ys) {
      const p = Math.round(P(v)) + 0.5;
      g.strokeStyle = ink.line; g.beginPath(); g.moveTo(M.left, p); g.lineTo(M.left + pw, p); g.stroke();
      g.fillStyle = ink.muted; g.fillText(tick(v), M.left - 5, p);
    }
    g.textAlign = "center"; g.textBaseline = "top"; g.fillStyle = ink.muted;
    const marks = r <= 8 ? Array.from({ length: r }, (_, i) => i + 1) : [1, Math.round(r / 4), Math.round(r / 2), Math.round(0.75 * r), r];
    for (const i of marks) g.fillText(i, X(i), M.top + TALL + 5);
    g.fillText(label, M.left + pw / 2, M.top + TALL + 21);
    g.save(); g.translate(10, M.top + TALL / 2); g.rotate(-Math.PI / 2); g.textBaseline = "middle"; g.fillText(ylabel, 0, 0); g.restore();
    if (breakEven >= 1) {
      g.strokeStyle = ink.ink; g.setLineDash([2, 3]);
      g.beginPath(); g.moveTo(X(breakEven + 0.5), M.top); g.lineTo(X(breakEven + 0.5), M.top + TALL); g.stroke(); g.setLineDash([]);
      g.fillStyle = ink.ink; g.textBaseline = "bottom"; g.fillText(`break-even ${breakEven}`, clamp(X(breakEven), M.left + 45, cw - 50), M.top - 1);
    }
    g.save(); g.beginPath(); g.rect(M.left, M.top - 3, pw, TALL + 6); g.clip();
    lines(g, X, P);
    g.restore();
    g.strokeStyle = ink.reader; g.lineWidth = 2; g.beginPath(); g.moveTo(X(k), M.top); g.lineTo(X(k), M.top + TALL); g.stroke();
    g.fillStyle = ink.reader; g.beginPath(); g.arc(X(k), M.top + TALL, 6, 0, 7); g.fill();
  }

  function draw() {
    if (cw < 100) return;
    if (!ink) ink = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "network"].map((n) => [n, kit.color(frame.root, n)]));
    const i = model.get("picture"), d = decompose(i), { h, w, s } = d, r = s.length, k = clamp(model.get("k"), 1, r);
    if (!state || state.i !== i || state.k !== k) {
      const sum = add(d, 1, k, new Float64Array(h * w)), one = add(d, k, k, new Float64Array(h * w));
      let lost = 0, all = 0;
      const missing = d.x.map((v, o) => { const e = v - sum[o]; lost += e * e; all += v * v; return e; });
      state = { i, k, sum, one, missing, measured: all ? Math.sqrt(lost / all) : 0 };
    }
    terms.range(1, r); terms.set(k); picture.set(String(i)); scale.set(model.get("scale"));
    const f = figures(s, h, w, k), limit = (data) => (model.get("scale") === "shared" ? 0.5 : largest(data) || 1);
    show(total, state.sum, d, "grey", 0, 1, `Sum of ${k} ${k === 1 ? "term" : "terms"}`, "grey value");
    show(term, state.one, d, "diverging", -limit(state.one), limit(state.one), `Term ${k} alone`, "signed");
    show(rest, state.missing, d, "diverging", -limit(state.missing), limit(state.missing), "Missing", "signed");
    const least = Math.max(s[0] * 1e-4, 1e-12), hiLog = Math.ceil(Math.log10(s[0] || 1)), loLog = Math.floor(Math.log10(Math.max(s[r - 1], least)));
    const span = Math.max(hiLog - loLog, 1), decades = Array.from({ length: span + 1 }, (_, e) => 10 ** (loLog + e));
    plot(values.canvas, { label: "index of the term", ylabel: "singular value", k, r, breakEven: f.breakEven, ys: decades,
      tick: (v) => (v >= 1 || v < 0.001 ? +v.toPrecision(1) : v), Y: (v) => clamp((hiLog - Math.log10(Math.max(v, 1e-300))) / span, 0, 1),
      lines(g, X, P) {
        for (const [from, to, colour, size] of [[0, k, ink.network, 2.6], [k, r, ink.muted, 2]]) {
          g.fillStyle = colour;
          for (let j = from; j < to; j++) { g.beginPath(); g.arc(X(j + 1), P(s[j]), size, 0, 7); g.fill(); }
        }
      } });
    const most = Math.max(1, figures(s, h, w, r).share);
    plot(costs.canvas, { label: "number of terms k", ylabel: "% of the picture", k, r, breakEven: f.breakEven,
      ys: most > 1.5 ? [0, 0.5, 1, 1.5, 2] : [0, 0.5, 1], tick: (v) => `${100 * v}`, Y: (v) => 1 - v / Math.max(most, 1.02),
      lines(g, X, P) {
        const line = (value) => { g.beginPath(); for (let j = 1; j <= r; j++) g.lineTo(X(j), P(value(figures(s, h, w, j)))); g.stroke(); };
        g.strokeStyle = ink.network; g.lineWidth = 2.5; line((q) => q.error);
        g.strokeStyle = ink.ink; g.lineWidth = 1.6; g.setLineDash([5, 4]); line((q) => q.share); g.setLineDash([]);
      } });
    const lines = [`${names[i]}, ${h} × ${w}: the first ${k} of ${r} terms`,
      `singular value ${k}: ${s[k - 1] < 1e-9 * s[0] ? "0" : s[k - 1].toPrecision(4)}   energy held: ${percent(f.energy)}`,
      `error by Eckart–Young: ${percent(f.error)}   measured on the pixels: ${percent(state.measured)}`,
      `${k} × (${h} + ${w} + 1) = ${many(f.numbers)} numbers, the picture has ${many(h * w)} (${percent(f.share)})`
        + (k > f.breakEven ? ": more than the picture" : `; break-even: k = ${f.breakEven}`)];
    if (spot) {
      const o = spot[0] * w + spot[1], show3 = (v) => minus(v.toFixed(3));
      lines.push(`x ${spot[1]}, y ${spot[0]}: picture ${show3(d.x[o])}, sum ${show3(state.sum[o])}, term ${k} ${show3(state.one[o])}, missing ${show3(state.missing[o])}`);
    }
    frame.say(lines.join("\n"));
    frame.code(python({ k, source: sources[i], name: names[i], h, w }));
    const attributes = { valuemin: 1, valuemax: r, valuenow: k, valuetext: `${k} of ${r} terms, error ${percent(f.error)}` };
    for (const [name, value] of Object.entries(attributes)) total.canvas.setAttribute(`aria-${name}`, value);
    term.canvas.setAttribute("aria-label", `Term ${k} alone, signed`);
    rest.canvas.setAttribute("aria-label", `What is missing after ${k} terms, signed`);
  }
  const paint = kit.painter(draw);

  kit.arrows(total.canvas, (dx, dy, event) => {
    if (Math.abs(dx) === Infinity) setK(dx < 0 ? 1 : rank());
    else setK(model.get("k") + dx * (event.shiftKey ? 10 : 1) - 10 * dy);
  });
  for (const { canvas } of [values, costs]) {
    kit.drag(canvas, (x, _, phase) => {
      const pw = cw - M.left - M.right;
      if (phase !== "end") setK(((x * cw - M.left) / pw) * rank() + 0.5);
    });
  }
  const at = (event, canvas) => {
    const box = canvas.getBoundingClientRect(), [h, w] = sizes[model.get("picture")];
    spot = [clamp(Math.floor(((event.clientY - box.top) / box.height) * h), 0, h - 1),
      clamp(Math.floor(((event.clientX - box.left) / box.width) * w), 0, w - 1)];
    paint();
  };
  for (const { canvas } of [total, term, rest]) {
    canvas.addEventListener("pointermove", (event) => at(event, canvas));
    canvas.addEventListener("pointerdown", (event) => at(event, canvas));
    canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { spot = null; paint(); } });
  }

  raw = kit.bytes(model, "pictures");
  const resize = new ResizeObserver(() => {
    const next = Math.floor(values.node.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(values.node);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const reload = () => {
    names = model.get("names"); sizes = model.get("sizes"); sources = model.get("sources"); raw = kit.bytes(model, "pictures");
    picture.input.replaceChildren(...names.map((name, i) => kit.el("option", { value: String(i), text: name })));
    paint();
  };
  const KEYS = ["k", "picture", "scale"];
  for (const name of KEYS) model.on(`change:${name}`, paint);
  model.on("change:pictures", reload);
  kit.live(model, () => frame.controls.append(kit.el("div", { class: "dln-live" }, kit.select({ label: "Add a photograph", value: "",
    options: [["", "choose"], ...model.get("offers").map((name) => [name, name])],
    onchange: (name) => name && model.send({ type: "picture", name }) }).node)));
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, paint);
    model.off("change:pictures", reload);
  };
}

export const kernels = {
  svd: (x, h, w) => svd(x, h, w),
  sum: (x, h, w, k) => add(svd(x, h, w), 1, k, new Float64Array(h * w)),
  term: (x, h, w, k) => add(svd(x, h, w), k, k, new Float64Array(h * w)),
  figures: (x, h, w, k) => figures(svd(x, h, w).s, h, w, k),
  python,
};

export default { render };
