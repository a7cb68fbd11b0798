// A stack of residual blocks, x ← λ·x + α·W·ReLU(norm(x)), run forwards and backwards on every change of a control,
// beside the plain stack of the same weights. Everything is float64; a run of 64 blocks takes a few milliseconds.

// ---- Arithmetic, as torch.autograd does it.

const EPS = 1e-5;

/** out (n, o) += factor · a (n, i) · wᵀ, where w is (o, i). */
function forwards(a, w, out, n, i, o, factor) {
  for (let r = 0; r < n; r++) for (let c = 0; c < o; c++) {
    let sum = 0;
    for (let k = 0, p = r * i, q = c * i; k < i; k++) sum += a[p++] * w[q++];
    out[r * o + c] += factor * sum;
  }
}

/** out (n, o) += factor · a (n, i) · w, where w is (i, o). */
function backwards(a, w, out, n, i, o, factor) {
  for (let r = 0; r < n; r++) for (let k = 0; k < i; k++) {
    const by = factor * a[r * i + k];
    for (let c = 0, p = r * o, q = k * o; c < o; c++) out[p++] += by * w[q++];
  }
}

/** Mean and 1 / standard deviation of each column of (n, d). */
function statistics(x, n, d) {
  const mean = new Float64Array(d), rstd = new Float64Array(d);
  for (let r = 0; r < n; r++) for (let c = 0; c < d; c++) mean[c] += x[r * d + c] / n;
  for (let r = 0; r < n; r++) for (let c = 0; c < d; c++) rstd[c] += (x[r * d + c] - mean[c]) ** 2 / n;
  for (let c = 0; c < d; c++) rstd[c] = 1 / Math.sqrt(rstd[c] + EPS);
  return { mean, rstd };
}

const norm = (v) => { // scaled, so that squares of tiny or huge numbers stay numbers
  let top = 0, sum = 0;
  for (const x of v) top = Math.max(top, Math.abs(x));
  if (!top) return 0;
  for (const x of v) sum += (x / top) ** 2;
  return top * Math.sqrt(sum);
};

/**
 * Run a stack. data has W (blocks · d · d, standard normal), x (n · d), v (n · d), n, d.
 * Returns forward (root mean square of x_0 ... x_L), gradientX (norms for x_0 ... x_L), gradientW (for blocks 1 ... L;
 * zeros unless weights are asked for).
 */
function run({ depth, scale, gain, norm: normalised }, { W, x, v, n, d }, weights = true) {
  const he = Math.sqrt(2 / d), maps = [Float64Array.from(x)], kept = [];
  for (let l = 0; l < depth; l++) {
    const from = maps[l], to = Float64Array.from(from, (value) => scale * value);
    const stat = normalised ? statistics(from, n, d) : null, active = new Float64Array(n * d);
    for (let r = 0, k = 0; r < n; r++) for (let c = 0; c < d; c++, k++) {
      active[k] = Math.max(stat ? (from[k] - stat.mean[c]) * stat.rstd[c] : from[k], 0);
    }
    forwards(active, W.subarray(l * d * d, (l + 1) * d * d), to, n, d, d, gain * he);
    maps.push(to); kept.push({ active, stat });
  }
  const length = norm(v);
  let g = Float64Array.from(v, (value) => value / length);
  const gradientX = new Float64Array(depth + 1), gradientW = new Float64Array(depth);
  gradientX[depth] = norm(g);
  for (let l = depth - 1; l >= 0; l--) {
    const { active, stat } = kept[l], from = maps[l], back = new Float64Array(n * d);
    if (weights) { // dL/dW = gᵀ · active
      const weight = new Float64Array(d * d);
      for (let r = 0; r < n; r++) for (let o = 0; o < d; o++) {
        const by = gain * g[r * d + o];
        for (let c = 0, p = o * d, q = r * d; c < d; c++) weight[p++] += by * active[q++];
      }
      gradientW[l] = norm(weight);
    }
    backwards(g, W.subarray(l * d * d, (l + 1) * d * d), back, n, d, d, gain * he);
    for (let k = 0; k < n * d; k++) if (active[k] <= 0) back[k] = 0;
    if (stat) {
      for (let c = 0; c < d; c++) {
        let sum = 0, dot = 0;
        for (let r = 0; r < n; r++) {
          sum += back[r * d + c];
          dot += back[r * d + c] * (from[r * d + c] - stat.mean[c]) * stat.rstd[c];
        }
        for (let r = 0; r < n; r++) {
          const k = r * d + c, h = (from[k] - stat.mean[c]) * stat.rstd[c];
          back[k] = stat.rstd[c] * (back[k] - sum / n - (h * dot) / n);
        }
      }
    }
    for (let k = 0; k < n * d; k++) back[k] += scale * g[k];
    g = back;
    gradientX[l] = norm(g);
  }
  return { forward: maps.map((m) => norm(m) / Math.sqrt(n * d)), gradientX, gradientW };
}

// ---- Text.

const trim = (x) => String(+x.toFixed(2));
const SUPER = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const raised = (k) => (k < 0 ? "⁻" : "") + [...String(Math.abs(k))].map((c) => SUPER[c]).join("");
/** 0.0123 -> "0.0123", 48200 -> "4.8·10⁴", 0 -> "0". */
function short(x) {
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return "∞";
  const k = Math.floor(Math.log10(Math.abs(x)));
  if (k >= -3 && k < 4) return String(+x.toPrecision(3));
  return `${(x / 10 ** k).toFixed(1)}·10${raised(k)}`;
}
/** What the first gradient says: the loss sends one of norm 1. The borders are a convention: three powers of ten. */
const verdict = (first) => (first === 0 ? "nothing arrives" : first < 1e-3 ? "vanishes" : first > 1e3 ? "explodes"
  : "within a factor of 1000");

function python(s, { n, d, blocks, step, seed }) {
  return [
    "import torch",
    "import torch.nn.functional as F",
    "",
    `g = torch.Generator().manual_seed(${seed})`,
    `draw = lambda *shape: (torch.randn(shape, generator=g) * ${step}).round().double() / ${step}`,
    `weights = draw(${blocks}, ${d}, ${d}) * (2 / ${d}) ** 0.5  # one matrix per block`,
    `x, direction = draw(${n}, ${d}), draw(${n}, ${d})`,
    `depth, scale, gain = ${s.depth}, ${trim(s.scale)}, ${trim(s.gain)}`,
    "",
    "",
    "def stack(scale):",
    "    W = weights.clone().requires_grad_()",
    "    maps = [x.clone().requires_grad_()]",
    "    for l in range(depth):",
    `        h = ${s.norm ? "F.batch_norm(maps[-1], None, None, training=True)" : "maps[-1]"}  # b d`,
    "        maps.append(scale * maps[-1] + gain * F.relu(h) @ W[l].T)  # b d",
    "    loss = (maps[-1] * direction).sum() / direction.norm()",
    `    ${s.of === "x" ? "gradients = torch.autograd.grad(loss, maps)" : "gradients = torch.autograd.grad(loss, W)[0][:depth]"}`,
    "    return [g.norm().item() for g in gradients], [m.square().mean().sqrt().item() for m in maps]",
    "",
    "",
    "gradient, activation = stack(scale)",
    "plain, plain_activation = stack(0.0)",
    "print(\"first / last:\", gradient[0] / max(gradient[-1], 1e-300), \"plain:\", plain[0] / max(plain[-1], 1e-300))",
  ].join("\n");
}

// ---- The widget.

const M = { left: 58, right: 12, top: 8, bottom: 40 }; // room for the axes, in CSS pixels
const HEIGHT = 250, FLOOR = -18, CEILING = 24;          // decades that are drawn

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Gradient flow",
    hint: "Blocks x ← λ·x + α·F(x). Set λ and watch the gradient on its way from the loss (right end) to the input (left "
      + "end). Drag on a plot to read a block; arrow keys move it, up and down change λ." });
  frame.root.classList.add("dln-gradients");
  const KEYS = ["depth", "scale", "gain", "norm", "of", "block"];
  const s = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
  const round = (x) => Math.round(x * 20) / 20;

  const [blocks, d, n, step, seed] = model.get("sizes");
  const raw = Float64Array.from(kit.bytes(model, "draws", Int16Array), (value) => value / step);
  const data = { W: raw.subarray(0, blocks * d * d), x: raw.subarray(blocks * d * d, blocks * d * d + n * d),
    v: raw.subarray(blocks * d * d + n * d), n, d };
  let mine, plain, plainOf, stale = true, cw = 0, ink;

  // -- parts
  const panel = (label) => {
    const caption = kit.el("div", { class: "dln-gradients-caption" });
    const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": label });
    return { node: kit.el("div", { class: "dln-gradients-panel" }, caption, canvas), caption, canvas };
  };
  const left = panel("Block whose gradient is read out"), right = panel("Block whose activations are read out");
  const key = (kind, text) => kit.el("span", { class: `dln-gradients-key dln-gradients-${kind}`, text });
  const alone = key("alone", "shortcut alone, λ to the power of the blocks above");
  frame.picture.append(kit.el("div", { class: "dln-gradients-grid" }, left.node, right.node),
    kit.el("div", { class: "dln-gradients-legend" }, key("mine", "this stack"), key("plain", "plain: same weights, λ = 0"), alone));

  // -- state: one way in for every change, whoever makes it
  let saving, telling = false;
  function change(next, settle = true) {
    Object.assign(s, next);
    s.depth = clamp(s.depth, 1, blocks);
    s.scale = clamp(round(s.scale), 0, 1.2);
    s.gain = clamp(round(s.gain), 0, 1.5);
    s.block = clamp(s.block, first(), s.depth);
    if (Object.keys(next).some((name) => name !== "block")) stale = true;
    sync();
    telling = true;
    for (const name of KEYS) if (model.get(name) !== s[name]) model.set(name, s[name]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), settle ? 0 : 200);
    paint();
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const name of KEYS) if (model.get(name) !== s[name]) next[name] = model.get(name);
    if (Object.keys(next).length) change(next);
  }
  const first = () => (s.of === "W" ? 1 : 0); // weights belong to blocks 1 ... L, maps are x_0 ... x_L
  const gradients = (flow) => (s.of === "W" ? flow.gradientW : flow.gradientX);
  const gradientAt = (flow, block) => gradients(flow)[block - first()];

  // -- controls
  const knob = (label, name, min, max, step_, format = trim) => kit.slider({ label, min, max, step: step_, value: s[name], format,
    oninput: (value) => change({ [name]: value }, false) });
  const depth = knob("Blocks", "depth", 1, blocks, 1, String), scale = knob("Shortcut λ", "scale", 0, 1.2, 0.05);
  const gain = knob("Branch α", "gain", 0, 1.5, 0.05);
  const normal = kit.toggle({ label: "BatchNorm in the branch", value: s.norm, onchange: (value) => change({ norm: value }) });
  const of = kit.choice({ label: "Gradient of", value: s.of, onchange: (value) => change({ of: value }),
    options: [["x", "the maps x"], ["W", "the weights W"]] });
  frame.controls.append(scale.node, depth.node, gain.node, normal.node, of.node);
  function sync() {
    depth.set(s.depth); scale.set(s.scale); gain.set(s.gain); normal.set(s.norm); of.set(s.of);
    alone.hidden = s.of === "W";
  }

  // -- drawing
  const FONT = getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif";
  const log = (value) => clamp(value > 0 ? Math.log10(value) : FLOOR - 1, FLOOR - 1, CEILING);
  /** Decades of the axis: it grows in steps of three, so that it does not breathe while the reader drags. */
  function decades(...rows) {
    let lo = -3, hi = 3;
    for (const row of rows) for (const value of row) {
      if (!(value > 0)) continue;
      lo = Math.min(lo, 3 * Math.floor(log(value) / 3)); hi = Math.max(hi, 3 * Math.ceil(log(value) / 3));
    }
    return [Math.max(lo, FLOOR), Math.min(hi, CEILING)];
  }
  function draw(canvas, rows, start, ylabel) {
    const g = kit.fit(canvas, cw, HEIGHT), pw = cw - M.left - M.right, ph = HEIGHT - M.top - M.bottom;
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, HEIGHT);
    g.fillStyle = ink.paper; g.fillRect(M.left, M.top, pw, ph);
    const [lo, hi] = decades(...rows.map((row) => row.values));
    const X = (block) => M.left + (pw * block) / Math.max(s.depth, 1), Y = (decade) => M.top + (ph * (hi - decade)) / (hi - lo);
    g.font = `12px ${FONT}`; g.fillStyle = ink.muted; g.strokeStyle = ink.line; g.lineWidth = 1;
    g.textAlign = "right"; g.textBaseline = "middle";
    const every = hi - lo <= 6 ? 1 : hi - lo <= 24 ? 3 : 6;
    const from = every === 6 ? 6 * Math.ceil(lo / 6) : lo; // so that 1 is always among the ticks
    for (let k = from; k <= hi; k += every) {
      g.beginPath(); g.moveTo(M.left, Y(k)); g.lineTo(M.left + pw, Y(k));
      g.strokeStyle = k === 0 ? ink.muted : ink.line; g.stroke();
      g.fillText(k === 0 ? "1" : `10${raised(k)}`, M.left - 6, Y(k));
    }
    g.textAlign = "center"; g.textBaseline = "top";
    const apart = [1, 2, 5, 10, 20].find((k) => s.depth / k <= 7) || 20;
    for (let t = 0; t <= s.depth; t += apart) g.fillText(t, X(t), M.top + ph + 6);
    g.fillText("block (0 is the input)", M.left + pw / 2, M.top + ph + 22);
    g.save(); g.translate(11, M.top + ph / 2); g.rotate(-Math.PI / 2); g.textBaseline = "middle"; g.fillText(ylabel, 0, 0); g.restore();
    g.save(); g.beginPath(); g.rect(M.left - 4, M.top - 1, pw + 8, ph + 2); g.clip();
    g.strokeStyle = ink.reader; g.lineWidth = 1.5;
    g.beginPath(); g.moveTo(X(s.block), M.top); g.lineTo(X(s.block), M.top + ph); g.stroke();
    g.lineJoin = "round";
    for (const { values, color, wide, dash } of rows) {
      g.strokeStyle = ink[color]; g.lineWidth = wide; g.setLineDash(dash);
      g.beginPath();
      values.forEach((value, i) => g.lineTo(X(i + start), Y(log(value))));
      g.stroke();
    }
    g.setLineDash([]);
    const at = rows[0].values[s.block - start];
    if (at !== undefined) {
      g.beginPath(); g.arc(X(s.block), clamp(Y(log(at)), M.top, M.top + ph), 5, 0, 2 * Math.PI);
      g.fillStyle = ink.reader; g.fill();
      g.strokeStyle = ink.paper; g.lineWidth = 1.5; g.stroke();
    }
    g.restore();
  }
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  function write() {
    const told = (flow) => {
      const row = gradients(flow), last = row[row.length - 1];
      return `${short(row[0])}, ${verdict(row[0])}${last > 0 ? ` (first / last ${short(row[0] / last)})` : ""}`;
    };
    put(left.caption, s.of === "x" ? "Gradient of the loss, ‖∂L/∂x‖" : "Gradient of the loss, ‖∂L/∂W‖");
    put(right.caption, "Activations, root mean square of x");
    const k = s.block, where = s.of === "x" ? "gradient of the input" : "gradient of the first W";
    const head = `${s.depth} blocks, λ = ${trim(s.scale)}, α = ${trim(s.gain)}, ${s.norm ? "with" : "without"} BatchNorm`;
    const lines = [head, `${where}: ${told(mine)}`, `plain stack: ${told(plain)}`];
    if (s.of === "x") lines.push(`shortcut alone: λ^${s.depth} = ${short(s.scale ** s.depth)}`);
    lines.push(`block ${k}: gradient ${short(gradientAt(mine, k))}, plain ${short(gradientAt(plain, k))}; `
      + `activations ${short(mine.forward[k])}, plain ${short(plain.forward[k])}`);
    frame.say(lines.join("\n"));
    frame.code(python(s, { n, d, blocks, step, seed }));
    for (const { canvas } of [left, right]) {
      canvas.setAttribute("aria-valuemin", first()); canvas.setAttribute("aria-valuemax", s.depth);
      canvas.setAttribute("aria-valuenow", k); canvas.setAttribute("aria-valuetext", `${lines.at(-1)}; λ ${trim(s.scale)}`);
    }
  }
  const paint = kit.painter(() => {
    if (cw < 120) return; // not laid out yet
    if (!ink) ink = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "network"].map((r) => [r, kit.color(frame.root, r)]));
    if (stale) {
      const same = [s.depth, s.gain, s.norm, s.of].join(); // the plain stack does not depend on λ
      mine = run(s, data, s.of === "W");
      if (plainOf !== same) { plain = run({ ...s, scale: 0 }, data, s.of === "W"); plainOf = same; }
      stale = false;
    }
    const own = { color: "network", wide: 2.5, dash: [] }, bare = { color: "muted", wide: 1.8, dash: [6, 4] };
    const rows = [{ values: Array.from(gradients(mine)), ...own }, { values: Array.from(gradients(plain)), ...bare }];
    if (s.of === "x") {
      rows.push({ color: "ink", wide: 1.5, dash: [1.5, 3],
        values: Array.from({ length: s.depth + 1 }, (_, l) => s.scale ** (s.depth - l)) });
    }
    draw(left.canvas, rows, first(), s.of === "x" ? "norm of ∂L/∂x" : "norm of ∂L/∂W");
    draw(right.canvas, [{ values: mine.forward, ...own }, { values: plain.forward, ...bare }], 0, "root mean square");
    write();
  });

  // -- input
  for (const { canvas } of [left, right]) {
    const at = (x) => clamp(Math.round(((x * cw - M.left) / (cw - M.left - M.right)) * s.depth), first(), s.depth);
    kit.drag(canvas, (x) => change({ block: at(x) }, false));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons || event.pointerType !== "mouse") return;
      const box = canvas.getBoundingClientRect();
      change({ block: at((event.clientX - box.left) / box.width) }, false);
    });
    kit.arrows(canvas, (dx, dy, event) => {
      const by = event.shiftKey ? 10 : 1;
      if (dy) change({ scale: s.scale - 0.05 * dy });
      else change({ block: dx === -Infinity ? first() : dx === Infinity ? s.depth : s.block + dx * by });
    });
  }

  // -- start
  s.block = clamp(s.block, first(), s.depth);
  sync();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(left.node.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(left.node);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  for (const name of KEYS) model.on(`change:${name}`, pull);
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, pull);
  };
}

export const kernels = {
  /** What the widget draws: settings {depth, scale, gain, norm}, data {W, x, v, n, d} as plain rows of numbers. */
  flow: (settings, data) => run(settings, { ...data, W: Float64Array.from(data.W) }),
  short, verdict, python,
};

export default { render };
