// A few pixels and the larger picture made of them. Resizing is one matrix for rows and one for columns; a transposed
// convolution is a stamp for each source pixel. Either way every output pixel is a weighted sum of source pixels: the
// widget shows the sum of the one that the reader points at.

// ---- Arithmetic, as PyTorch does it.

const tent = (d) => Math.max(0, 1 - Math.abs(d));
function cubic(d, a = -0.75) {
  const t = Math.abs(d);
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * (t ** 3 - 5 * t ** 2 + 8 * t - 4) : 0;
}
const clip = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

/** Where the centre of each output pixel lies on the input's axis. `scale` is null when a size was asked for. */
function places(n, m, align, scale) {
  return Float64Array.from({ length: m }, (_, i) => (align ? (m > 1 ? (i * (n - 1)) / (m - 1) : 0)
    : (i + 0.5) * (scale ? 1 / scale : n / m) - 0.5));
}

/** The taps of each output pixel on one axis: [[pixel, weight], ...], pixels beyond the border counted for its last one. */
function taps(n, m, mode, align, scale) {
  if (mode === "nearest") {
    const step = Math.fround(scale ? 1 / scale : n / m);
    return Array.from({ length: m }, (_, i) => {
      const at = m === n ? i : m === 2 * n ? i >> 1 : Math.min(Math.floor(Math.fround(i * step)), n - 1);
      return [[at, 1]];
    });
  }
  if (n === m && mode === "bilinear") scale = null;
  const reach = mode === "bilinear" ? 1 : 2, weigh = mode === "bilinear" ? tent : cubic;
  return Array.from(places(n, m, align, scale), (place) => {
    const first = Math.floor(place) + 1 - reach, found = new Map();
    for (let k = first; k < first + 2 * reach; k++) {
      const pixel = clip(k, 0, n - 1), weight = weigh(place - k);
      if (weight) found.set(pixel, (found.get(pixel) || 0) + weight);
    }
    return [...found].sort((a, b) => a[0] - b[0]);
  });
}

/** Kernel (k, k) of the transposed convolution, row by row. */
function stamp(kind, k) {
  const line = Array.from({ length: k }, (_, i) => (kind === "ones" ? 1
    : kind === "tent" ? tent((i - (k - 1) / 2) / Math.ceil(k / 2)) : i % 2 ? -0.5 : 1));
  return line.flatMap((a) => line.map((b) => a * b));
}

/** Taps of a transposed convolution on one axis: [[pixel, index into the kernel], ...]. */
function stamped(n, { kernelSize: k, stride, padding }) {
  const m = (n - 1) * stride + k - 2 * padding;
  return Array.from({ length: Math.max(m, 0) }, (_, o) => {
    const found = [];
    for (let i = 0; i < n; i++) { const t = o + padding - i * stride; if (t >= 0 && t < k) found.push([i, t]); }
    return found;
  });
}

/** Everything about a state: output values, its size, places, and `weights(i, j)` of one output pixel. */
function enlarge(x, h, w, s) {
  let rows, columns, weights, py, px;
  if (s.mode === "transposed") {
    const kernel = stamp(s.kernel, s.kernelSize), middle = (s.kernelSize - 1) / 2;
    rows = stamped(h, s); columns = stamped(w, s);
    weights = (i, j) => rows[i].flatMap(([r, u]) => columns[j].map(([c, v]) => [r, c, kernel[u * s.kernelSize + v]]));
    [py, px] = [rows, columns].map((axis) => Float64Array.from(axis, (_, o) => (o + s.padding - middle) / s.stride));
  } else {
    const by = s.ask === "size" ? null : s.scaleFactor;
    const [H, W] = [h, w].map((n) => (by ? Math.floor(n * by + 1e-9) : s.size));
    const align = s.alignCorners && s.mode !== "nearest";
    rows = taps(h, H, s.mode, align, by); columns = taps(w, W, s.mode, align, by);
    weights = (i, j) => rows[i].flatMap(([r, u]) => columns[j].map(([c, v]) => [r, c, u * v]));
    py = places(h, H, align, by); px = places(w, W, align, by);
  }
  const H = rows.length, W = columns.length, y = new Float64Array(H * W);
  for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) {
    let sum = 0;
    for (const [r, c, weight] of weights(i, j)) sum += weight * x[r * w + c];
    y[i * W + j] = sum;
  }
  return { y, h: H, w: W, weights, py, px };
}

// ---- Text.

const trim = (x, digits = 3) => String(+x.toFixed(digits)).replace(/-/g, "−");
const number = (x) => String(+x.toFixed(4));

function python(s, x, h, w, [i, j]) {
  const rows = Array.from({ length: h }, (_, r) => `    [${x.slice(r * w, (r + 1) * w).map(number).join(", ")}],`);
  const lines = ["import torch", "import torch.nn.functional as F", "", "x = torch.tensor([", ...rows,
    "], dtype=torch.float32, requires_grad=True)  # h w"];
  if (s.mode === "transposed") {
    const k = s.kernelSize, kernel = stamp(s.kernel, k);
    const text = s.kernel === "ones" ? `torch.ones(1, 1, ${k}, ${k})`
      : `torch.tensor([${kernel.map(number).join(", ")}], dtype=torch.float32).reshape(1, 1, ${k}, ${k})`;
    lines.push(`kernel = ${text}`, `y = F.conv_transpose2d(x[None, None], kernel, stride=${s.stride}, padding=${s.padding})[0, 0]  # H W`);
  } else {
    const wanted = s.ask === "size" ? `size=(${s.size}, ${s.size})` : `scale_factor=${number(s.scaleFactor)}`;
    const corners = s.mode === "nearest" ? "" : `, align_corners=${s.alignCorners ? "True" : "False"}`;
    lines.push(`y = F.interpolate(x[None, None], ${wanted}, mode="${s.mode}"${corners})[0, 0]  # H W`);
  }
  lines.push(`weights, = torch.autograd.grad(y[${i}, ${j}], x)  # h w: what each source pixel counts in this output pixel`,
    `print(tuple(y.shape), round(y[${i}, ${j}].item(), 4))`, "print(weights)");
  return lines.join("\n");
}

// ---- The widget.

const NAMES = { eye: "a cat’s eye", edge: "an edge", dot: "one bright pixel", ramp: "a ramp", flat: "flat grey" };
const KEYS = { mode: "mode", alignCorners: "align_corners", ask: "ask", size: "size", scaleFactor: "scale_factor", kernel: "kernel",
  kernelSize: "kernel_size", stride: "stride", padding: "padding" };
const LARGEST = 48, PAD = 1; // a rim around the plots, so that outlines are not cut

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Upsampling",
    hint: "Point at an output pixel, or move with the arrow keys: the source pixels that make it are outlined, with their weights. "
      + "Choose a source pixel and change its value." });
  frame.root.classList.add("dln-upsampling");
  const s = {};
  let h, w, x, source, focus, chosen = [0, 0], made, saving, telling = false;
  function pull() {
    if (telling) return;
    for (const [key, trait] of Object.entries(KEYS)) s[key] = model.get(trait);
    [h, w] = model.get("shape");
    x = [...model.get("values")];
    source = model.get("source");
    focus = [...(model.get("focus") || [0, 0])];
    chosen = [clip(chosen[0], 0, h - 1), clip(chosen[1], 0, w - 1)];
  }
  pull();
  chosen = [h >> 1, w >> 1];

  // -- parts
  const panel = (label, role) => {
    const caption = kit.el("div", { class: "dln-upsampling-caption" });
    const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": label, "aria-valuemin": "0" });
    const node = kit.el("div", { class: `dln-upsampling-panel dln-upsampling-${role}` }, caption, canvas);
    return { node, caption, canvas };
  };
  const left = panel("Source pixel to change", "source"), right = panel("Output pixel to explain", "output");
  const cut = kit.el("canvas", { role: "img" });
  const scale = kit.el("span", { class: "dln-upsampling-bar", "aria-hidden": "true" }), lo = kit.el("span"), hi = kit.el("span");
  const key = (kind, text) => kit.el("span", { class: `dln-upsampling-key dln-upsampling-${kind}`, text });
  const legend = kit.el("div", { class: "dln-upsampling-legend" }, kit.el("span", { text: "brightness" }), lo, scale, hi,
    key("tap", "weight of a source pixel"), key("mine", "what you choose"), key("centre", "centres of output pixels"));
  const cutName = kit.el("div", { class: "dln-upsampling-caption" });
  frame.picture.append(kit.el("div", { class: "dln-upsampling-grid" }, right.node, left.node), legend, cutName, cut);

  // -- state
  const resize = () => { made = enlarge(x, h, w, s); };
  function settle() {
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 200);
  }
  function tell(next) {
    telling = true;
    for (const [trait, value] of Object.entries(next)) model.set(trait, value);
    telling = false;
    settle();
    paint();
  }
  function change(next) {
    const before = made;
    Object.assign(s, next);
    if (s.mode === "nearest" || s.mode === "transposed") s.alignCorners = false;
    s.padding = clip(s.padding, 0, s.kernelSize - 1);
    const side = Math.max(h, w), smallest = Math.min(h, w);
    while (s.padding && (smallest - 1) * s.stride + s.kernelSize - 2 * s.padding < 1) s.padding--;
    while ((side - 1) * s.stride + s.kernelSize > 64) s.stride--;
    resize();
    if (before && (before.h !== made.h || before.w !== made.w)) { // keep looking at the same place
      focus = [[focus[0], before.py, made.py], [focus[1], before.px, made.px]].map(([at, was, is]) => nearest(is, was[at]));
    }
    sync();
    tell(Object.fromEntries([...Object.entries(KEYS).map(([k, trait]) => [trait, s[k]]), ["focus", [...focus]]]));
  }
  const nearest = (axis, place) => axis.reduce((best, p, k) => (Math.abs(p - place) < Math.abs(axis[best] - place) ? k : best), 0);
  function take(name) {
    const grid = model.get("grids")[name];
    if (!grid) return;
    [h, w] = grid.shape; x = [...grid.values]; source = name;
    chosen = [h >> 1, w >> 1];
    resize();
    focus = [made.h >> 1, made.w >> 1];
    telling = true;
    model.set("shape", [h, w]); model.set("values", [...x]); model.set("source", name);
    telling = false;
    change({});
  }
  function edit(value) {
    x[chosen[0] * w + chosen[1]] = value;
    source = "";
    resize();
    pick.set("");
    tell({ values: [...x], source });
  }
  function look(i, j) {
    focus = [clip(i, 0, made.h - 1), clip(j, 0, made.w - 1)];
    tell({ focus: [...focus] });
  }
  function choose(i, j) {
    chosen = [clip(i, 0, h - 1), clip(j, 0, w - 1)];
    value.set(x[chosen[0] * w + chosen[1]]);
    paint();
  }

  // -- controls
  const pick = kit.select({ label: "Source", value: source, onchange: (name) => name && take(name),
    options: [...Object.keys(model.get("grids")).map((name) => [name, NAMES[name] || name]), ["", "your own"]] });
  const value = kit.slider({ label: "Value of the chosen pixel", min: 0, max: 1, step: 0.05, value: 0,
    format: (v) => v.toFixed(2), oninput: edit });
  const mode = kit.choice({ label: "Method", value: s.mode, onchange: (v) => change({ mode: v }),
    options: [["nearest", "nearest"], ["bilinear", "bilinear"], ["bicubic", "bicubic"], ["transposed", "transposed conv."]] });
  const align = kit.toggle({ label: "align_corners", value: s.alignCorners, onchange: (v) => change({ alignCorners: v }) });
  const ask = kit.choice({ label: "Ask for", value: s.ask, onchange: (v) => change({ ask: v }),
    options: [["scale_factor", "scale_factor"], ["size", "size"]] });
  const factor = kit.slider({ label: "scale_factor", min: 0.5, max: 4, step: 0.1, value: s.scaleFactor, format: (v) => v.toFixed(1),
    oninput: (v) => change({ scaleFactor: v }) });
  const side = kit.slider({ label: "size", min: 1, max: LARGEST, value: s.size, oninput: (v) => change({ size: v }) });
  const kernel = kit.choice({ label: "Kernel", value: s.kernel, onchange: (v) => change({ kernel: v }),
    options: [["ones", "ones"], ["tent", "tent"], ["mixed", "mixed signs"]] });
  const knob = (label, name, min, max) => kit.slider({ label, min, max, value: s[name], oninput: (v) => change({ [name]: v }) });
  const ksize = knob("kernel_size", "kernelSize", 1, 6), stride = knob("stride", "stride", 1, 4);
  const padding = knob("padding", "padding", 0, 5);
  frame.controls.append(mode.node, align.node, ask.node, factor.node, side.node, kernel.node, ksize.node, stride.node, padding.node,
    pick.node, value.node);
  function sync() {
    const learned = s.mode === "transposed";
    mode.set(s.mode); align.set(s.alignCorners); ask.set(s.ask); factor.set(s.scaleFactor); side.set(s.size); kernel.set(s.kernel);
    ksize.set(s.kernelSize); stride.set(s.stride); padding.range(0, s.kernelSize - 1); padding.set(s.padding); pick.set(source);
    value.set(x[chosen[0] * w + chosen[1]]);
    for (const control of [kernel, ksize, stride, padding]) control.node.hidden = !learned;
    align.node.hidden = learned || s.mode === "nearest";
    ask.node.hidden = learned;
    factor.node.hidden = learned || s.ask !== "scale_factor";
    side.node.hidden = learned || s.ask !== "size";
  }

  // -- drawing
  const FONT = getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif";
  let ink;
  const ROLES = ["ink", "muted", "line", "paper", "reader", "network"];
  const inks = () => { ink = Object.fromEntries(ROLES.map((role) => [role, kit.color(frame.root, role)])); };
  const tiles = document.createElement("canvas");
  /** Pixels as squares; returns the context, the side of a pixel, and where the picture starts. */
  function pixels(canvas, values, rows, columns, low, high) {
    const box = canvas.parentNode.clientWidth, side = Math.max(box - 2 * PAD, 40) / Math.max(rows, columns);
    const g = kit.fit(canvas, side * columns + 2 * PAD, side * rows + 2 * PAD);
    canvas.style.width = `${side * columns + 2 * PAD}px`;
    kit.paint(tiles, values, columns, rows, { map: "grey", lo: low, hi: high });
    g.clearRect(0, 0, box, box);
    g.imageSmoothingEnabled = false;
    g.drawImage(tiles, PAD, PAD, side * columns, side * rows);
    return { g, side };
  }
  const outline = (g, i, j, side, colour, width) => {
    g.lineJoin = "miter";
    g.strokeStyle = "#fff"; g.lineWidth = width + 2; g.strokeRect(PAD + j * side, PAD + i * side, side, side);
    g.strokeStyle = colour; g.lineWidth = width; g.strokeRect(PAD + j * side, PAD + i * side, side, side);
  };
  const READER = "#0b5fc0", NETWORK = "#a85100"; // on pictures: with white casing, so the light theme's in both themes
  const label = (g, text, a, b, size, colour) => {
    g.font = `600 ${size}px ${FONT}`; g.textAlign = "center"; g.textBaseline = "middle";
    g.lineJoin = "round"; g.strokeStyle = "#fff"; g.lineWidth = 4; g.strokeText(text, a, b);
    g.fillStyle = colour; g.fillText(text, a, b);
  };
  function draw() {
    if (!ink) inks();
    const low = made.y.reduce((a, b) => Math.min(a, b), 0), high = made.y.reduce((a, b) => Math.max(a, b), 1);
    const [i, j] = focus, W = made.weights(i, j);
    const out = pixels(right.canvas, made.y, made.h, made.w, low, high);
    outline(out.g, i, j, out.side, READER, 2.5);
    const src = pixels(left.canvas, x, h, w, low, high), g = src.g, small = src.side < 26;
    for (const [r, c] of W) outline(g, r, c, src.side, NETWORK, 2);
    outline(g, ...chosen, src.side, READER, 2);
    const gap = Math.min(src.side * (made.py[1] - made.py[0] || 1), src.side * (made.px[1] - made.px[0] || 1));
    for (let a = 0; a < made.h; a++) { // where the output pixels look: all, or where they would crowd, those of the row and column
      for (let b = 0; b < made.w; b++) {
        if (gap < 9 && a !== i && b !== j) continue;
        const cy = PAD + (made.py[a] + 0.5) * src.side, cx = PAD + (made.px[b] + 0.5) * src.side;
        g.fillStyle = "#fff"; g.fillRect(cx - 1.6, cy - 1.6, 3.2, 3.2);
        g.fillStyle = "#3b4250"; g.fillRect(cx - 0.9, cy - 0.9, 1.8, 1.8);
      }
    }
    g.beginPath(); g.arc(PAD + (made.px[j] + 0.5) * src.side, PAD + (made.py[i] + 0.5) * src.side, 5, 0, 2 * Math.PI);
    g.fillStyle = READER; g.fill(); g.strokeStyle = "#fff"; g.lineWidth = 1.5; g.stroke();
    if (!small || W.length <= 4) for (const [r, c, weight] of W) {
      label(g, trim(weight, 2), PAD + (c + 0.5) * src.side, PAD + (r + (small ? 0.5 : 0.78)) * src.side, small ? 10 : 12, NETWORK);
    }
    left.caption.textContent = `Source: ${h} × ${w} pixels`;
    right.caption.textContent = `Output: ${made.h} × ${made.w} pixels`;
    lo.textContent = trim(low, 2); hi.textContent = trim(high, 2);
    profile(low, high);
    const terms = [...W].sort((a, b) => Math.abs(b[2]) - Math.abs(a[2]));
    const shown = terms.slice(0, 4).map(([r, c, weight]) => `${trim(weight)} · x[${r}, ${c}]`).join(" + ").replace(/\+ −/g, "− ");
    const total = W.reduce((sum, t) => sum + t[2], 0), y = made.y[i * made.w + j];
    const least = Math.min(...made.y), most = Math.max(...made.y);
    const said = `y[${i}, ${j}] = ${trim(y)}, seen at (${trim(made.py[i], 2)}, ${trim(made.px[j], 2)}) of the source\n`
      + `= ${shown || "0"}${terms.length > 4 ? ` + … (${terms.length} source pixels)` : ""}; the weights sum to ${trim(total)}\n`
      + `output from ${trim(least)} to ${trim(most)}, source from ${trim(Math.min(...x))} to ${trim(Math.max(...x))}; `
      + `chosen: x[${chosen.join(", ")}] = ${trim(x[chosen[0] * w + chosen[1]], 2)}`;
    frame.say(said);
    right.canvas.setAttribute("aria-valuenow", String(i * made.w + j));
    right.canvas.setAttribute("aria-valuemax", String(made.h * made.w - 1));
    right.canvas.setAttribute("aria-valuetext", `row ${i}, column ${j}: ${trim(y)}`);
    left.canvas.setAttribute("aria-valuenow", String(chosen[0] * w + chosen[1]));
    left.canvas.setAttribute("aria-valuemax", String(h * w - 1));
    left.canvas.setAttribute("aria-valuetext", `row ${chosen[0]}, column ${chosen[1]}: ${trim(x[chosen[0] * w + chosen[1]], 2)}`);
    frame.code(python(s, x, h, w, focus));
  }
  /** Brightness along the focused output row, against the source row that lies nearest to it. */
  function profile(low, high) {
    const width = Math.max(frame.picture.clientWidth, 200), height = 120, m = { l: 34, r: 8, t: 6, b: 32 };
    const g = kit.fit(cut, width, height);
    cut.style.width = `${width}px`;
    g.clearRect(0, 0, width, height);
    const [i, j] = focus, row = clip(Math.round(made.py[i]), 0, h - 1), span = high - low || 1;
    const X = (p) => m.l + ((p + 0.5) / w) * (width - m.l - m.r), Y = (v) => m.t + (1 - (v - low) / span) * (height - m.t - m.b);
    g.strokeStyle = ink.line; g.lineWidth = 1; g.fillStyle = ink.muted; g.font = `12px ${FONT}`;
    g.textBaseline = "middle"; g.textAlign = "right";
    for (const v of [...new Set([low, 0, 1, high])]) {
      if ((v === 0 && low < -0.02 && -low < 0.12 * span) || (v === 1 && high > 1.02 && high - 1 < 0.12 * span)) continue;
      g.beginPath(); g.moveTo(m.l, Y(v)); g.lineTo(width - m.r, Y(v)); g.stroke();
      g.fillText(trim(v, 1), m.l - 5, Y(v));
    }
    g.textAlign = "center"; g.textBaseline = "top";
    for (let c = 0; c < w; c += w > 8 ? 2 : 1) g.fillText(String(c), X(c), height - m.b + 4);
    g.fillText("column of the source (pixels)", m.l + (width - m.l - m.r) / 2, height - 15);
    g.strokeStyle = ink.muted; g.lineWidth = 2;
    for (let c = 0; c < w; c++) {
      const v = Y(x[row * w + c]);
      g.beginPath(); g.moveTo(X(c - 0.42), v); g.lineTo(X(c + 0.42), v); g.stroke();
    }
    g.strokeStyle = ink.network; g.lineWidth = 1.5; g.beginPath();
    for (let b = 0; b < made.w; b++) g.lineTo(X(made.px[b]), Y(made.y[i * made.w + b]));
    g.stroke();
    for (let b = 0; b < made.w; b++) {
      const mine = b === j;
      g.fillStyle = mine ? ink.reader : ink.network;
      g.beginPath(); g.arc(X(made.px[b]), Y(made.y[i * made.w + b]), mine ? 5 : 2.4, 0, 2 * Math.PI); g.fill();
    }
    cutName.textContent = `Along output row ${i}: dots are output pixels, bars the source row ${row}`;
    cut.setAttribute("aria-label", cutName.textContent);
  }
  const paint = kit.painter(draw);

  // -- input
  const inside = (a, b, rows, columns) => [Math.floor(clip(b, 0, 0.9999) * rows), Math.floor(clip(a, 0, 0.9999) * columns)];
  kit.drag(right.canvas, (a, b) => look(...inside(a, b, made.h, made.w)));
  right.canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || event.buttons) return;
    const box = right.canvas.getBoundingClientRect();
    look(...inside((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, made.h, made.w));
  });
  kit.drag(left.canvas, (a, b) => choose(...inside(a, b, h, w)));
  const step = (d, at, last) => (d === Infinity ? last : d === -Infinity ? 0 : at + d);
  kit.arrows(right.canvas, (dx, dy) => look(step(dy, focus[0], 0), step(dx, focus[1], made.w - 1)));
  kit.arrows(left.canvas, (dx, dy) => choose(step(dy, chosen[0], 0), step(dx, chosen[1], w - 1)));
  left.canvas.addEventListener("keydown", (event) => { // plus and minus change the chosen pixel
    const by = { "+": 0.05, "=": 0.05, "-": -0.05 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = clip(Math.round((x[chosen[0] * w + chosen[1]] + by) * 100) / 100, 0, 1);
    edit(next); value.set(next);
  });

  // -- start
  resize();
  focus = [clip(focus[0], 0, made.h - 1), clip(focus[1], 0, made.w - 1)];
  sync();
  let known = 0;
  const observer = new ResizeObserver(() => {
    const next = frame.picture.clientWidth;
    if (next && next !== known) { known = next; paint(); }
  });
  observer.observe(frame.picture);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const renew = () => {
    if (telling) return;
    pull(); resize();
    focus = [clip(focus[0], 0, made.h - 1), clip(focus[1], 0, made.w - 1)];
    sync(); paint();
  };
  const watched = ["values", "shape", "source", "focus", ...Object.values(KEYS)];
  for (const name of watched) model.on(`change:${name}`, renew);
  kit.live(model, () => {});
  return () => {
    observer.disconnect(); stop(); clearTimeout(saving);
    for (const name of watched) model.off(`change:${name}`, renew);
  };
}

export const kernels = {
  /** F.interpolate or F.conv_transpose2d of h * w numbers, and the weights of one output pixel as a map h * w. */
  enlarge(x, h, w, s, focus = [0, 0]) {
    const made = enlarge(x, h, w, s), weights = new Float64Array(h * w);
    for (const [r, c, weight] of made.weights(...focus)) weights[r * w + c] += weight;
    return { y: made.y, h: made.h, w: made.w, weights };
  },
  cubic: (d) => cubic(d),
  stamp,
};

export default { render };
