// Cosine waves, their sum, its spectrum, and a target to match. 64 samples, or 32 × 32 pixels.

const SIZE = { 1: 64, 2: 32 };
const minus = (text) => String(text).replace(/-/g, "−");
const tidy = (v) => minus(String(+v.toFixed(3)));

/** Sum of waves [k, amplitude, phase] over n samples, or [ky, kx, amplitude, phase] over n × n pixels. */
function total(waves, n, dims) {
  const out = new Float64Array(dims === 1 ? n : n * n);
  for (const wave of waves) {
    const [a, p] = wave.slice(-2);
    if (dims === 1) for (let m = 0; m < n; m++) out[m] += a * Math.cos((2 * Math.PI * wave[0] * m) / n + p);
    else for (let y = 0, o = 0; y < n; y++) for (let x = 0; x < n; x++, o++) out[o] += a * Math.cos((2 * Math.PI * (wave[0] * y + wave[1] * x)) / n + p);
  }
  return out;
}
/** The discrete Fourier transform by its definition: rows of length n, in place of nothing. */
function dft(re, im, n) {
  const R = new Float64Array(n), I = new Float64Array(n), cos = [], sin = [];
  for (let t = 0; t < n; t++) { cos.push(Math.cos((2 * Math.PI * t) / n)); sin.push(Math.sin((2 * Math.PI * t) / n)); }
  for (let k = 0; k < n; k++) for (let m = 0; m < n; m++) {
    const t = (k * m) % n;
    R[k] += re[m] * cos[t] + im[m] * sin[t]; I[k] += im[m] * cos[t] - re[m] * sin[t];
  }
  return { re: R, im: I };
}
/** Spectrum of a signal, or of a picture: every row, then every column. */
function transform(x, n, dims) {
  if (dims === 1) return dft(x, new Float64Array(n), n);
  const re = new Float64Array(n * n), im = new Float64Array(n * n), zero = new Float64Array(n);
  for (let y = 0; y < n; y++) { const row = dft(x.slice(y * n, (y + 1) * n), zero, n); re.set(row.re, y * n); im.set(row.im, y * n); }
  for (let c = 0; c < n; c++) {
    const pick = (from) => Float64Array.from({ length: n }, (_, y) => from[y * n + c]);
    const column = dft(pick(re), pick(im), n);
    for (let y = 0; y < n; y++) { re[y * n + c] = column.re[y]; im[y * n + c] = column.im[y]; }
  }
  return { re, im };
}
/** Amplitude and phase of the real wave in a bin: the twin bin counts too, unless it is the same. */
function waveAt({ re, im }, k, n, dims) {
  const index = k.map((f) => ((f % n) + n) % n), o = dims === 1 ? index[0] : index[0] * n + index[1];
  const twin = index.every((i) => (2 * i) % n === 0) ? 1 : 2, F = Math.hypot(re[o], im[o]);
  return { amplitude: (twin * F) / n ** dims, phase: F < 1e-9 * n ** dims ? 0 : Math.atan2(im[o], re[o]) };
}
function errorOf(y, target) {
  let left = 0, all = 0;
  for (let i = 0; i < y.length; i++) { left += (target[i] - y[i]) ** 2; all += target[i] ** 2; }
  return Math.sqrt(left / (all || 1));
}

function python(dims, waves, source) {
  const n = SIZE[dims], tuple = (wave) => `(${wave.map((v) => +v.toFixed(3)).join(", ")})`;
  const lines = ["import math", "import torch"];
  if (source.includes("transform.")) lines.push("from skimage import data, transform");
  lines.push("", `n = ${n}`);
  if (dims === 1) lines.push("m = torch.arange(n)  # n", `waves = [${waves.map(tuple).join(", ")}]  # cycles, amplitude, phase in radians`,
    "y = sum(a * torch.cos(2 * math.pi * k * m / n + p) for k, a, p in waves)  # n", "X = torch.fft.rfft(y)  # n // 2 + 1, complex",
    "amplitude = 2 * X.abs() / n", "amplitude[[0, -1]] /= 2  # these two bins are their own twins", `target = ${source}  # n`);
  else lines.push("y, x = torch.arange(n)[:, None], torch.arange(n)", `waves = [${waves.map(tuple).join(", ")}]  # ky, kx, amplitude, phase in radians`,
    "total = sum(a * torch.cos(2 * math.pi * (ky * y + kx * x) / n + p) for ky, kx, a, p in waves)  # n n",
    "X = torch.fft.fft2(total)  # n n, complex", "amplitude = 2 * X.abs() / n**2  # of the wave of each bin and its twin", `target = ${source}  # n n`);
  lines.push(`error = (target - ${dims === 1 ? "y" : "total"}).norm() / target.norm()`);
  return lines.join("\n");
}

const M = { left: 44, right: 10, top: 6, bottom: 38 };

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Wave builder",
    hint: "Add waves until the sum matches the target. Drag on the plots, use the sliders, or press the arrow keys; “Ask the target” sets the best amplitude and phase." });
  frame.root.classList.add("dln-waves");
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
  const wrap = (p) => p - 2 * Math.PI * Math.round(p / (2 * Math.PI));
  const round = (v) => Math.round(v * 1000) / 1000;
  const names = model.get("names"), sources = model.get("sources");
  const dims = () => model.get("dimensions"), list = () => model.get(`waves${dims()}`), goal = () => model.get("goals")[dims() - 1];
  const chosen = () => clamp(model.get("selected"), 0, list().length - 1);
  let ink, cw = 0, saving;
  const data = {};
  for (const d of [1, 2]) {
    const raw = kit.bytes(model, `targets${d}`, Float32Array), size = SIZE[d] ** d;
    data[d] = names[d - 1].map((_, i) => {
      const x = Float64Array.from(raw.subarray(i * size, (i + 1) * size));
      return { x, spectrum: transform(x, SIZE[d], d) };
    });
  }

  // -- parts
  const key = (text, kind = "") => kit.el("span", { class: `dln-waves-key ${kind}`, text });
  const caption = (text) => kit.el("div", { class: "dln-waves-caption", text });
  const plot = (title, keys, props) => {
    const canvas = kit.el("canvas", props);
    return { canvas, node: kit.el("div", { class: "dln-waves-panel dln-waves-line" }, caption(title), kit.el("div", { class: "dln-waves-legend" }, ...keys), canvas) };
  };
  const signal = plot("Sum and target", [key("sum"), key("target", "dln-waves-target"), key("chosen wave", "dln-waves-own")],
    { tabindex: "0", role: "application", "aria-label": "Chosen wave: left and right arrows change its frequency, up and down its amplitude" });
  const bars = plot("Spectrum: amplitude of each wave", [key("sum"), key("target", "dln-waves-wanted")], { role: "img" });
  const map = (title, props) => {
    const canvas = kit.el("canvas", { class: "dln-pixels", ...props }), lo = kit.el("span"), hi = kit.el("span");
    const bar = kit.el("span", { class: "dln-waves-bar", "aria-hidden": "true" }), mark = kit.el("div", { class: "dln-waves-spot", hidden: true });
    const legend = kit.el("div", { class: "dln-waves-legend" }, lo, bar, hi);
    return { canvas, lo, hi, bar, mark, node: kit.el("div", { class: "dln-waves-panel" }, caption(title), legend, kit.el("div", { class: "dln-waves-stage" }, canvas, mark)) };
  };
  const sumMap = map("Sum", { role: "img", "aria-label": "Sum of the waves" }), goalMap = map("Target", { role: "img", "aria-label": "Target" });
  const restMap = map("Missing", { role: "img", "aria-label": "Target minus sum" });
  const specMap = map("Amplitudes of the sum", { tabindex: "0", role: "application", "aria-label": "Frequency of the chosen wave; arrow keys change kx and ky" });
  const wantMap = map("Amplitudes of the target", { role: "img", "aria-label": "Amplitudes of the target" });
  const one = kit.el("div", {}, signal.node, bars.node);
  const two = kit.el("div", { class: "dln-waves-maps" }, sumMap.node, goalMap.node, restMap.node, specMap.node, wantMap.node);
  frame.picture.append(one, two);

  function change(next) {
    for (const [name, value] of Object.entries(next)) model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    paint();
  }
  /** Replace entries of the chosen wave: {0: k} or {a: amplitude, p: phase}, counted from the front or by name. */
  function edit(next) {
    const d = dims(), i = chosen(), wave = [...list()[i]], [lo, hi] = d === 1 ? [0, 32] : [-16, 15];
    for (let f = 0; f < d; f++) if (f in next) wave[f] = clamp(Math.round(next[f]), lo, hi);
    if ("a" in next) wave[d] = round(clamp(next.a, 0, 1.5));
    if ("p" in next) wave[d + 1] = round(clamp(wrap(next.p), -3.142, 3.142));
    change({ [`waves${d}`]: list().map((other, j) => (j === i ? wave : other)) });
  }
  const dimension = kit.choice({ label: "Build", value: String(dims()), options: [["1", "a signal"], ["2", "a picture"]],
    onchange: (d) => change({ dimensions: +d, selected: model.get(`waves${d}`).length - 1 }) });
  const target = kit.select({ label: "Target", value: "0", options: [["0", ""]], onchange: (i) => {
    const goals = [...model.get("goals")];
    goals[dims() - 1] = +i;
    change({ goals });
  } });
  const which = kit.select({ label: "Wave", value: "0", options: [["0", ""]], onchange: (i) => change({ selected: +i }) });
  const k0 = kit.slider({ label: "Cycles", min: 0, max: 32, value: 0, oninput: (v) => edit({ 0: v }) });
  const k1 = kit.slider({ label: "kx, cycles across", min: -16, max: 15, value: 0, oninput: (v) => edit({ 1: v }) });
  const amplitude = kit.slider({ label: "Amplitude", min: 0, max: 1.5, step: 0.001, value: 0, format: tidy, oninput: (v) => edit({ a: v }) });
  const phase = kit.slider({ label: "Phase, rad", min: -3.142, max: 3.142, step: 0.001, value: 0, format: tidy, oninput: (v) => edit({ p: v }) });
  const ask = kit.button({ label: "Ask the target", onclick() {
    const d = dims(), wave = list()[chosen()], own = waveAt(data[d][goal()].spectrum, wave.slice(0, d), SIZE[d], d);
    edit({ a: own.amplitude, p: own.phase });
  } });
  const add = kit.button({ label: "Add a wave", onclick() {
    const d = dims(), last = list()[list().length - 1], wave = d === 1 ? [clamp(last[0] + 1, 0, 32), 0.3, 0] : [last[0], clamp(last[1] + 1, -16, 15), 0.3, 0];
    change({ [`waves${d}`]: [...list(), wave], selected: list().length });
  } });
  const remove = kit.button({ label: "Remove it", onclick() {
    const i = chosen();
    change({ [`waves${dims()}`]: list().filter((_, j) => j !== i), selected: Math.max(i - 1, 0) });
  } });
  frame.controls.append(dimension.node, target.node, which.node, k0.node, k1.node, amplitude.node, phase.node, ask, add, remove);

  const fill = (control, texts, value) => {
    if (control.input.length !== texts.length || texts.some((t, i) => control.input.options[i].text !== t)) {
      control.input.replaceChildren(...texts.map((text, i) => kit.el("option", { value: String(i), text })));
    }
    control.set(String(value));
  };
  const FONT = `12px ${getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif"}`;
  const gradient = (name) => {
    const t = kit.lut(name);
    return `linear-gradient(90deg, ${[0, 64, 128, 191, 255].map((k) => `rgb(${t[3 * k]} ${t[3 * k + 1]} ${t[3 * k + 2]})`).join(", ")})`;
  };
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const nameOf = (wave) => (dims() === 1 ? `${wave[0]} cycle${wave[0] === 1 ? "" : "s"}` : minus(`ky ${wave[0]}, kx ${wave[1]}`));
  const formula = (wave) => {
    const d = dims(), [a, p] = wave.slice(-2), inner = d === 1 ? `2π·${wave[0]}m/64` : `2π(${wave[0]}y + ${wave[1]}x)/32`;
    return minus(`${+a.toFixed(3)} cos(${inner}${p ? ` ${p < 0 ? "-" : "+"} ${+Math.abs(p).toFixed(3)}` : ""})`);
  };

  let span = 1.4, held = false; // the upper plot goes from -span to span, and keeps its scale during a drag
  function sheet(canvas, tall, ys, Y, xs, X, xlabel, ylabel) {
    const g = kit.fit(canvas, cw, M.top + tall + M.bottom), pw = cw - M.left - M.right;
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, M.top + tall + M.bottom);
    g.fillStyle = ink.paper; g.fillRect(M.left, M.top, pw, tall);
    g.font = FONT; g.textAlign = "right"; g.textBaseline = "middle"; g.lineWidth = 1;
    for (const v of ys) {
      const p = Math.round(Y(v)) + 0.5;
      g.strokeStyle = ink.line; g.beginPath(); g.moveTo(M.left, p); g.lineTo(M.left + pw, p); g.stroke();
      g.fillStyle = ink.muted; g.fillText(minus(v), M.left - 5, p);
    }
    g.textAlign = "center"; g.textBaseline = "top";
    for (const v of xs) g.fillText(v, X(v), M.top + tall + 5);
    g.fillText(xlabel, M.left + pw / 2, M.top + tall + 21);
    g.save(); g.translate(9, M.top + tall / 2); g.rotate(-Math.PI / 2); g.textBaseline = "middle"; g.fillText(ylabel, 0, 0); g.restore();
    return g;
  }
  const TOP = 180, LOW = 110, n1 = SIZE[1];
  const pw = () => cw - M.left - M.right;
  const Xm = (m) => M.left + ((m + 0.5) / n1) * pw(), Xk = (k) => M.left + ((k + 0.5) / 33) * pw();
  const Yv = (v) => M.top + (TOP * (span - v)) / (2 * span), Ya = (v) => M.top + LOW * (1 - v / 1.5);

  function drawSignal(y, goalData, i) {
    const waves = list(), own = total([waves[i]], n1, 1), smooth = 8 * n1;
    let top = 1.4;
    for (const v of y) top = Math.max(top, Math.abs(v));
    if (!held) span = Math.ceil(top * 2 - 0.8) / 2 + 0.4;
    const ys = span > 2 ? [-2, -1, 0, 1, 2] : [-1, 0, 1];
    const g = sheet(signal.canvas, TOP, ys, Yv, [0, 16, 32, 48, 63], Xm, "sample m", "value");
    g.save(); g.beginPath(); g.rect(M.left, M.top, pw(), TOP); g.clip(); g.lineJoin = "round";
    const finely = (some) => { // between the samples too: a wave is smooth
      g.beginPath();
      for (let t = 0; t <= smooth; t++) {
        const m = (t / smooth) * n1 - 0.5;
        g.lineTo(Xm(m), Yv(some.reduce((sum, [k, a, p]) => sum + a * Math.cos((2 * Math.PI * k * m) / n1 + p), 0)));
      }
      g.stroke();
    };
    g.strokeStyle = ink.reader; g.lineWidth = 1.5; finely([waves[i]]);
    g.strokeStyle = ink.ink; g.lineWidth = 1.6; g.setLineDash([5, 4]);
    g.beginPath(); goalData.x.forEach((v, m) => g.lineTo(Xm(m), Yv(v))); g.stroke(); g.setLineDash([]);
    g.strokeStyle = ink.network; g.lineWidth = 1.5; finely(waves);
    g.fillStyle = ink.network;
    y.forEach((v, m) => { g.beginPath(); g.arc(Xm(m), Yv(v), 2.2, 0, 7); g.fill(); });
    const k = waves[i][0], crest = k ? ((((-waves[i][2] / (2 * Math.PI * k)) * n1) % (n1 / k)) + n1 / k) % (n1 / k) : n1 / 2;
    g.fillStyle = ink.reader; g.beginPath(); g.arc(Xm(Math.min(crest, n1 - 1)), Yv(k ? waves[i][1] : own[0]), 6, 0, 7); g.fill();
    g.restore();
    const b = sheet(bars.canvas, LOW, [0, 0.5, 1, 1.5], Ya, [0, 8, 16, 24, 32], Xk, "frequency k, cycles", "amplitude");
    const spectrum = transform(y, n1, 1), step = pw() / 33;
    for (let f = 0; f <= 32; f++) {
      const ours = waveAt(spectrum, [f], n1, 1).amplitude, theirs = waveAt(goalData.spectrum, [f], n1, 1).amplitude;
      b.fillStyle = ink.network; b.fillRect(Xk(f) - step * 0.28, Ya(ours), step * 0.56, Ya(0) - Ya(ours));
      b.strokeStyle = ink.ink; b.lineWidth = 1.2; b.strokeRect(Xk(f) - step * 0.4, Ya(theirs), step * 0.8, Ya(0) - Ya(theirs));
    }
    b.fillStyle = ink.reader; b.beginPath(); b.arc(Xk(k), M.top + LOW, 5, 0, 7); b.fill();
    bars.canvas.setAttribute("aria-label", `Amplitudes of the sum and of the target; the chosen wave has ${nameOf(waves[i])}`);
  }
  function drawMaps(y, goalData, i) {
    const n = SIZE[2], wave = list()[i];
    let peak = 0;
    for (const v of y) peak = Math.max(peak, Math.abs(v));
    const limit = Math.max(1, Math.ceil(peak * 2) / 2);
    const show = (p, values, map, lo, hi) => {
      kit.paint(p.canvas, values, n, n, { map, lo, hi });
      put(p.lo, minus(lo)); put(p.hi, String(hi)); p.bar.style.background = gradient(map);
    };
    show(sumMap, y, "diverging", -limit, limit); show(goalMap, goalData.x, "diverging", -limit, limit);
    show(restMap, goalData.x.map((v, o) => v - y[o]), "diverging", -limit, limit);
    const centred = (spectrum) => Float64Array.from({ length: n * n }, (_, o) =>
      waveAt(spectrum, [Math.floor(o / n) - n / 2, (o % n) - n / 2], n, 2).amplitude);
    const ours = centred(transform(y, n, 2)), theirs = centred(goalData.spectrum);
    show(specMap, ours.map(Math.sqrt), "viridis", 0, 1); show(wantMap, theirs.map(Math.sqrt), "viridis", 0, 1);
    for (const p of [specMap, wantMap]) {
      put(p.hi, "1, root scale; kx right, ky down, 0 in the centre");
      p.mark.hidden = false;
      Object.assign(p.mark.style, { left: `${(100 * (wave[1] + n / 2)) / n}%`, top: `${(100 * (wave[0] + n / 2)) / n}%`, width: `${100 / n}%`, height: `${100 / n}%` });
    }
  }
  function draw() {
    if (cw < 100) return;
    if (!ink) ink = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "network"].map((r) => [r, kit.color(frame.root, r)]));
    const d = dims(), n = SIZE[d], waves = list(), i = chosen(), wave = waves[i], goalData = data[d][goal()], y = total(waves, n, d);
    one.hidden = d !== 1; two.hidden = d !== 2;
    k1.node.hidden = d !== 2;
    put(k0.node.firstChild, d === 1 ? "Cycles k" : "ky, cycles down");
    k0.range(...(d === 1 ? [0, 32] : [-16, 15])); k0.set(wave[0]); if (d === 2) k1.set(wave[1]);
    amplitude.set(wave[d]); phase.set(wave[d + 1]);
    dimension.set(String(d)); fill(target, names[d - 1], goal());
    fill(which, waves.map((each, j) => `${j + 1}: ${nameOf(each)}`), i);
    add.disabled = waves.length >= 8; remove.disabled = waves.length < 2;
    if (d === 1) drawSignal(y, goalData, i); else drawMaps(y, goalData, i);
    const own = waveAt(goalData.spectrum, wave.slice(0, d), n, d), p = 100 * errorOf(y, goalData.x);
    const shown = waves.length > 3 ? `${waves.length} waves, the last: ${formula(waves[waves.length - 1])}` : waves.map(formula).join("\n  + ");
    frame.say([`sum = ${shown}`, `error left: ${p.toFixed(p < 1 ? 2 : 1)}\u00a0% of the target's norm (${names[d - 1][goal()]})`,
      `wave ${i + 1}, ${nameOf(wave)}: amplitude ${tidy(wave[d])}, phase ${tidy(wave[d + 1])}; the target has amplitude ${tidy(own.amplitude)}`
        + `${own.amplitude < 5e-4 ? "" : `, phase ${tidy(own.phase)}`} there`].join("\n"));
    frame.code(python(d, waves, sources[d - 1][goal()]));
  }
  const paint = kit.painter(draw);

  // -- input
  kit.arrows(signal.canvas, (dx, dy) => {
    const wave = list()[chosen()];
    if (dx) edit({ 0: Math.abs(dx) === Infinity ? (dx < 0 ? 0 : 32) : wave[0] + dx }); else edit({ a: wave[1] - 0.02 * dy });
  });
  kit.drag(signal.canvas, (x, yy, phaseOfDrag) => {
    held = phaseOfDrag !== "end";
    if (!held) { paint(); return; }
    const m = ((x * cw - M.left) / pw()) * n1 - 0.5, v = span * (1 - (2 * (yy * (M.top + TOP + M.bottom) - M.top)) / TOP), k = list()[chosen()][0];
    edit({ a: Math.abs(v), p: (k ? -(2 * Math.PI * k * m) / n1 : 0) + (v < 0 ? Math.PI : 0) });
  });
  kit.drag(bars.canvas, (x, yy, phaseOfDrag) => {
    if (phaseOfDrag === "end") return;
    edit({ 0: ((x * cw - M.left) / pw()) * 33 - 0.5, a: 1.5 * (1 - (yy * (M.top + LOW + M.bottom) - M.top) / LOW) });
  });
  kit.arrows(specMap.canvas, (dx, dy) => {
    const wave = list()[chosen()];
    edit({ 0: wave[0] + dy, 1: Math.abs(dx) === Infinity ? (dx < 0 ? -16 : 15) : wave[1] + dx });
  });
  for (const { canvas } of [specMap, wantMap]) {
    kit.drag(canvas, (x, yy, phaseOfDrag) => { if (phaseOfDrag !== "end") edit({ 0: Math.floor(yy * 32) - 16, 1: Math.floor(x * 32) - 16 }); });
  }

  const resize = new ResizeObserver(() => {
    const next = Math.floor(frame.picture.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(frame.picture);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const KEYS = ["dimensions", "goals", "waves1", "waves2", "selected"];
  for (const name of KEYS) model.on(`change:${name}`, paint);
  return () => { resize.disconnect(); stop(); clearTimeout(saving); for (const name of KEYS) model.off(`change:${name}`, paint); };
}

export const kernels = {
  total, transform: (x, n, dims) => transform(Float64Array.from(x), n, dims), errorOf, python,
  waveAt: (x, k, n, dims) => waveAt(transform(Float64Array.from(x), n, dims), k, n, dims),
};

export default { render };
