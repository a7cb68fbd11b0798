// A photograph, its spectrum, and a round filter between them.
// Each picture is transformed once. A change of the filter costs one product with a real mask and one inverse transform,
// both on half of the spectrum: the other half follows, because the picture is real (F[-k] is the conjugate of F[k]).

// ---- Text: numbers for a frequency, and the PyTorch that gives the same result.

const SHORT = { none: "no filter", low: "low-pass", high: "high-pass", band: "band-pass" };
const trim = (x) => String(+x.toFixed(2));
const minus = (text) => String(text).replace(/-/g, "−");
const many = (n) => Math.round(n).toLocaleString("en-US");
const percent = (x) => { // enough digits near both ends
  const p = 100 * x;
  const shown = p > 99.9995 ? 100 : p > 99.9 ? p.toFixed(3)
    : p >= 10 ? p.toFixed(1) : p < 0.001 ? "< 0.001" : +p.toPrecision(2);
  return `${shown}\u00a0%`;
};

/** Period in pixels and tilt of the stripes of frequency (ky, kx), counter-clockwise from the horizontal. */
function stripes(ky, kx, h, w) {
  const across = kx / w, down = ky / h;
  return { period: 1 / Math.hypot(across, down), tilt: ((Math.atan2(across, down) * 180) / Math.PI + 360) % 180 };
}

function python(s, [h, w], sources) {
  const letters = s.source === "a" || s.source === "b" ? [s.source] : ["a", "b"];
  const lines = ["import torch"];
  const known = letters.map((l) => sources["ab".indexOf(l)]);
  const parts = ["color", "data", "transform"].filter((part) => known.some((text) => text && text.includes(`${part}.`)));
  if (parts.length) lines.push(`from skimage import ${parts.join(", ")}`);
  lines.push("");
  letters.forEach((l, i) => lines.push(known[i] ? `${l} = torch.as_tensor(${known[i]})  # h w`
    : `${l} = torch.as_tensor(images[${"ab".indexOf(l)}])  # your picture, (${h}, ${w}) in [0, 1]`));
  lines.push(letters.length === 1 ? `F = torch.fft.fft2(${s.source})  # h w, complex`
    : `F = torch.polar(torch.fft.fft2(${s.source[0]}).abs(), torch.fft.fft2(${s.source[1]}).angle())  # h w, complex`);
  lines.push(`shown = torch.fft.fftshift(F).${s.view === "phase" ? "angle()" : "abs().log1p()"}`, "");
  if (s.filter === "none") lines.push("y = torch.fft.ifft2(F).real  # h w");
  else {
    const R = trim(s.radius), W = trim(s.width), ideal = s.edge === "ideal";
    lines.push(`ky = torch.fft.fftfreq(${h}, 1 / ${h})[:, None]  # cycles per picture, down`,
      `kx = torch.fft.fftfreq(${w}, 1 / ${w})  # cycles per picture, across`, "r = torch.hypot(ky, kx)  # h w");
    const low = ideal ? `(r <= ${R}).float()` : `torch.exp(-r**2 / (2 * ${R}**2))`;
    lines.push(`gain = ${s.filter === "low" ? low : s.filter === "high" ? `1 - ${low}`
      : ideal ? `((r - ${R}).abs() <= ${W} / 2).float()` : `torch.exp(-(r - ${R})**2 / (2 * (${W} / 2)**2))`}`);
    lines.push("y = torch.fft.ifft2(F * gain).real  # h w",
      "energy = ((F * gain).abs()**2).sum() / (F.abs()**2).sum()");
  }
  lines.push(`profile = y[${s.row}]  # w`);
  return lines.join("\n");
}

// ---- Colours. Frequencies that the filter removes lose their colour; those that stay keep it.

const CYCLE = "e8e4dc 6fa3dd 20447f 1d1a2b 7d3f12 e0a05a e8e4dc"; // light at ±π, dark at 0, blue below, orange above
const STEPS = 32;

/** A colour map of 256 entries as little-endian RGBA words. */
function words(rgb) {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) table[i] = (255 << 24) | (rgb[3 * i + 2] << 16) | (rgb[3 * i + 1] << 8) | rgb[3 * i];
  return table;
}

function cyclic() {
  const stops = CYCLE.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const table = new Uint8ClampedArray(256 * 3);
  for (let i = 0; i < 256; i++) {
    const t = (i / 255) * (stops.length - 1), k = Math.min(Math.floor(t), stops.length - 2);
    for (let c = 0; c < 3; c++) table[3 * i + c] = stops[k][c] + (t - k) * (stops[k + 1][c] - stops[k][c]);
  }
  return table;
}

/** STEPS + 1 versions of a map, from dull grey (gain 0) to full colour (gain 1). */
function fading(rgb) {
  const tables = new Uint32Array(256 * (STEPS + 1)), faded = new Uint8ClampedArray(256 * 3);
  for (let g = 0; g <= STEPS; g++) {
    const t = g / STEPS;
    for (let i = 0; i < 256; i++) {
      const grey = 24 + 0.62 * (0.3 * rgb[3 * i] + 0.59 * rgb[3 * i + 1] + 0.11 * rgb[3 * i + 2]);
      for (let c = 0; c < 3; c++) faded[3 * i + c] = t * rgb[3 * i + c] + (1 - t) * grey;
    }
    tables.set(words(faded), 256 * g);
  }
  return tables;
}

const css = (rgb) => `linear-gradient(90deg, ${Array.from({ length: 17 }, (_, i) => {
  const k = 3 * Math.min(255, i * 16);
  return `rgb(${rgb[k]} ${rgb[k + 1]} ${rgb[k + 2]})`;
}).join(", ")})`;

/** An off-screen picture of h × w pixels whose memory is written directly. */
function bitmap(h, w) {
  const canvas = document.createElement("canvas");
  canvas.width = w; canvas.height = h;
  const context = canvas.getContext("2d"), image = context.createImageData(w, h);
  return { canvas, pixels: new Uint32Array(image.data.buffer), show: () => context.putImageData(image, 0, 0) };
}

const HISTOGRAM = new Uint32Array(2048);
/** The value below which a share q of the values lies, from a histogram between lo and hi. */
function percentile(values, q, lo, hi) {
  if (!(hi > lo)) return hi;
  HISTOGRAM.fill(0);
  const scale = 2047 / (hi - lo);
  for (let i = 0; i < values.length; i++) HISTOGRAM[((values[i] - lo) * scale) | 0]++;
  let left = q * values.length, k = 0;
  while (k < 2047 && (left -= HISTOGRAM[k]) > 0) k++;
  return lo + (k + 0.5) / scale;
}

// ---- The widget.

const M = { left: 48, right: 10, top: 8, bottom: 22 }; // room for the axes, in CSS pixels; the same in all four plots
const CUT = 104; // height of a curve's plot

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Spectrum explorer",
    hint: "Drag on the spectrum to set the filter’s radius; press on the picture to choose the row of the profile. "
      + "Arrow keys do both." });
  frame.root.classList.add("dln-spectrum");
  const KEYS = ["filter", "edge", "radius", "width", "view", "source", "scale", "row"];
  const s = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  let size, pictures, spectra, core, names, sources, maps, index, drawn, probe = null, spot = null, angle = -0.6;
  let refilter = true, cw = 0, stacked = false, dragging = false;
  const corner = () => Math.ceil(Math.hypot(size[0] / 2, size[1] / 2));
  const least = () => (s.edge === "ideal" || s.filter === "band" ? 0 : 1);
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

  // -- parts
  const panel = (label) => {
    const caption = kit.el("div", { class: "dln-spectrum-caption" });
    const lo = kit.el("span"), hi = kit.el("span");
    const bar = kit.el("span", { class: "dln-spectrum-bar", "aria-hidden": "true" });
    const unit = kit.el("span");
    const legend = kit.el("div", { class: "dln-spectrum-legend" }, unit, lo, bar, hi);
    const main = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": label });
    const cut = kit.el("canvas", { role: "img" }), note = kit.el("div", { class: "dln-spectrum-note" });
    const stage = kit.el("div", { class: "dln-spectrum-stage" }, main);
    const head = kit.el("div", { class: "dln-spectrum-head" }, caption, legend);
    return { node: kit.el("div", { class: "dln-spectrum-panel" }, head, stage, note, cut),
      note, caption, unit, lo, hi, bar, main, cut, stage };
  };
  const left = panel("Radius of the filter in cycles per picture"), right = panel("Row of the profile");
  const cursor = kit.el("div", { class: "dln-spectrum-probe", tabindex: "0", role: "slider",
    "aria-label": "Frequency to read out; arrow keys move it" });
  left.stage.append(cursor);
  const grid = kit.el("div", { class: "dln-spectrum-grid" }, left.node, right.node);
  frame.picture.append(grid);

  const key = (style) => kit.el("span", { class: `dln-spectrum-key dln-spectrum-${style}` });
  const rowName = kit.el("span"), originalName = key("original"), filteredName = key("filtered");
  left.note.textContent = "Gain of the filter along ky = 0";
  right.note.append(rowName, originalName, filteredName);

  // -- state: one way in for every change, whoever makes it
  let saving, telling = false;
  function change(next, settle = true) {
    Object.assign(s, next);
    s.radius = clamp(s.radius, least(), corner());
    s.width = clamp(s.width, 1, corner());
    if ("source" in next) choose();
    if (!("row" in next)) refilter = true;
    sync();
    telling = true; // the model answers each set at once, when the others are not yet set
    for (const key of KEYS) if (model.get(key) !== s[key]) model.set(key, s[key]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), settle ? 0 : 200);
    paint();
  }
  function pull() { // a change that came from Python
    if (telling) return;
    const next = {};
    for (const key of KEYS) if (model.get(key) !== s[key]) next[key] = model.get(key);
    if (Object.keys(next).length) change(next);
  }
  function load() {
    size = [...model.get("size")];
    names = model.get("names"); sources = model.get("sources");
    const [h, w] = size, raw = kit.bytes(model, "pictures"), n = h * w;
    pictures = names.map((_, i) => Float64Array.from(raw.subarray(i * n, (i + 1) * n), (v) => v / 255));
    spectra = pictures.map((x) => forward(x, h, w));
    core = engine(h, w);
    drawn = { spectrum: bitmap(h, w), picture: bitmap(h, w), wave: bitmap(96, 96) };
    index = new Uint8Array(n);
    choose();
  }
  /** Take the chosen source: its spectrum, and the colour index of every bin in the order of fftshift. */
  function choose() {
    const [h, w] = size, [A, B] = spectra;
    core.use(s.source === "a" ? A : s.source === "b" ? B : s.source === "ab" ? swap(A, B, h, w) : swap(B, A, h, w));
    refilter = true;
    index.stale = true;
  }
  function colour() {
    const [h, w] = size, S = core.source, phase = s.view === "phase", values = new Float64Array(h * w);
    for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
      const [re, im] = at(S, h, w, (y + h / 2) % h, (x + w / 2) % w);
      values[i] = phase ? Math.atan2(im, re) : Math.log1p(Math.hypot(re, im));
    }
    let lo = -Math.PI, hi = Math.PI;
    if (!phase) { // the scale follows the bulk: the few largest, at zero frequency, are far above the rest
      const top = values.reduce((m, v) => Math.max(m, v), 0);
      lo = percentile(values, 0.02, 0, top); hi = percentile(values, 0.999, 0, top);
    }
    const scale = 255 / (hi - lo || 1);
    for (let i = 0; i < values.length; i++) index[i] = clamp((values[i] - lo) * scale, 0, 255);
    index.lo = lo; index.hi = hi; index.stale = false; index.view = s.view;
  }
  const phrase = () => ({ a: names[0], b: names[1], ab: `magnitude of ${names[0]}, phase of ${names[1]}`,
    ba: `magnitude of ${names[1]}, phase of ${names[0]}` }[s.source]);
  /** The picture that a filtered row is compared with: the source, or the one whose phase is used. */
  const reference = () => (s.source === "a" || s.source === "ba" ? 0 : 1);
  const edges = () => ({ none: [], band: [s.radius - s.width / 2, s.radius + s.width / 2] }[s.filter] || [s.radius]);

  // -- controls
  const pick = (key) => (value) => change({ [key]: value });
  const filter = kit.choice({ label: "Filter", value: s.filter, onchange: pick("filter"),
    options: [["none", "none"], ["low", "low-pass"], ["high", "high-pass"], ["band", "band-pass"]] });
  const edge = kit.choice({ label: "Edge", value: s.edge, onchange: pick("edge"),
    options: [["ideal", "ideal"], ["gaussian", "Gaussian"]] });
  const knob = (label, key) => kit.slider({ label, min: 0, max: 181, value: s[key], format: trim,
    oninput: (v) => change({ [key]: v }, false) });
  const radius = knob("Radius", "radius"), width = knob("Width", "width");
  const view = kit.choice({ label: "Spectrum", value: s.view, onchange: pick("view"),
    options: [["magnitude", "log magnitude"], ["phase", "phase"]] });
  const scale = kit.choice({ label: "Grey values", value: s.scale, onchange: pick("scale"),
    options: [["fixed", "fixed scale"], ["fitted", "fitted"]] });
  let source = null;
  const choices = kit.el("div", { class: "dln-spectrum-sources" });
  function offer() { // names change when Python brings another photograph
    if (names.length < 2) { choices.replaceChildren(); return; }
    const [a, b] = names;
    source = kit.select({ label: "Picture", value: s.source, onchange: pick("source"),
      options: [["a", a], ["b", b],
        ["ab", `magnitude of ${a} + phase of ${b}`], ["ba", `magnitude of ${b} + phase of ${a}`]] });
    choices.replaceChildren(source.node);
  }
  frame.controls.append(filter.node, edge.node, radius.node, width.node, choices, view.node, scale.node);
  function sync() {
    filter.set(s.filter); edge.set(s.edge); view.set(s.view); scale.set(s.scale); source?.set(s.source);
    radius.range(least(), corner()); radius.set(s.radius);
    width.range(1, corner()); width.set(s.width);
    width.node.hidden = s.filter !== "band";
    edge.node.disabled = radius.input.disabled = s.filter === "none";
  }

  // -- drawing
  const plotWidth = () => cw - M.left - M.right;
  const plotHeight = () => (plotWidth() * size[0]) / size[1];
  let ink;
  function inks() {
    const roles = ["ink", "muted", "line", "paper", "reader", "reader-soft", "network"];
    ink = Object.fromEntries(roles.map((role) => [role, kit.color(frame.root, role)]));
  }

  function compute() {
    const [h, w] = size;
    core.apply(s);
    refilter = false;
    // the spectrum in colour where it stays, in grey where it goes
    if (index.stale || index.view !== s.view) colour();
    const table = maps[s.view], stride = w / 2 + 1, to = drawn.spectrum.pixels;
    for (let y = 0, i = 0; y < h; y++) {
      const line = Math.abs(y - h / 2) * stride;
      for (let x = 0; x < w; x++, i++) {
        const kept = (core.mask[line + Math.abs(x - w / 2)] * STEPS + 0.5) | 0;
        to[i] = table[(kept << 8) | index[i]];
      }
    }
    drawn.spectrum.show();
    // the picture: grey while its mean is there, signed about zero once the mean is gone
    const out = core.out, signed = core.mask[0] < 0.5;
    let lo = signed ? -0.5 : 0, hi = signed ? 0.5 : 1, min = Infinity, max = -Infinity;
    for (let i = 0; i < out.length; i++) { const v = out[i]; if (v < min) min = v; if (v > max) max = v; }
    if (s.scale === "fitted") {
      lo = percentile(out, 0.005, min, max); hi = percentile(out, 0.995, min, max);
      if (signed) { hi = Math.max(Math.abs(lo), Math.abs(hi)); lo = -hi; }
    }
    Object.assign(core, { signed, lo, hi, min, max });
    const tones = maps[signed ? "diverging" : "grey"], step = 255 / (hi - lo || 1), pixels = drawn.picture.pixels;
    for (let i = 0; i < out.length; i++) {
      const k = (out[i] - lo) * step;
      pixels[i] = tones[k < 0 ? 0 : k > 255 ? 255 : k | 0];
    }
    drawn.picture.show();
  }

  /** Ticks and their numbers around a plot that starts at (M.left, M.top). */
  function axes(g, pw, ph, { xs, ys, xlabel, ylabel, x, y }) {
    g.strokeStyle = ink.muted; g.fillStyle = ink.muted; g.lineWidth = 1;
    g.font = "12px " + FONT; g.textAlign = "center"; g.textBaseline = "top";
    g.beginPath();
    for (const t of xs) { const p = Math.round(M.left + x(t)) + 0.5; g.moveTo(p, M.top + ph); g.lineTo(p, M.top + ph + 4); }
    for (const t of ys) { const p = Math.round(M.top + y(t)) + 0.5; g.moveTo(M.left - 4, p); g.lineTo(M.left, p); }
    g.stroke();
    xs.forEach((t) => g.fillText(minus(t), M.left + x(t), M.top + ph + 6));
    g.textAlign = "right"; g.textBaseline = "middle";
    ys.forEach((t) => g.fillText(minus(t), M.left - 6, M.top + y(t)));
    g.textAlign = "center"; g.textBaseline = "alphabetic";
    if (xlabel) g.fillText(xlabel, M.left + pw / 2, M.top + ph + 34);
    if (ylabel) { g.save(); g.translate(11, M.top + ph / 2); g.rotate(-Math.PI / 2); g.fillText(ylabel, 0, 0); g.restore(); }
  }
  function sheet(canvas, height) { // a clean canvas as wide as the column
    const g = kit.fit(canvas, cw, height);
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, height);
    return g;
  }
  const FONT = getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif";
  const cased = (g, path, color, wide = 4.5) => { // a line that shows on any background
    g.lineJoin = "round";
    g.strokeStyle = "#fff"; g.lineWidth = wide; g.beginPath(); path(); g.stroke();
    g.strokeStyle = color; g.lineWidth = wide / 2.2; g.beginPath(); path(); g.stroke();
  };
  const cross = (g, x, y) => cased(g, () => { for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    g.moveTo(x + 3 * dx, y + 3 * dy); g.lineTo(x + 9 * dx, y + 9 * dy); } }, "#14181e");
  const READER = "#0b5fc0"; // on pictures: always on white casing, so the light theme's blue in both themes

  const coefficient = (ky, kx) => at(core.source, ...size, (ky + size[0]) % size[0], (kx + size[1]) % size[1]);
  function handle(g, x, y) {
    g.beginPath(); g.arc(x, y, 7, 0, 2 * Math.PI);
    g.fillStyle = READER; g.fill();
    g.strokeStyle = "#fff"; g.lineWidth = 2; g.stroke();
  }
  const centred = (n) => [-n / 2, -n / 4, 0, n / 4, n / 2 - 1]; // ticks
  const counted = (n) => [0, n / 4, n / 2, (3 * n) / 4, n - 1];
  /** The corner of the picture of one frequency: its stripes with their true width, tilt and phase. */
  function stripesOf([ky, kx]) {
    const [h, w] = size, [re, im] = coefficient(ky, kx), start = Math.atan2(im, re), n = drawn.wave.canvas.width;
    for (let y = 0, i = 0; y < n; y++) for (let x = 0; x < n; x++, i++) {
      drawn.wave.pixels[i] = maps.grey[(127.5 + 127 * Math.cos(2 * Math.PI * ((ky * y) / h + (kx * x) / w) + start)) | 0];
    }
    drawn.wave.show();
  }

  function drawSpectrum() {
    const [h, w] = size, pw = plotWidth(), ph = plotHeight(), cell = pw / w;
    const g = sheet(left.main, M.top + ph + (stacked ? 40 : M.bottom));
    g.imageSmoothingEnabled = cell < 1.5;
    g.drawImage(drawn.spectrum.canvas, M.left, M.top, pw, ph);
    const X = (k) => (k + w / 2 + 0.5) * cell, Y = (k) => (k + h / 2 + 0.5) * cell;
    axes(g, pw, ph, { xs: centred(w), ys: centred(h), x: X, y: Y,
      xlabel: stacked && "kx, cycles per picture", ylabel: "ky, cycles per picture" });
    g.save();
    g.beginPath(); g.rect(M.left, M.top, pw, ph); g.clip();
    const cx = M.left + X(0), cy = M.top + Y(0), rings = edges().filter((r) => r >= 0);
    g.setLineDash(s.edge === "gaussian" ? [9, 5] : []);
    for (const r of rings) cased(g, () => g.arc(cx, cy, Math.max(r * cell, 1), 0, 2 * Math.PI), READER);
    g.setLineDash([]);
    for (const r of rings) {
      // the handle stays where the reader took it, but inside the frame
      const c = Math.cos(angle), d = Math.sin(angle);
      const reach = Math.min(r * cell, pw / 2 / Math.max(Math.abs(c), 1e-9) - 7, ph / 2 / Math.max(Math.abs(d), 1e-9) - 7);
      handle(g, cx + reach * c, cy + reach * d);
    }
    g.font = "12px " + FONT; g.textAlign = "center"; g.textBaseline = "middle";
    const near = rings.some((r) => r * cell > 40 && r * cell < 95), away = near ? 78 : 46; // not on a ring
    const tag = "DC: the mean", room = g.measureText(tag).width + 10, ty = cy + away, tx = cx - away;
    g.strokeStyle = "#fff"; g.lineWidth = 1; g.beginPath(); g.moveTo(tx + 12, ty - 12); g.lineTo(cx - 3, cy + 3); g.stroke();
    g.fillStyle = "rgb(20 24 30 / 0.85)"; g.fillRect(tx - room / 2, ty - 9, room, 18);
    g.fillStyle = "#fff"; g.fillText(tag, tx, ty);
    if (probe) {
      const px = M.left + X(probe[1]), py = M.top + Y(probe[0]);
      if (!dragging) cross(g, px, py);
      stripesOf(probe);
      const side = Math.min(64 * Math.max(cell, 1), 0.27 * pw);
      const there = px > M.left + pw / 2 ? M.left + 6 : M.left + pw - side - 6;
      g.drawImage(drawn.wave.canvas, 0, 0, side / cell, side / cell, there, M.top + 6, side, side);
      g.strokeStyle = "#fff"; g.lineWidth = 2; g.strokeRect(there, M.top + 6, side, side);
    }
    g.restore();
    const [ky, kx] = probe || [0, 0];
    cursor.style.left = `${M.left + X(kx) - 12}px`; cursor.style.top = `${M.top + Y(ky) - 12}px`;
  }

  function drawGain() {
    const [, w] = size, pw = plotWidth(), g = sheet(left.cut, CUT + M.top + 40);
    const cell = pw / w, X = (k) => (k + w / 2 + 0.5) * cell, Y = (v) => CUT * (1 - v / 1.1);
    backdrop(g, pw, [0, 0.5, 1], Y);
    axes(g, pw, CUT, { xs: centred(w), ys: [0, 0.5, 1], x: X, y: Y, xlabel: "kx, cycles per picture", ylabel: "gain" });
    g.save(); g.beginPath(); g.rect(M.left, M.top - 2, pw, CUT + 4); g.clip();
    const line = () => { // along every half pixel, so that an ideal edge stays upright
      for (let px = 0; px <= pw; px += 0.5) g.lineTo(M.left + px, M.top + Y(gain(Math.abs(px / cell - w / 2 - 0.5), s)));
    };
    g.beginPath(); g.moveTo(M.left, M.top + Y(0)); line(); g.lineTo(M.left + pw, M.top + Y(0)); g.closePath();
    g.fillStyle = ink["reader-soft"]; g.fill();
    g.beginPath(); line(); g.strokeStyle = ink.reader; g.lineWidth = 2; g.stroke();
    g.restore();
  }
  function backdrop(g, pw, ys, Y) {
    g.fillStyle = ink.paper; g.fillRect(M.left, M.top, pw, CUT);
    g.strokeStyle = ink.line; g.lineWidth = 1; g.beginPath();
    for (const t of ys) { const p = Math.round(M.top + Y(t)) + 0.5; g.moveTo(M.left, p); g.lineTo(M.left + pw, p); }
    g.stroke();
  }

  function drawPicture() {
    const [h, w] = size, pw = plotWidth(), ph = plotHeight(), g = sheet(right.main, M.top + ph + M.bottom), cell = pw / w;
    g.imageSmoothingEnabled = cell < 3;
    g.drawImage(drawn.picture.canvas, M.left, M.top, pw, ph);
    const X = (x) => (x + 0.5) * cell, Y = (y) => (y + 0.5) * cell;
    axes(g, pw, ph, { xs: counted(w), ys: counted(h), x: X, y: Y, ylabel: "y, pixels" });
    const py = M.top + Y(s.row);
    cased(g, () => { g.moveTo(M.left, py); g.lineTo(M.left + pw, py); }, READER, 3);
    handle(g, M.left + pw - 1, py);
    if (spot) cross(g, M.left + X(spot[1]), M.top + Y(spot[0]));
  }

  function drawProfile() {
    const [h, w] = size, pw = plotWidth(), g = sheet(right.cut, CUT + M.top + 40), cell = pw / w;
    // a frame that does not breathe while the reader drags: it grows in steps, and only when values leave it
    const lo = Math.min(core.signed ? -0.5 : 0, Math.floor(core.min * 4 + 0.6) / 4);
    const hi = Math.max(1, Math.ceil(core.max * 4 - 0.6) / 4);
    const pad = 0.06 * (hi - lo), X = (x) => (x + 0.5) * cell, Y = (v) => (CUT * (hi + pad - v)) / (hi - lo + 2 * pad);
    const ys = [...new Set([lo, 0, hi])];
    backdrop(g, pw, ys, Y);
    axes(g, pw, CUT, { xs: counted(w), ys, x: X, y: Y, xlabel: "x, pixels", ylabel: "grey value" });
    g.save(); g.beginPath(); g.rect(M.left, M.top, pw, CUT); g.clip();
    const line = (values) => {
      g.beginPath();
      for (let x = 0; x < w; x++) g.lineTo(M.left + X(x), M.top + Y(values[s.row * w + x]));
      g.stroke();
    };
    g.lineJoin = "round";
    g.strokeStyle = ink.muted; g.lineWidth = 1.2; line(pictures[reference()]);
    g.strokeStyle = ink.network; g.lineWidth = 2; line(core.out);
    if (spot) { g.strokeStyle = ink.ink; g.lineWidth = 1; g.strokeRect(M.left + X(spot[1]), M.top - 1, 0, CUT + 2); }
    g.restore();
  }

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  function write() {
    const [h, w] = size;
    put(left.caption, `Spectrum of ${names.length > 1 && s.source.length > 1 ? "the mixture" : phrase()}`);
    put(left.unit, s.view === "phase" ? "phase, rad" : "ln(1 + |F|)");
    put(left.lo, s.view === "phase" ? "−π" : `≤ ${index.lo.toFixed(1)}`);
    put(left.hi, (s.view === "phase" ? "π" : `≥ ${index.hi.toFixed(1)}`) + (s.filter === "none" ? "" : " · removed: grey"));
    left.bar.style.background = maps[`${s.view}Bar`];
    put(right.caption, s.filter === "none" ? "Picture, not filtered" : `Picture after ${SHORT[s.filter]}`);
    put(right.unit, core.signed ? "signed, white is 0" : "grey value");
    put(right.lo, minus(core.lo.toFixed(2))); put(right.hi, (core.signed ? "+" : "") + core.hi.toFixed(2));
    right.bar.style.background = maps[core.signed ? "divergingBar" : "greyBar"];

    put(rowName, `Row ${s.row}`);
    put(originalName, s.source.length > 1 ? `${names[reference()]} (its phase)` : "original");
    put(filteredName, s.filter === "none" ? "shown" : "filtered");

    const n = h * w, soft = s.edge === "gaussian" && s.filter !== "none";
    const wide = s.filter === "band" ? `, width ${trim(s.width)}` : "";
    const head = s.filter === "none" ? "no filter"
      : `${soft ? "Gaussian" : "ideal"} ${SHORT[s.filter]}, radius ${trim(s.radius)}${wide} cycles per picture`;
    const { kept, total, keptDc, dc } = core;
    const lines = [`${phrase()}: ${head}`,
      `kept: ${many(core.count)} of ${many(n)} coefficients${soft ? " with gain ≥ 0.5" : ""} (${percent(core.count / n)})`,
      `energy kept: ${percent(kept / total)}, without DC ${percent((kept - keptDc) / (total - dc))}`];
    if (probe) lines.push(about(probe));
    else if (spot) {
      const i = spot[0] * w + spot[1], before = s.source.length > 1 ? names[reference()] : "original";
      lines.push(`x ${spot[1]}, y ${spot[0]}: ${before} ${pictures[reference()][i].toFixed(3)}, `
        + `filtered ${minus(core.out[i].toFixed(3))}`);
    }
    else lines.push("Point at the spectrum or the picture to read its values.");
    frame.say(lines.join("\n"));
    frame.code(python(s, size, sources));

    const attributes = (node, ...values) => ["min", "max", "now", "text"].forEach((name, i) => {
      node.setAttribute(`aria-value${name}`, values[i]);
    });
    attributes(left.main, least(), corner(), s.radius, head);
    attributes(right.main, 0, h - 1, s.row, `row ${s.row} of ${h}`);
    attributes(cursor, -w / 2, w / 2 - 1, probe ? probe[1] : 0, about(probe || [0, 0]));
    left.cut.setAttribute("aria-label", `Gain of the filter along kx at ky = 0: ${head}`);
    right.cut.setAttribute("aria-label", `Grey values along row ${s.row}: original as a thin line, filtered as a thick one`);
  }
  function about([ky, kx]) {
    const [h, w] = size, [re, im] = coefficient(ky, kx), F = Math.hypot(re, im), wave = stripes(ky, kx, h, w);
    const g = core.mask[Math.abs(ky) * (w / 2 + 1) + Math.abs(kx)];
    const where = `kx ${minus(kx)}, ky ${minus(ky)}`;
    const kind = kx || ky ? `period ${wave.period.toFixed(wave.period < 10 ? 2 : 1)} px, stripes at ${wave.tilt.toFixed(0)}°`
      : `the mean, ${minus((re / (h * w)).toFixed(3))}`;
    return `${where}: ${kind}, |F| ${F < 100 ? F.toPrecision(3) : many(F)}, `
      + `phase ${minus(Math.atan2(im, re).toFixed(2))} rad, gain ${g.toFixed(2)}`;
  }

  const paint = kit.painter(() => {
    if (cw < 120) return; // not laid out yet
    if (!ink) inks();
    if (refilter) compute();
    drawSpectrum(); drawGain(); drawPicture(); drawProfile(); write();
  });

  // -- input
  const inPlot = (x, y, canvas) => { // fractions of the canvas -> bins of the plot, from 0
    const pw = plotWidth(), ph = plotHeight();
    return [(y * parseFloat(canvas.style.height) - M.top) / ph * size[0] - 0.5, (x * cw - M.left) / pw * size[1] - 0.5];
  };
  const binAt = (x, y) => {
    const [i, j] = inPlot(x, y, left.main);
    return [clamp(Math.round(i), 0, size[0] - 1) - size[0] / 2, clamp(Math.round(j), 0, size[1] - 1) - size[1] / 2];
  };
  const pixelAt = (x, y) => {
    const [i, j] = inPlot(x, y, right.main);
    return [clamp(Math.round(i), 0, size[0] - 1), clamp(Math.round(j), 0, size[1] - 1)];
  };
  let grip = 0;
  kit.drag(left.main, (x, y, phase) => {
    const [i, j] = inPlot(x, y, left.main), dy = i - size[0] / 2, dx = j - size[1] / 2, r = Math.round(Math.hypot(dx, dy));
    probe = binAt(x, y); spot = null; dragging = phase !== "end";
    if (phase !== "end" && (dx || dy)) angle = Math.atan2(dy, dx);
    if (s.filter === "band") {
      let [inner, outer] = edges();
      if (phase === "start") grip = Math.abs(r - inner) < Math.abs(r - outer) ? -1 : 1;
      if (grip < 0) inner = Math.min(r, outer - 1); else outer = Math.max(r, inner + 1);
      if (phase !== "end") change({ radius: Math.max((inner + outer) / 2, 0), width: outer - inner }, false);
    } else if (phase !== "end") change({ radius: r, ...(s.filter === "none" ? { filter: "low" } : {}) }, false);
    paint();
  });
  kit.arrows(left.main, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1, end = Math.abs(dx) === Infinity;
    if (s.filter === "none") return;
    if (end) change({ radius: dx < 0 ? least() : corner() });
    else if (s.filter === "band" && dy) change({ width: s.width - dy * by });
    else change({ radius: s.radius + (dx - dy) * by });
  });
  kit.drag(right.main, (x, y) => {
    spot = pixelAt(x, y); probe = null;
    change({ row: spot[0] }, false);
  });
  kit.arrows(right.main, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1, w = size[1];
    spot = [clamp(s.row + dy * by, 0, size[0] - 1), clamp((spot ? spot[1] : w / 2) + dx * by, 0, w - 1)];
    probe = null;
    change({ row: spot[0] });
  });
  kit.arrows(cursor, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1, [h, w] = size, [ky, kx] = probe || [0, 0];
    probe = [clamp(ky + dy * by, -h / 2, h / 2 - 1), clamp(kx + dx * by, -w / 2, w / 2 - 1)];
    paint();
  });
  cursor.addEventListener("focus", () => { probe ||= [0, 0]; spot = null; paint(); });
  cursor.addEventListener("blur", () => { probe = null; paint(); });
  const hover = (node, seen, gone) => {
    node.addEventListener("pointermove", (event) => {
      if (event.buttons) return; // a drag says it itself
      const box = node.getBoundingClientRect();
      seen((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      paint();
    });
    node.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "mouse") return; // a finger leaves its reading
      gone(); paint();
    });
  };
  hover(left.main, (x, y) => { probe = binAt(x, y); spot = null; }, () => (probe = null));
  hover(right.main, (x, y) => { spot = pixelAt(x, y); probe = null; }, () => (spot = null));
  hover(right.cut, (x, y) => { spot = [s.row, pixelAt(x, y)[1]]; probe = null; }, () => (spot = null));

  // -- start
  const viridis = kit.lut("viridis"), diverging = kit.lut("diverging"), grey = kit.lut("grey"), cycle = cyclic();
  maps = { magnitude: fading(viridis), phase: fading(cycle), diverging: words(diverging), grey: words(grey),
    magnitudeBar: css(viridis), phaseBar: css(cycle), divergingBar: css(diverging), greyBar: css(grey) };
  load(); offer(); sync();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(left.stage.clientWidth);
    stacked = frame.picture.clientWidth < 560; // as in the style sheet
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(left.stage);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const reload = () => { load(); offer(); sync(); paint(); };
  for (const key of KEYS) model.on(`change:${key}`, pull);
  model.on("change:pictures", reload);

  kit.live(model, () => {
    if (!model.get("offers").length) return;
    const live = kit.el("div", { class: "dln-live" });
    names.forEach((name, slot) => {
      const options = model.get("offers").map((offered) => [offered, offered]);
      if (!options.some(([key]) => key === name)) options.unshift([name, name]);
      live.append(kit.select({ label: names.length > 1 ? `Photograph ${"AB"[slot]}` : "Photograph", value: name, options,
        onchange: (chosen) => model.send({ type: "picture", name: chosen, slot }) }).node);
    });
    choices.after(live);
  });
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const key of KEYS) model.off(`change:${key}`, pull);
    model.off("change:pictures", reload);
  };
}

// ---- What the tests compare with PyTorch, on plain rows of numbers in the order of torch.fft.fft2.

function full(S, h, w) {
  const re = new Float64Array(h * w), im = new Float64Array(h * w);
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) [re[i], im[i]] = at(S, h, w, y, x);
  return { re, im };
}
function halved(re, im, h, w) {
  const S = half(h, w);
  for (let i = 0; i < S.re.length; i++) { const o = (i % h) * w + Math.floor(i / h); S.re[i] = re[o]; S.im[i] = im[o]; }
  return S;
}

export const kernels = {
  /** Real picture (h * w numbers) -> {re, im}. */
  fft2: (x, h, w) => full(forward(x, h, w), h, w),
  /** Spectrum of a real picture -> that picture. */
  ifft2(re, im, h, w) {
    const S = halved(re, im, h, w);
    return inverse(S.re, S.im, h, w, new Float64Array(h * w), new Float64Array(w), new Float64Array(w));
  },
  mask(h, w, settings) {
    const q = quarter(h, w, settings), fold = (k, n) => (k <= n / 2 ? k : n - k);
    return Float64Array.from({ length: h * w }, (_, i) => q[fold(Math.floor(i / w), h) * (w / 2 + 1) + fold(i % w, w)]);
  },
  logMagnitude: (re, im) => Float64Array.from(re, (v, i) => Math.log1p(Math.hypot(v, im[i]))),
  phase: (re, im) => Float64Array.from(re, (v, i) => Math.atan2(im[i], v)),
  /** The picture with the magnitudes of a and the phases of b. */
  swapPhase(a, b, h, w) {
    const S = swap(forward(a, h, w), forward(b, h, w), h, w);
    return inverse(S.re, S.im, h, w, new Float64Array(h * w), new Float64Array(w), new Float64Array(w));
  },
  /** What the widget shows for a picture and a filter. */
  filtered(x, h, w, settings) {
    const core = engine(h, w);
    core.use(forward(x, h, w));
    core.apply(settings);
    const { out, kept, total, keptDc, dc, count } = core;
    return { picture: out, energy: kept / total, energyWithoutDc: (kept - keptDc) / (total - dc), count };
  },
  stripes,
  python,
};

export default { render };
