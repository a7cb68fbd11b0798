// What one output of a stack of layers sees: by arithmetic, and by the gradient.
// The gradient of an unbranched stack of single-channel convolutions with equal weights is separable: the product of a
// curve for rows and a curve for columns. Each curve comes from the output back to the input: spread by the stride, then
// convolve with the kernel. Random weights of mean zero: the expected square of the gradient is that product.

const THRESHOLD = 0.0455; // of the largest value: Luo et al., two standard deviations of a Gaussian
const WIDEST = 2000;
const minus = (value) => String(value).replace(/-/g, "−");
const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

/** Field after each layer: {size, jump, start}; layers are [kernel, stride, dilation, padding]. */
function fields(layers) {
  const list = [];
  let size = 1, jump = 1, start = 0;
  for (const [k, s, d, p] of layers) {
    size += d * (k - 1) * jump; start -= p * jump; jump *= s;
    list.push({ size, jump, start });
  }
  return list;
}

/** Outputs along a side of n pixels, 0 if a layer finds no window. */
function outputs(layers, n) {
  for (const [k, s, d, p] of layers) {
    const places = n + 2 * p - d * (k - 1) - 1;
    if (places < 0) return 0;
    n = Math.floor(places / s) + 1;
  }
  return n;
}

/** Number of paths from each pixel of the field (along one axis) to the output, over the largest. */
function paths(layers) {
  let g = Float64Array.of(1);
  for (const [k, s, d] of [...layers].reverse()) {
    const next = new Float64Array((g.length - 1) * s + 1 + d * (k - 1));
    for (let i = 0; i < g.length; i++) for (let t = 0; t < k; t++) next[i * s + t * d] += g[i];
    const top = next.reduce((a, b) => Math.max(a, b), 0);
    g = next.map((v) => v / top);
  }
  return g;
}

/** The curve along one axis whose product with itself is the effective field. */
const curve = (layers, weights) => (weights === "random" ? paths(layers).map(Math.sqrt) : paths(layers));

/** Root of the number of pixels whose gradient is above the threshold; u is the curve, its largest value 1. */
function effectiveSize(u, threshold = THRESHOLD) {
  const sorted = [...u].sort((a, b) => b - a);
  const limit = threshold * (1 + 1e-12); // equal is not above
  let count = 0, j = sorted.length;
  for (const v of sorted) { while (j > 0 && v * sorted[j - 1] <= limit) j--; count += j; }
  return Math.sqrt(count);
}

function python(layers, weights) {
  const random = weights === "random";
  return ["import torch", "from torch import nn", "",
    `layers = [${layers.map((row) => `(${row.join(", ")})`).join(", ")}]  # kernel, stride, dilation, padding`,
    "size, jump, start = 1, 1, 0", "for k, s, d, p in layers:", "    size += d * (k - 1) * jump", "    start -= p * jump",
    "    jump *= s", "", "net = nn.Sequential(*(nn.Conv2d(1, 1, k, s, dilation=d, bias=False) for k, s, d, p in layers)).double()",
    "for conv in net:", "    nn.init.constant_(conv.weight, 1 / conv.weight.numel())",
    "x = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)  # exactly one field",
    "net(x).sum().backward()  # 1 1 1 1", "field = x.grad[0, 0] / x.grad.max()  # size size",
    ...(random ? ["field = field.sqrt()  # root mean square for random weights: the expected square counts paths"] : []),
    `effective = (field > ${THRESHOLD}).sum().item() ** 0.5`,
    "print(f\"field {size}, jump {jump}, start {start}, effective {effective:.1f}\")"].join("\n");
}

// ---- The widget.

const NAMES = ["kernel", "stride", "dilation", "padding"];

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Receptive field",
    hint: "Move the output over the picture with a drag or the arrow keys. Change the layers below." });
  frame.root.classList.add("dln-receptive");
  const KEYS = ["layers", "weights", "row", "column"];
  const s = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  s.layers = s.layers.map((row) => [...row]);
  const side = model.get("side"), grey = kit.bytes(model, "picture"), limits = model.get("limits"), presets = model.get("presets");
  let all, field, out, u, effective, wide, probe = null, cw = 0, ink = null;

  const see = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Output position" });
  const heat = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Pixel of the field to read out" });
  const caption = [kit.el("div", { class: "dln-receptive-caption" }), kit.el("div", { class: "dln-receptive-caption" })];
  const key = (style, text) => kit.el("span", { class: style }, kit.el("i", { "aria-hidden": "true" }), text);
  const bar = kit.el("span", { class: "bar", "aria-hidden": "true" });
  const panel = (head, legend, canvas) => kit.el("div", { class: "dln-receptive-panel" }, head,
    kit.el("div", { class: "dln-receptive-legend" }, ...legend), canvas);
  frame.picture.append(kit.el("div", { class: "dln-receptive-grid" },
    panel(caption[0], [key("theory", "theoretical field"), key("effective", "square of the effective size")], see),
    panel(caption[1], [kit.el("span", { text: "gradient / largest: 0" }), bar, kit.el("span", { text: "1" })], heat)));

  // -- state
  let saving, telling = false;
  function change(next, settle = true) {
    Object.assign(s, next);
    compute();
    s.row = clamp(s.row, 0, Math.max(out - 1, 0)); s.column = clamp(s.column, 0, Math.max(out - 1, 0));
    telling = true;
    for (const name of KEYS) if (JSON.stringify(model.get(name)) !== JSON.stringify(s[name])) {
      model.set(name, name === "layers" ? s.layers.map((row) => [...row]) : s[name]);
    }
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), settle ? 0 : 200);
    sums();
    paint();
  }
  function compute() {
    all = fields(s.layers); field = all[all.length - 1]; out = outputs(s.layers, side);
    wide = field.size > WIDEST;
    u = wide ? null : curve(s.layers, s.weights);
    effective = wide ? 0 : effectiveSize(u);
    if (probe && (wide || probe.some((at) => at >= field.size))) probe = null;
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const name of KEYS) if (JSON.stringify(model.get(name)) !== JSON.stringify(s[name])) next[name] = model.get(name);
    if (!Object.keys(next).length) return;
    if (next.layers) next.layers = next.layers.map((row) => [...row]);
    change(next);
    if (next.layers) rebuild();
  }
  function restack(layers) { // other layers: start in the middle of the picture
    const m = outputs(layers, side);
    probe = null;
    change({ layers, row: Math.max((m - 1) >> 1, 0), column: Math.max((m - 1) >> 1, 0) });
    rebuild();
  }

  // -- controls
  const preset = kit.select({ label: "Stack", value: "own",
    options: [["own", "your own"], ...Object.keys(presets).map((name) => [name, name])],
    onchange: (name) => { if (presets[name]) restack(presets[name].map((row) => [...row])); } });
  const weights = kit.choice({ label: "Weights", value: s.weights, options: [["random", "random"], ["uniform", "all equal"]],
    onchange: (value) => change({ weights: value }) });
  const add = kit.button({ label: "Add a layer", onclick: () => restack([...s.layers, [3, 1, 1, 1]]) });
  const list = kit.el("div", { class: "dln-receptive-layers", role: "group", "aria-label": "Layers, first to last" });
  frame.controls.append(preset.node, weights.node, add, list);
  let texts = [];
  function rebuild() {
    const head = kit.el("div", { class: "dln-receptive-row head", "aria-hidden": "true" }, kit.el("span", { text: "#" }),
      ...NAMES.map((name) => kit.el("span", { text: name })),
      kit.el("span", { class: "sum", text: "field, jump, start (pixels)" }), kit.el("span"));
    texts = [];
    const rows = s.layers.map((row, i) => {
      const cells = NAMES.map((name, at) => {
        const [min, max] = limits[name];
        const input = kit.el("input", { type: "number", min, max, step: 1, "aria-label": `Layer ${i + 1} ${name}` });
        input.value = row[at];
        input.addEventListener("input", () => {
          const value = Math.round(+input.value);
          if (input.value === "" || !(value >= min && value <= max)) return;
          const layers = s.layers.map((other) => [...other]);
          layers[i][at] = value;
          const m = outputs(layers, side), same = m === out;
          change({ layers, ...(same ? {} : { row: Math.max((m - 1) >> 1, 0), column: Math.max((m - 1) >> 1, 0) }) }, false);
        });
        input.addEventListener("change", () => { input.value = s.layers[i][at]; });
        return input;
      });
      const text = kit.el("span", { class: "sum" });
      texts.push(text);
      const remove = kit.button({ label: "×", onclick: () => restack(s.layers.filter((_, j) => j !== i)) });
      remove.setAttribute("aria-label", `Remove layer ${i + 1}`);
      remove.disabled = s.layers.length === 1;
      return kit.el("div", { class: "dln-receptive-row" }, kit.el("span", { text: i + 1 }), ...cells, text, remove);
    });
    list.replaceChildren(head, ...rows);
    add.disabled = s.layers.length >= 24;
    sums();
  }
  function sums() {
    texts.forEach((text, i) => {
      if (all[i]) text.textContent = `field ${all[i].size}, jump ${all[i].jump}, start ${minus(all[i].start)}`;
    });
    weights.set(s.weights);
    const found = Object.entries(presets).find(([, layers]) => JSON.stringify(layers) === JSON.stringify(s.layers));
    preset.set(found ? found[0] : "own");
  }

  // -- drawing
  const light = document.createElement("canvas"), map = document.createElement("canvas");
  const corner = () => [field.start + s.row * field.jump, field.start + s.column * field.jump];
  function drawPicture() {
    const g = kit.fit(see, cw, cw), scale = cw / side;
    see.style.width = `${cw}px`;
    light.width = light.height = side;
    const context = light.getContext("2d"), image = context.createImageData(side, side), [top, left] = corner();
    for (let r = 0, i = 0; r < side; r++) for (let c = 0; c < side; c++, i++) {
      const a = r - top, b = c - left;
      const shine = out && u && a >= 0 && b >= 0 && a < u.length && b < u.length ? 0.35 + 0.65 * u[a] * u[b] : 0.35;
      image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = grey[i] * shine;
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    g.imageSmoothingEnabled = false;
    g.drawImage(light, 0, 0, cw, cw);
    if (!out || !u) return;
    const box = (y, x, n, color, dash) => {
      g.strokeStyle = "#fff"; g.lineWidth = 4; g.setLineDash([]);
      g.strokeRect(x * scale, y * scale, n * scale, n * scale);
      g.strokeStyle = color; g.lineWidth = 2; g.setLineDash(dash);
      g.strokeRect(x * scale, y * scale, n * scale, n * scale);
      g.setLineDash([]);
    };
    box(top, left, field.size, "#0b5fc0", []);
    const shift = (field.size - effective) / 2;
    box(top + shift, left + shift, effective, "#a85100", [4, 3]);
  }
  function drawHeat() {
    const g = kit.fit(heat, cw, cw);
    heat.style.width = `${cw}px`;
    g.fillStyle = ink.paper; g.fillRect(0, 0, cw, cw);
    if (!u) return;
    const n = Math.min(u.length, 448), step = u.length / n, values = new Float64Array(n * n);
    const at = Float64Array.from({ length: n }, (_, i) => u[Math.floor((i + 0.5) * step)]);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) values[i * n + j] = at[i] * at[j];
    kit.paint(map, values, n, n);
    g.imageSmoothingEnabled = false;
    g.drawImage(map, 0, 0, cw, cw);
    if (probe) {
      const cell = cw / field.size, w = Math.max(cell, 5);
      const [y, x] = probe.map((p) => (p + 0.5) * cell - w / 2);
      g.strokeStyle = "#fff"; g.lineWidth = 4; g.strokeRect(x, y, w, w);
      g.strokeStyle = "#14181e"; g.lineWidth = 2; g.strokeRect(x, y, w, w);
    }
  }
  function write() {
    const [top, left] = corner(), n = field.size;
    const past = (first) => Math.max(0, -first) + Math.max(0, first + n - side);
    const lines = [`${s.layers.length} layer${s.layers.length > 1 ? "s" : ""}: field ${n} × ${n} pixels, jump ${field.jump}, `
      + `start ${minus(field.start)}; `
      + `${side} × ${side} pixels give ${out} × ${out} outputs`];
    if (!out) lines.push("The picture is too small for this stack: some layer finds no window.");
    else {
      lines.push(`output (${s.row}, ${s.column}) sees rows ${minus(top)} to ${minus(top + n - 1)}, `
        + `columns ${minus(left)} to ${minus(left + n - 1)}`
        + (past(top) || past(left) ? `; ${past(top)} rows and ${past(left)} columns of them are padding` : ""));
    }
    if (wide) lines.push(`A field of ${n} pixels is too wide to draw here.`);
    else {
      lines.push(`effective size ${effective.toFixed(1)} pixels, ${Math.round((100 * effective) / n)} % of the side, `
        + `${Math.round((100 * effective ** 2) / n ** 2)} % of the area (gradient above 4.55 % of the largest)`);
      const zeros = u.length ** 2 - u.filter((v) => v > 0).length ** 2;
      if (zeros) lines.push(`holes: ${zeros} of ${n * n} pixels have no path to the output`);
      if (probe) {
        const size = (u[probe[0]] * u[probe[1]]).toPrecision(3);
        lines.push(`pixel (${probe[0]}, ${probe[1]}) of the field: ${size} of the largest gradient`);
      }
    }
    frame.say(lines.join("\n"));
    frame.code(python(s.layers, s.weights));
    caption[0].textContent = "What the output can see";
    caption[1].textContent = `What it does see: ${s.weights === "random" ? "random weights, RMS" : "equal weights"}`;
    const set = (node, max, now, text) => [["min", 0], ["max", max], ["now", now], ["text", text]]
      .forEach(([name, value]) => node.setAttribute(`aria-value${name}`, value));
    set(see, Math.max(out * out - 1, 0), s.row * out + s.column, lines[1]);
    set(heat, Math.max(n * n - 1, 0), probe ? probe[0] * n + probe[1] : 0, probe ? lines[lines.length - 1] : "no pixel chosen");
  }
  const paint = kit.painter(() => {
    if (cw < 80) return;
    if (!ink) ink = Object.fromEntries(["ink", "muted", "paper"].map((role) => [role, kit.color(frame.root, role)]));
    drawPicture(); drawHeat(); write();
  });

  // -- input
  kit.drag(see, (fx, fy, phase) => {
    if (!out || phase === "end") return;
    const to = (f) => clamp(Math.round((f * side - field.start - field.size / 2) / field.jump), 0, out - 1);
    change({ row: to(fy), column: to(fx) }, false);
  });
  kit.arrows(see, (dx, dy, event) => {
    const by = event.shiftKey ? 8 : 1;
    if (out) change({ row: clamp(s.row + dy * by, 0, out - 1), column: clamp(s.column + dx * by, 0, out - 1) });
  });
  const touch = (fx, fy) => {
    if (wide) return;
    probe = [fy, fx].map((f) => clamp(Math.floor(f * field.size), 0, field.size - 1));
    paint();
  };
  kit.drag(heat, (fx, fy, phase) => { if (phase !== "end") touch(fx, fy); });
  heat.addEventListener("pointermove", (event) => {
    if (event.buttons) return;
    const box = heat.getBoundingClientRect();
    touch((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  heat.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { probe = null; paint(); } });
  kit.arrows(heat, (dx, dy, event) => {
    if (wide) return;
    const by = event.shiftKey ? 8 : 1, middle = (field.size - 1) >> 1;
    const [r, c] = probe || [middle, middle];
    probe = [clamp(r + dy * by, 0, field.size - 1), clamp(c + dx * by, 0, field.size - 1)];
    paint();
  });

  // -- start
  const viridis = kit.lut("viridis");
  bar.style.background = `linear-gradient(90deg, ${Array.from({ length: 9 }, (_, i) => {
    const k = 3 * Math.min(255, i * 32);
    return `rgb(${viridis[k]} ${viridis[k + 1]} ${viridis[k + 2]})`;
  }).join(", ")})`;
  change({});
  rebuild();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(see.parentElement.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(see.parentElement);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  for (const name of KEYS) model.on(`change:${name}`, pull);
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, pull);
  };
}

export const kernels = { fields, outputs, paths, curve, effectiveSize, python };

export default { render };
