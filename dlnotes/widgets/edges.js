// A 3 × 3 derivative filter on a picture, pixel by pixel, and its gain for waves of each frequency.

const SMOOTH = { sobel: [0.25, 0.5, 0.25], scharr: [3 / 16, 10 / 16, 3 / 16], prewitt: [1 / 3, 1 / 3, 1 / 3] };
const SLOPE = [-0.5, 0, 0.5];
const LAPLACE = [0, 1, 0, 1, -4, 1, 0, 1, 0];
const TITLE = { sobel: "Sobel", scharr: "Scharr", prewitt: "Prewitt", laplacian: "Laplacian" };
const UNIT = { x: "gx, grey levels per pixel", y: "gy, grey levels per pixel", magnitude: "grey levels per pixel",
  direction: "direction of brightening, rad", laplacian: "grey levels per pixel²" };
const minus = (text) => String(text).replace(/-/g, "−");
const fixed = (v, digits = 3) => minus((Math.abs(v) < 0.5 * 10 ** -digits ? 0 : v).toFixed(digits));
const trim = (v) => String(+v.toFixed(3));

const outer = (a, b) => a.flatMap((p) => b.map((q) => p * q));
/** The two 3 × 3 kernels of an operator, in derivatives per pixel; of the Laplacian one. */
function kernelsOf(filter) {
  return filter === "laplacian" ? [LAPLACE] : [outer(SMOOTH[filter], SLOPE), outer(SLOPE, SMOOTH[filter])];
}
/** Correlate with a 3 × 3 kernel; the border pixel is repeated once. */
function correlate(x, h, w, kernel) {
  const out = new Float64Array(h * w);
  for (let y = 0, o = 0; y < h; y++) {
    const rows = [Math.max(y - 1, 0) * w, y * w, Math.min(y + 1, h - 1) * w];
    for (let c = 0; c < w; c++, o++) {
      const l = Math.max(c - 1, 0), r = Math.min(c + 1, w - 1);
      let t = 0;
      for (let i = 0; i < 3; i++) t += kernel[3 * i] * x[rows[i] + l] + kernel[3 * i + 1] * x[rows[i] + c] + kernel[3 * i + 2] * x[rows[i] + r];
      out[o] = t;
    }
  }
  return out;
}
function gaussian(sigma) {
  const radius = Math.floor(4 * sigma + 0.5), g = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp(-0.5 * ((i - radius) / sigma) ** 2));
  const total = g.reduce((a, b) => a + b, 0);
  return g.map((v) => v / total);
}
/** The blur of dlnotes.edges.gaussian_blur: replicated border, four standard deviations. */
function blurred(x, h, w, sigma) {
  if (!sigma) return x;
  const g = gaussian(sigma), R = (g.length - 1) / 2, half = new Float64Array(h * w), out = new Float64Array(h * w);
  const clamp = (v, hi) => (v < 0 ? 0 : v > hi ? hi : v);
  for (let y = 0, o = 0; y < h; y++) for (let c = 0; c < w; c++, o++) {
    let t = 0;
    for (let i = -R; i <= R; i++) t += g[i + R] * x[clamp(y + i, h - 1) * w + c];
    half[o] = t;
  }
  for (let y = 0, o = 0; y < h; y++) for (let c = 0; c < w; c++, o++) {
    let t = 0;
    for (let i = -R; i <= R; i++) t += g[i + R] * half[y * w + clamp(c + i, w - 1)];
    out[o] = t;
  }
  return out;
}
/** All maps of a filter: {gx, gy, magnitude, direction}, or {laplacian}. */
function answers(x, h, w, filter) {
  const parts = kernelsOf(filter).map((k) => correlate(x, h, w, k));
  if (filter === "laplacian") return { laplacian: parts[0], strength: parts[0].map(Math.abs) };
  const [gx, gy] = parts, magnitude = gx.map((v, i) => Math.hypot(v, gy[i]));
  return { x: gx, y: gy, magnitude, direction: gx.map((v, i) => Math.atan2(gy[i], v)), strength: magnitude };
}
/** Modulus of a kernel's frequency response at (fy, fx) cycles per pixel. */
function response(kernel, fy, fx) {
  let re = 0, im = 0;
  for (let i = 0; i < 3; i++) for (let j = 0; j < 3; j++) {
    const a = 2 * Math.PI * (fy * (i - 1) + fx * (j - 1));
    re += kernel[3 * i + j] * Math.cos(a); im += kernel[3 * i + j] * Math.sin(a);
  }
  return Math.hypot(re, im);
}
/** Gain of the whole chain: the blur's response times the filter's; of magnitude and direction the root of both squares. */
function gain(fy, fx, { filter, quantity, blur }) {
  const soft = (f) => {
    if (!blur) return 1;
    const g = gaussian(blur), R = (g.length - 1) / 2;
    return g.reduce((t, v, i) => t + v * Math.cos(2 * Math.PI * f * (i - R)), 0);
  };
  const parts = kernelsOf(filter).map((k) => response(k, fy, fx));
  const own = filter === "laplacian" || quantity === "x" ? parts[0] : quantity === "y" ? parts[1] : Math.hypot(...parts);
  return Math.abs(soft(fy) * soft(fx)) * own;
}

function python(s, source, name, [h, w]) {
  const lines = ["import torch", "import torch.nn.functional as F"], use = source || "";
  const parts = ["color", "data", "transform"].filter((part) => use.includes(`${part}.`));
  if (parts.length) lines.push(`from skimage import ${parts.join(", ")}`);
  lines.push("", source ? `x = ${source}  # h w` : `x = torch.as_tensor(image).double()  # your ${name}, (${h}, ${w}) in [0, 1]`,
    "x = ((x * 255).round() / 255)[None, None]  # 1 1 h w, 256 grey values as in the picture");
  if (s.noise) lines.push("noise = torch.randn(x.shape[2:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)",
    `x = x + ${trim(s.noise)} * noise  # 1 1 h w`);
  if (s.blur) {
    const R = Math.floor(4 * s.blur + 0.5);
    lines.push(`i = torch.arange(${-R}, ${R + 1}, dtype=torch.float64)`, `g = torch.exp(-0.5 * (i / ${trim(s.blur)})**2)`, "g = g / g.sum()",
      `x = F.conv2d(F.pad(x, (0, 0, ${R}, ${R}), mode="replicate"), g[None, None, :, None])  # down`,
      `x = F.conv2d(F.pad(x, (${R}, ${R}, 0, 0), mode="replicate"), g[None, None, None])  # across`);
  }
  lines.push("padded = F.pad(x, (1, 1, 1, 1), mode=\"replicate\")  # 1 1 h+2 w+2");
  if (s.filter === "laplacian") lines.push("kernel = torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).double()",
    "y = F.conv2d(padded, kernel[None, None])[0, 0]  # h w", "strength = y.abs()");
  else {
    const smooth = { sobel: "[1, 2, 1]", scharr: "[3, 10, 3]", prewitt: "[1, 1, 1]" }[s.filter];
    lines.push(`smooth = torch.tensor(${smooth}).double()`, "smooth = smooth / smooth.sum()", "slope = torch.tensor([-0.5, 0, 0.5]).double()",
      "gx = F.conv2d(padded, torch.outer(smooth, slope)[None, None])[0, 0]  # h w",
      "gy = F.conv2d(padded, torch.outer(slope, smooth)[None, None])[0, 0]  # h w",
      "strength = torch.hypot(gx, gy)",
      `y = ${{ x: "gx", y: "gy", magnitude: "strength", direction: "torch.atan2(gy, gx)" }[s.quantity]}`);
  }
  if (s.threshold) lines.push(`mask = strength > ${trim(s.threshold)}`);
  lines.push(`value = y[${s.spot[0]}, ${s.spot[1]}]`);
  return lines.join("\n");
}

const M = { left: 44, right: 12, top: 8, bottom: 38 };
const TALL = 130;
const CYCLE = "e8e4dc 6fa3dd 20447f 1d1a2b 7d3f12 e0a05a e8e4dc"; // light at ±π, dark at 0, blue below, orange above

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Edge explorer",
    hint: "Point at a picture, or move the square with the arrow keys, to read the nine products. Then change the filter." });
  frame.root.classList.add("dln-edges");
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
  const [h, w] = model.get("size");
  let names = model.get("names"), sources = model.get("sources"); // a kernel may add pictures
  const KEYS = ["picture", "filter", "quantity", "threshold", "noise", "blur", "spot"];
  const state = () => Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  const draws = Float64Array.from(kit.bytes(model, "draws", Int16Array), (v) => v / 8192);
  let raw = kit.bytes(model, "pictures");
  let ink, cw = 0, core = null, saving;

  const panel = (label, props) => {
    const caption = kit.el("div", { class: "dln-edges-caption" }), unit = kit.el("span"), lo = kit.el("span"), hi = kit.el("span");
    const bar = kit.el("span", { class: "dln-edges-bar", "aria-hidden": "true" });
    const canvas = kit.el("canvas", { class: "dln-pixels", "aria-label": label, ...props }), box = kit.el("div", { class: "dln-edges-box" });
    return { caption, unit, lo, hi, bar, canvas, box, node: kit.el("div", { class: "dln-edges-panel" }, caption,
      kit.el("div", { class: "dln-edges-legend" }, unit, lo, bar, hi), kit.el("div", { class: "dln-edges-stage" }, canvas, box)) };
  };
  const left = panel("Pixel to read out; arrow keys move it", { tabindex: "0", role: "application" });
  const right = panel("Answer of the filter", { role: "img" });
  const sums = kit.el("div", { class: "dln-edges-tables" }), sumsPanel = kit.el("div", { class: "dln-edges-panel" },
    kit.el("div", { class: "dln-edges-caption", text: "Nine pixels times nine weights" }), sums);
  const key = (text, kind = "") => kit.el("span", { class: `dln-edges-key ${kind}`, text });
  const curve = kit.el("canvas", { role: "img" });
  const gainPanel = kit.el("div", { class: "dln-edges-panel" },
    kit.el("div", { class: "dln-edges-caption", text: "Gain for a wave of each frequency" }),
    kit.el("div", { class: "dln-edges-legend" }, key("along x"), key("diagonal", "dln-edges-diagonal"), key("along y", "dln-edges-down")), curve);
  frame.picture.append(kit.el("div", { class: "dln-edges-grid" }, left.node, right.node, sumsPanel, gainPanel));

  function change(next) {
    for (const [name, value] of Object.entries(next)) model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    paint();
  }
  const pick = (name) => (value) => change({ [name]: value });
  const filter = kit.choice({ label: "Filter", value: model.get("filter"), onchange: pick("filter"), options: Object.entries(TITLE) });
  const quantity = kit.choice({ label: "Show", value: model.get("quantity"), onchange: pick("quantity"),
    options: [["x", "x"], ["y", "y"], ["magnitude", "magnitude"], ["direction", "direction"]] });
  const threshold = kit.slider({ label: "Threshold", min: 0, max: 0.5, step: 0.005, value: model.get("threshold"), format: trim, oninput: pick("threshold") });
  const noise = kit.slider({ label: "Noise σ", min: 0, max: 0.3, step: 0.01, value: model.get("noise"), format: trim, oninput: pick("noise") });
  const blur = kit.slider({ label: "Blur σ, pixels", min: 0, max: 4, step: 0.1, value: model.get("blur"), format: trim, oninput: pick("blur") });
  const picture = kit.select({ label: "Picture", value: String(model.get("picture")), options: names.map((n, i) => [String(i), n]),
    onchange: (i) => change({ picture: +i }) });
  frame.controls.append(filter.node, quantity.node, threshold.node, noise.node, blur.node, picture.node);

  const FONT = `12px ${getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif"}`;
  const cycle = new Uint8ClampedArray(768);
  CYCLE.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16))).forEach((stop, k, stops) => {
    if (k === 6) return;
    for (let i = Math.floor((k * 256) / 6); i < 256 && i < ((k + 1) * 256) / 6; i++) {
      for (let c = 0; c < 3; c++) cycle[3 * i + c] = stop[c] + ((i * 6) / 256 - k) * (stops[k + 1][c] - stop[c]);
    }
  });
  const gradient = (t) => `linear-gradient(90deg, ${[0, 32, 64, 96, 128, 160, 191, 223, 255].map((k) => `rgb(${t[3 * k]} ${t[3 * k + 1]} ${t[3 * k + 2]})`).join(", ")})`;
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  function compute(s) {
    const { picture: i, noise: sigma, blur: width, filter: f } = s, tag = JSON.stringify([i, sigma, width, f]);
    if (core && core.tag === tag) return core;
    const clean = raw.subarray(i * h * w, (i + 1) * h * w), x = Float64Array.from(clean, (v, o) => v / 255 + sigma * draws[o]);
    const seen = blurred(x, h, w, width), maps = answers(seen, h, w, f);
    let top = 0;
    for (const v of maps.strength) if (v > top) top = v;
    return (core = { tag, seen, maps, top });
  }
  function map(p, data, table, lo, hi, hidden) {
    if (p.canvas.width !== w || p.canvas.height !== h) { p.canvas.width = w; p.canvas.height = h; }
    const g = p.canvas.getContext("2d"), image = g.createImageData(w, h), scale = 255 / (hi - lo || 1);
    for (let i = 0, o = 0; i < h * w; i++, o += 4) {
      const v = (data[i] - lo) * scale, k = 3 * (v < 0 ? 0 : v > 255 ? 255 : v | 0), off = hidden && hidden(i);
      for (let c = 0; c < 3; c++) image.data[o + c] = off ? 128 : table[k + c];
      image.data[o + 3] = 255;
    }
    g.putImageData(image, 0, 0);
    p.bar.style.background = gradient(table);
  }
  const grid = (values, digits) => kit.el("table", { role: "presentation" }, kit.el("tbody", {}, ...[0, 1, 2].map((i) =>
    kit.el("tr", {}, ...[0, 1, 2].map((j) => kit.el("td", { class: i === 1 && j === 1 ? "dln-edges-middle" : "",
      text: fixed(values[3 * i + j], digits) }))))));
  const sign = (text) => kit.el("span", { class: "dln-edges-sign", text });

  function draw() {
    if (cw < 100) return;
    if (!ink) ink = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "network"].map((n) => [n, kit.color(frame.root, n)]));
    const s = state(), { seen, maps, top } = compute(s), [y, x] = s.spot, laplace = s.filter === "laplacian";
    filter.set(s.filter); quantity.set(s.quantity); threshold.set(s.threshold); noise.set(s.noise); blur.set(s.blur); picture.set(String(s.picture));
    quantity.node.disabled = laplace;
    const what = laplace ? "laplacian" : s.quantity, shown = maps[what], o = y * w + x;
    map(left, seen, kit.lut("grey"), 0, 1);
    put(left.caption, `${names[s.picture]}${s.noise ? ", noise" : ""}${s.blur ? ", blurred" : ""}`);
    put(left.unit, "grey value"); put(left.lo, "0"); put(left.hi, "1");
    let limit = 0;
    for (const v of shown) if (Math.abs(v) > limit) limit = Math.abs(v);
    if (what === "direction") limit = Math.PI;
    const lo = what === "magnitude" ? 0 : -limit, hidden = s.threshold > 0 ? (i) => maps.strength[i] <= s.threshold : null;
    map(right, shown, what === "magnitude" ? kit.lut("viridis") : what === "direction" ? cycle : kit.lut("diverging"), lo, limit || 1, hidden);
    put(right.caption, laplace ? "Laplacian" : `${TITLE[s.filter]}, ${s.quantity}`);
    put(right.unit, UNIT[what]); put(right.lo, what === "direction" ? "−π" : fixed(lo, 2));
    put(right.hi, (what === "direction" ? "π" : fixed(limit, 2)) + (hidden ? " · grey: not above the threshold" : ""));
    right.canvas.setAttribute("aria-label", `Answer of ${right.caption.textContent}`);
    for (const p of [left, right]) Object.assign(p.box.style, { left: `${(100 * (x - 1)) / w}%`, top: `${(100 * (y - 1)) / h}%`,
      width: `${300 / w}%`, height: `${300 / h}%` });

    const nine = [];
    for (let i = -1; i < 2; i++) for (let j = -1; j < 2; j++) nine.push(seen[clamp(y + i, 0, h - 1) * w + clamp(x + j, 0, w - 1)]);
    const all = kernelsOf(s.filter), wanted = laplace ? [0] : s.quantity === "x" ? [0] : s.quantity === "y" ? [1] : [0, 1];
    sums.replaceChildren(...wanted.map((q) => {
      const total = nine.reduce((t, v, i) => t + v * all[q][i], 0), name = laplace ? "Δ" : q ? "gy" : "gx";
      return kit.el("div", { class: "dln-edges-sums" }, grid(nine, 2), sign("×"), grid(all[q], 3), sign("="),
        kit.el("span", { class: "dln-edges-result", text: `${name} ${fixed(total)}` }));
    }));

    const g = kit.fit(curve, cw, M.top + TALL + M.bottom), pw = cw - M.left - M.right;
    curve.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, M.top + TALL + M.bottom);
    const peak = laplace ? 8 : 1, X = (f) => M.left + f * 2 * pw, Y = (v) => M.top + TALL * (1 - v / (peak * 1.08));
    g.fillStyle = ink.paper; g.fillRect(M.left, M.top, pw, TALL);
    g.font = FONT; g.textAlign = "right"; g.textBaseline = "middle"; g.lineWidth = 1;
    for (const v of [0, peak / 2, peak]) {
      g.strokeStyle = ink.line; g.beginPath(); g.moveTo(M.left, Math.round(Y(v)) + 0.5); g.lineTo(M.left + pw, Math.round(Y(v)) + 0.5); g.stroke();
      g.fillStyle = ink.muted; g.fillText(v, M.left - 5, Y(v));
    }
    g.textAlign = "center"; g.textBaseline = "top";
    for (const f of [0, 0.125, 0.25, 0.375, 0.5]) g.fillText(f, clamp(X(f), 0, cw - 14), M.top + TALL + 5);
    g.fillText("frequency, cycles per pixel", M.left + pw / 2, M.top + TALL + 21);
    g.save(); g.translate(9, M.top + TALL / 2); g.rotate(-Math.PI / 2); g.textBaseline = "middle"; g.fillText("gain", 0, 0); g.restore();
    const line = (fy, fx) => { g.beginPath(); for (let i = 0; i <= 64; i++) g.lineTo(X(i / 128), Y(gain((fy * i) / 128, (fx * i) / 128, s))); g.stroke(); };
    g.strokeStyle = ink.muted; g.lineWidth = 2; line(1, 0);
    g.strokeStyle = ink.ink; g.lineWidth = 1.6; g.setLineDash([5, 4]); line(Math.SQRT1_2, Math.SQRT1_2); g.setLineDash([]);
    g.strokeStyle = ink.network; g.lineWidth = 2.5; line(0, 1);
    let best = 0, at = 0;
    for (let i = 0; i <= 256; i++) { const v = gain(0, i / 512, s); if (v > best + 1e-9) { best = v; at = i / 512; } }
    const gains = best < 1e-9 ? "gain along x: 0 for every wave" : "gain along x: 0 at rest, "
      + `${best < 1e-3 ? best.toExponential(1) : best.toFixed(3)} at ${at.toFixed(3)} cycles per pixel (the most), ${fixed(gain(0, 0.5, s))} at 0.5`;
    curve.setAttribute("aria-label", `Gain of the filter: ${gains}`);

    const here = laplace ? `Laplacian ${fixed(maps.laplacian[o])}` : `gx ${fixed(maps.x[o])}, gy ${fixed(maps.y[o])}, magnitude `
      + `${fixed(maps.magnitude[o])}, direction ${maps.magnitude[o] < 1e-9 ? "undefined" : `${fixed(maps.direction[o], 2)} rad`}`;
    let above = 0;
    for (const v of maps.strength) if (v > s.threshold) above++;
    const lines = [`x ${x}, y ${y}: grey value ${fixed(seen[o])} → ${here}`,
      s.threshold ? `above the threshold ${trim(s.threshold)}: ${above.toLocaleString("en-US")} of ${(h * w).toLocaleString("en-US")} pixels`
        : `no threshold; strongest answer ${fixed(top)}`, gains];
    frame.say(lines.join("\n"));
    frame.code(python(s, sources[s.picture], names[s.picture], [h, w]));
  }
  const paint = kit.painter(draw);

  const move = (y, x) => change({ spot: [clamp(y, 0, h - 1), clamp(x, 0, w - 1)] });
  kit.arrows(left.canvas, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1, [y, x] = model.get("spot");
    move(y + dy * by, Math.abs(dx) === Infinity ? (dx < 0 ? 0 : w - 1) : x + dx * by);
  });
  for (const { canvas } of [left, right]) {
    kit.drag(canvas, (x, y) => move(Math.floor(y * h), Math.floor(x * w)));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) return;
      const box = canvas.getBoundingClientRect();
      move(Math.floor(((event.clientY - box.top) / box.height) * h), Math.floor(((event.clientX - box.left) / box.width) * w));
    });
  }
  const resize = new ResizeObserver(() => {
    const next = Math.floor(gainPanel.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(gainPanel);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const reload = () => {
    names = model.get("names"); sources = model.get("sources"); raw = kit.bytes(model, "pictures");
    picture.input.replaceChildren(...names.map((name, i) => kit.el("option", { value: String(i), text: name })));
    paint();
  };
  for (const name of KEYS) model.on(`change:${name}`, paint);
  model.on("change:pictures", reload);
  kit.live(model, () => model.get("offers").length && frame.controls.append(kit.el("div", { class: "dln-live" }, kit.select({
    label: "Add a photograph", value: "", options: [["", "choose"], ...model.get("offers").map((name) => [name, name])],
    onchange: (name) => name && model.send({ type: "picture", name }) }).node)));
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, paint);
    model.off("change:pictures", reload);
  };
}

export const kernels = { correlate: (x, h, w, kernel) => correlate(x, h, w, kernel), kernelsOf, blurred, answers, gain, python };

export default { render };
