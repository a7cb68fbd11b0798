// Batches pass through one BatchNorm. Everything that is drawn follows from the settings and the number of batches seen:
// the whole history is computed anew whenever a setting changes, as if it had been so from the start.

const STEPS = 60, EVALUATIONS = 10, LARGEST = 64;
const BATCHES = [1, 2, 4, 8, 16, 32, 64];
const MOMENTA = [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, null]; // null: plain average of all batches
const EPSILONS = [1e-5, 1e-3, 1e-2, 0.1, 1];
const minus = (text) => String(text).replace(/-/g, "−");
const show = (x, digits = 3) => minus(x.toFixed(digits).replace(/^-(0\.?0*)$/, "$1"));

// ---- The arithmetic of nn.BatchNorm2d.

/** Mean, biased and unbiased variance of a batch of one channel. */
function moments(values) {
  let sum = 0, squares = 0;
  const count = values.length;
  for (const v of values) sum += v;
  const mean = sum / count;
  for (const v of values) squares += (v - mean) ** 2;
  return { mean, biased: squares / count, unbiased: squares / (count - 1), count };
}

/** Running mean and variance after each batch: [start, after batch 1, ...]. `batches` are moments, in order. */
function remember(batches, momentum) {
  const mean = [0], variance = [1];
  batches.forEach((batch, t) => {
    const part = momentum === null ? 1 / (t + 1) : momentum;
    mean.push(mean[t] + part * (batch.mean - mean[t]));
    variance.push(variance[t] + part * (batch.unbiased - variance[t]));
  });
  return { mean, variance };
}

function normalise(values, mean, variance, { eps, gamma, beta }) {
  const scale = gamma / Math.sqrt(variance + eps);
  return Float64Array.from(values, (v) => (v - mean) * scale + beta);
}

/** Values of one channel of the pictures `which` from an array (n, c, pixels). */
function gather(data, channels, pixels, channel, which, pooled) {
  const out = new Float64Array(which.length * (pooled ? 1 : pixels));
  which.forEach((picture, i) => {
    const from = (picture * channels + channel) * pixels;
    let sum = 0;
    for (let p = 0; p < pixels; p++) { const v = data[from + p]; sum += v; if (!pooled) out[i * pixels + p] = v; }
    if (pooled) out[i] = sum / pixels;
  });
  return out;
}

/** Shares of the values in `bins` equal bins from lo to hi; values beyond count in the last bin on their side. */
function histogram(values, bins, lo, hi) {
  const shares = new Float64Array(bins), scale = bins / (hi - lo);
  for (const v of values) shares[Math.min(Math.max(Math.floor((v - lo) * scale), 0), bins - 1)] += 1 / values.length;
  return shares;
}

// ---- The PyTorch that gives the same numbers.

function python(s, [, , c, h, w], names, own, layer = "stages.1.norm") {
  const k = s.batch, size = `${k} ${c} ${s.pooled ? "1 1" : `${h} ${w}`}`, pooled = s.pooled ? ".mean((2, 3), keepdim=True)" : "";
  const at = layer === "stages.1.norm" ? "" : `, "${layer}"`;
  const from = (name, given) => (own ? `${given}.double()${pooled}` : `stream("${name}"${at}).double()${pooled}`);
  const lines = ["import torch", "from torch import nn", "",
    `from dlnotes.widgets.batchnorm_streams import ${!own ? "order, stream" : layer ? "layer_inputs, order" : "order"}`, "",
    ...(own && layer ? ["# model, training, evaluation: what you passed; evaluation is training where you passed none",
      `training, evaluation = layer_inputs(model, "${layer}", training, evaluation)`] : []),
    `x = ${from("training", "training")}${own && !layer ? "   # what you passed" : ""}`, "which = order(len(x))",
    `bn = nn.BatchNorm2d(${c}, eps=${s.eps}, momentum=${s.momentum === null ? "None" : s.momentum}).double()`,
    `nn.init.constant_(bn.weight, ${s.gamma})`, `nn.init.constant_(bn.bias, ${s.beta})`, "", "try:",
    `    for t in range(${s.step}):`,
    `        batch = x[which[${k} * t:${k} * (t + 1)]]   # ${size}`, "        y = bn(batch)   # train mode"];
  if (s.mode === "eval") lines.push("    bn.eval()", `    z = ${from(names[s.source], "evaluation")}`,
    `    batch = z[order(len(z))[${k * (s.evaluated - 1)}:${k * s.evaluated}]]   # ${size}`, "    y = bn(batch)   # eval mode");
  lines.push(`    print("running:", bn.running_mean[${s.channel}].item(), bn.running_var[${s.channel}].item())`,
    `    print("y:", y[:, ${s.channel}].mean().item(), y[:, ${s.channel}].var(unbiased=False).item())`,
    "except ValueError as error:   # one value per channel", "    print(error)");
  return lines.join("\n");
}

// ---- The widget.

const PLOT = { left: 46, right: 10, top: 22, height: 116, bottom: 36 };
const PANEL = PLOT.top + PLOT.height + PLOT.bottom;
const BINS = 28, LAST = STEPS + EVALUATIONS + 1;

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "BatchNorm, batch by batch",
    hint: "Drag over the right-hand plots, or press the arrow keys there: left and right step through batches, up and down change "
      + "their size. A changed setting holds from the first batch on." });
  frame.root.classList.add("dln-batchnorm");
  const KEYS = ["batch", "momentum", "eps", "gamma", "beta", "mode", "step", "evaluated", "channel", "pooled", "source"];
  const s = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  let shape, train, sets, which, later, names, own, layer, all, now, ink, cw = 0;

  const canvas = (props) => kit.el("canvas", props);
  const before = canvas({ role: "img" });
  const curves = canvas({ tabindex: "0", role: "slider", "aria-label": "Batches seen" });
  const key = (style, text) => kit.el("span", { class: `dln-batchnorm-key dln-batchnorm-${style}`, text });
  const test = key("test", "evaluation batch"), outline = key("other", ""), legendLeft = kit.el("div", { class: "dln-batchnorm-note" });
  const legendRight = kit.el("div", { class: "dln-batchnorm-note" }, key("dot", "batch"), key("ring", "batch, unbiased (stored)"),
    key("running", "running"), key("all", "all training pictures"), test);
  const used = key("used", ""), target = key("target", "β and β ± γ");
  legendLeft.append(used, outline, target);
  const left = kit.el("div", { class: "dln-batchnorm-panel" }, before, legendLeft);
  const right = kit.el("div", { class: "dln-batchnorm-panel" }, curves, legendRight);
  frame.picture.append(kit.el("div", { class: "dln-batchnorm-grid" }, left, right));

  // -- state
  let saving, telling = false;
  const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);
  function change(next) {
    Object.assign(s, next);
    s.step = clamp(s.step, s.mode === "train" ? 1 : 0, STEPS);
    s.evaluated = clamp(s.evaluated, 1, EVALUATIONS);
    compute(); sync();
    telling = true;
    for (const key of KEYS) if (model.get(key) !== s[key]) model.set(key, s[key]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 200);
    paint();
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const key of KEYS) if (model.get(key) !== s[key]) next[key] = model.get(key);
    if (Object.keys(next).length) change(next);
  }
  function load() {
    shape = model.get("shape"); names = model.get("evaluations"); own = model.get("own"); layer = model.get("layer"); all = null;
    const [, m, c, h, w] = shape, unit = model.get("unit"), size = m * c * h * w;
    const real = (name) => Float64Array.from(kit.bytes(model, name, Int16Array), (v) => v * unit);
    train = real("training");
    const held = real("evaluation");
    sets = names.map((_, i) => held.subarray(i * size, (i + 1) * size));
    const orders = kit.bytes(model, "orders", Uint16Array);
    which = [...orders.subarray(0, STEPS * LARGEST)]; later = [...orders.subarray(STEPS * LARGEST)];
  }

  /** Everything about the chosen channel under the present settings. */
  function compute() {
    const [n, m, c, h, w] = shape, pixels = h * w, k = s.batch;
    const take = (data, list) => gather(data, c, pixels, s.channel, list, s.pooled);
    const trained = Array.from({ length: STEPS }, (_, t) => take(train, which.slice(k * t, k * (t + 1))));
    const tested = Array.from({ length: EVALUATIONS }, (_, t) => take(sets[s.source], later.slice(k * t, k * (t + 1))));
    const single = trained[0].length === 1;
    const batches = trained.map(moments), tests = tested.map(moments);
    const running = remember(single ? [] : batches, s.momentum);
    const seen = single ? 0 : s.step, failed = single && s.mode === "train";
    const population = moments(take(train, [...Array(n).keys()]));
    const values = s.mode === "train" ? trained[Math.max(s.step, 1) - 1] : tested[s.evaluated - 1];
    const batch = moments(values), memory = { mean: running.mean[seen], variance: running.variance[seen] };
    const own = { mean: batch.mean, variance: batch.biased };
    const [with_, other] = s.mode === "train" ? [own, memory] : [memory, own];
    const y = failed ? null : normalise(values, with_.mean, with_.variance, s);
    const comparable = values.length > 1;
    const ghost = failed || !comparable ? null : normalise(values, other.mean, other.variance, s);
    const range = all && all.key === `${s.channel} ${s.pooled}` ? all : extent(take, n, m);
    all = range;
    const spread = (list, name) => list.map((b) => b[name]).filter(Number.isFinite);
    const means = [0, ...spread(batches, "mean"), ...spread(tests, "mean")];
    const top = Math.max(1, ...spread(batches, single ? "biased" : "unbiased"), ...spread(tests, "biased"));
    now = { values, batch, memory, with_, y, ghost, running, batches, tests, population, single, seen, failed,
      means: [Math.min(...means), Math.max(...means)], top, count: values.length };
  }
  function extent(take, n, m) {
    const values = [take(train, [...Array(n).keys()]), ...sets.map((data) => take(data, [...Array(m).keys()]))]
      .flatMap((part) => [...part]).sort((a, b) => a - b);
    const at = (q) => values[Math.round(q * (values.length - 1))];
    const lo = at(0.003), hi = at(0.997), pad = 0.05 * (hi - lo) || 1;
    return { key: `${s.channel} ${s.pooled}`, lo: lo - pad, hi: hi + pad };
  }

  // -- controls
  const pick = (name) => (value) => change({ [name]: value });
  const listed = (label, name, list, format = String) => {
    const options = list.includes(s[name]) ? list : [...list, s[name]].sort((a, b) => (a === null) - (b === null) || a - b);
    const control = kit.slider({ label, min: 0, max: options.length - 1, value: options.indexOf(s[name]),
      format: (i) => format(options[i]), oninput: (i) => change({ [name]: options[i] }) });
    return { node: control.node, input: control.input, set(value) {
      if (!options.includes(value)) { options.push(value); options.sort((a, b) => (a === null) - (b === null) || a - b);
        control.range(0, options.length - 1); }
      control.set(options.indexOf(value));
    } };
  };
  const knob = (label, name, min, max, step) => kit.slider({ label, min, max, step, value: s[name],
    format: (v) => minus(v), oninput: pick(name) });
  load();
  const mode = kit.choice({ label: "Mode", value: s.mode, onchange: pick("mode"), options: [["train", "train()"], ["eval", "eval()"]] });
  const next = kit.button({ label: "Next batch", onclick: () => forward(1) });
  const step = knob("Training batches", "step", 0, STEPS, 1);
  const batch = listed("Batch size", "batch", BATCHES);
  const momentum = listed("momentum", "momentum", MOMENTA, (v) => (v === null ? "None" : String(v)));
  const eps = listed("eps", "eps", EPSILONS, (v) => minus(v.toExponential(0)));
  const gamma = knob("γ (weight)", "gamma", 0, 3, 0.1), beta = knob("β (bias)", "beta", -3, 3, 0.1);
  const channels = () => kit.choice({ label: "Channel", value: String(s.channel), onchange: (v) => change({ channel: +v }),
    options: Array.from({ length: shape[2] }, (_, i) => [String(i), String(i)]) });
  let channel = channels();
  const pooled = kit.toggle({ label: "one value a picture (pooled)", value: s.pooled, onchange: pick("pooled") });
  const source = kit.choice({ label: "Evaluate on", value: String(s.source), onchange: (v) => change({ source: +v, mode: "eval" }),
    options: names.map((name, i) => [String(i), name]) });
  frame.controls.append(mode.node, next, step.node, batch.node, momentum.node, ...(names.length > 1 ? [source.node] : []),
    ...(shape[3] * shape[4] > 1 ? [pooled.node] : []), ...(shape[2] > 1 ? [channel.node] : []), gamma.node, beta.node, eps.node);
  function sync() {
    mode.set(s.mode); step.range(s.mode === "train" ? 1 : 0, STEPS); step.set(s.step); batch.set(s.batch); momentum.set(s.momentum);
    eps.set(s.eps); gamma.set(s.gamma); beta.set(s.beta); channel.set(String(s.channel)); pooled.set(s.pooled);
    source.set(String(s.source));
    next.disabled = s.mode === "train" ? s.step === STEPS : s.evaluated === EVALUATIONS;
  }
  const forward = (by) => change(s.mode === "train" ? { step: s.step + by } : { evaluated: s.evaluated + by });

  // -- drawing
  const FONT = getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif";
  const width = () => cw - PLOT.left - PLOT.right;
  function inks() {
    const roles = ["ink", "muted", "line", "paper", "panel", "reader", "network", "network-soft"];
    ink = Object.fromEntries(roles.map((role) => [role, kit.color(frame.root, role)]));
  }
  function ticks(lo, hi, most) {
    const raw = (hi - lo) / most, power = 10 ** Math.floor(Math.log10(raw));
    const size = [1, 2, 5, 10].find((f) => f * power >= raw) * power;
    const out = [];
    for (let t = Math.ceil(lo / size - 1e-9) * size; t <= hi + 1e-9; t += size) out.push(+t.toFixed(6));
    return out;
  }
  /** One plot in a canvas, its top edge at `y0`; returns the maps from values to pixels. */
  function plot(g, y0, { title, xlabel, ylabel, x: [xlo, xhi], y: [ylo, yhi], xs, ys }) {
    const w = width(), x0 = PLOT.left, top = y0 + PLOT.top, X = (v) => x0 + ((v - xlo) / (xhi - xlo)) * w;
    const Y = (v) => top + PLOT.height * (1 - (v - ylo) / (yhi - ylo));
    g.fillStyle = ink.paper; g.fillRect(x0, top, w, PLOT.height);
    g.strokeStyle = ink.line; g.lineWidth = 1; g.beginPath();
    for (const t of ys) { const p = Math.round(Y(t)) + 0.5; g.moveTo(x0, p); g.lineTo(x0 + w, p); }
    g.stroke();
    g.font = "600 13px " + FONT; g.fillStyle = ink.ink; g.textAlign = "left"; g.textBaseline = "top"; g.fillText(title, x0, y0 + 3);
    g.font = "12px " + FONT; g.fillStyle = ink.muted; g.textAlign = "center";
    xs.forEach((t) => g.fillText(minus(t), X(t), top + PLOT.height + 4));
    g.fillText(xlabel, x0 + w / 2, top + PLOT.height + 18);
    g.textAlign = "right"; g.textBaseline = "middle";
    ys.forEach((t) => g.fillText(minus(t), x0 - 5, Y(t)));
    g.save(); g.translate(8, top + PLOT.height / 2); g.rotate(-Math.PI / 2); g.textAlign = "center"; g.fillText(ylabel, 0, 0); g.restore();
    return { X, Y, top, x0, w };
  }
  function sheet(canvas, height) {
    const g = kit.fit(canvas, cw, height);
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, height);
    return g;
  }
  const inside = (g, at, draw) => {
    g.save(); g.beginPath(); g.rect(at.x0, at.top, at.w, PLOT.height); g.clip(); draw(); g.restore();
  };
  const upright = (g, at, x, color, dash, wide = 2) => {
    g.setLineDash(dash); g.strokeStyle = color; g.lineWidth = wide;
    g.beginPath(); g.moveTo(at.X(x), at.top); g.lineTo(at.X(x), at.top + PLOT.height); g.stroke(); g.setLineDash([]);
  };
  const ceiling = (shares) => [0.2, 0.4, 0.6, 1].find((top) => Math.max(...shares) <= top + 1e-9) || 1;

  function bars(g, at, shares, lo, hi) {
    const cell = (hi - lo) / BINS;
    g.fillStyle = ink.network;
    shares.forEach((share, i) => {
      if (share) g.fillRect(at.X(lo + i * cell), at.Y(share), Math.max(at.w / BINS - 1, 1), at.Y(0) - at.Y(share));
    });
  }
  function drawHistograms() {
    const g = sheet(before, 2 * PANEL), { lo, hi } = all, { with_, values, y, ghost } = now;
    const shares = histogram(values, BINS, lo, hi), top = ceiling(shares);
    const percent = (t) => [0, t / 2, t].map((v) => Math.round(v * 100));
    const words = (n) => `${n} value${n > 1 ? "s" : ""}`;
    const up = plot(g, 0, { title: `Before: x, ${words(now.count)}`, xlabel: "value of x", ylabel: "% of values", x: [lo, hi],
      y: [0, 100 * top], xs: ticks(lo, hi, 6), ys: percent(top) });
    inside(g, up, () => {
      const sd = Math.sqrt(with_.variance);
      if (!now.failed) {
        g.fillStyle = ink["network-soft"];
        g.fillRect(up.X(with_.mean - sd), up.top, up.X(with_.mean + sd) - up.X(with_.mean - sd), PLOT.height);
      }
      bars(g, up, shares.map((v) => 100 * v), lo, hi);
      if (!now.failed) upright(g, up, with_.mean, ink.ink, s.mode === "train" ? [] : [6, 4]);
    });
    const reach = Math.max(4, Math.ceil(Math.abs(s.beta) + 3 * s.gamma) + 1);
    const after = y ? histogram(y, BINS, -reach, reach) : new Float64Array(BINS);
    const others = ghost ? histogram(ghost, BINS, -reach, reach) : after, tall = y ? ceiling([...after, ...others]) : 1;
    const down = plot(g, PANEL, { title: "After: y", xlabel: "value of y", ylabel: "% of values", x: [-reach, reach], y: [0, 100 * tall],
      xs: ticks(-reach, reach, 8), ys: percent(tall) });
    inside(g, down, () => {
      if (!y) {
        g.fillStyle = ink.ink; g.font = "14px " + FONT; g.textAlign = "center"; g.textBaseline = "middle";
        g.fillText("ValueError: no output", down.x0 + down.w / 2, down.top + PLOT.height / 4);
        return;
      }
      bars(g, down, after.map((v) => 100 * v), -reach, reach);
      if (ghost) {
        const cell = (2 * reach) / BINS;
        g.strokeStyle = ink.ink; g.lineWidth = 1.5; g.beginPath(); g.moveTo(down.X(-reach), down.Y(0));
        others.forEach((share, i) => { g.lineTo(down.X(i * cell - reach), down.Y(100 * share));
          g.lineTo(down.X((i + 1) * cell - reach), down.Y(100 * share)); });
        g.stroke();
      }
      for (const at of [s.beta - s.gamma, s.beta + s.gamma]) upright(g, down, at, ink.reader, [2, 4], 2);
      upright(g, down, s.beta, ink.reader, [], 2);
    });
  }

  function drawCurves() {
    const g = sheet(curves, 2 * PANEL), { batches, tests, running, population, seen } = now;
    const pad = 0.08 * (now.means[1] - now.means[0] || 1);
    const rows = [
      { title: "Mean", range: [now.means[0] - pad, now.means[1] + pad], of: "mean", line: running.mean, whole: population.mean },
      { title: "Variance", range: [0, now.top * 1.06], of: "biased", line: running.variance, whole: population.biased }];
    rows.forEach((row, i) => {
      const at = plot(g, i * PANEL, { title: row.title, xlabel: "training batches seen, then evaluation", ylabel: row.title.toLowerCase(),
        x: [0, LAST], y: row.range, xs: [0, 20, 40, 60], ys: ticks(...row.range, 4) });
      inside(g, at, () => {
        g.setLineDash([5, 4]); g.strokeStyle = ink.muted; g.lineWidth = 1.5; g.beginPath();
        g.moveTo(at.x0, at.Y(row.whole)); g.lineTo(at.x0 + at.w, at.Y(row.whole)); g.stroke(); g.setLineDash([]);
        const dot = (x, y, r, fill, stroke) => {
          g.beginPath(); g.arc(at.X(x), at.Y(y), r, 0, 2 * Math.PI);
          if (fill) { g.fillStyle = fill; g.fill(); }
          if (stroke) { g.strokeStyle = stroke; g.lineWidth = 1.3; g.stroke(); }
        };
        for (let t = 0; t < seen; t++) {
          if (i) dot(t + 1, batches[t].unbiased, 4, null, ink.network);
          dot(t + 1, batches[t][row.of], 2.4, ink.network);
        }
        g.strokeStyle = ink.ink; g.lineWidth = 2; g.lineJoin = "round"; g.beginPath();
        for (let t = 0; t <= seen; t++) g.lineTo(at.X(t), at.Y(row.line[t]));
        if (s.mode === "eval") g.lineTo(at.X(seen + s.evaluated), at.Y(row.line[seen]));
        g.stroke();
        if (s.mode === "eval") for (let t = 0; t < s.evaluated; t++) {
          const x = at.X(seen + t + 1), y = at.Y(tests[t][row.of]);
          g.fillStyle = ink.network; g.fillRect(x - 3, y - 3, 6, 6);
        }
        upright(g, at, position(), ink.reader, [], 2);
      });
      g.fillStyle = ink.reader; g.beginPath(); g.arc(at.X(position()), at.top, 6, 0, 2 * Math.PI); g.fill();
    });
  }
  const position = () => (now.single && s.mode === "train" ? s.step : now.seen + (s.mode === "eval" ? s.evaluated : 0));

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  function write() {
    const [, , c, h, w] = shape, { batch: b, memory, count } = now, train_ = s.mode === "train";
    put(used, `mean ± standard deviation used: ${train_ ? "batch" : "running"}`);
    put(outline, `same batch in ${train_ ? "eval()" : "train()"}`);
    outline.hidden = !now.ghost; used.hidden = now.failed; test.hidden = train_;
    const map = s.pooled ? 1 : h * w;
    const where = train_ ? `training batch ${s.step}`
      : `evaluation batch ${s.evaluated} (${names[s.source]}) after ${now.seen} training batches`;
    const lines = [`${s.mode}(), ${layer ? `in front of ${layer}, ` : ""}channel ${s.channel}, ${where}: ${s.batch} × ${map} = ${count} value${count > 1 ? "s" : ""}`];
    if (now.failed) {
      lines.push(`ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, ${c}, 1, 1])`,
        "A single value is its own mean: nothing would be left of it.");
    } else {
      const mark = (on) => (on ? "*" : "");
      const unbiased = count > 1 ? `, unbiased ${show(b.unbiased)}` : "";
      lines.push(`mean: batch ${show(b.mean)}${mark(train_)}, running ${show(memory.mean)}${mark(!train_)}`,
        `variance: batch ${show(b.biased)}${mark(train_)}${unbiased}, running ${show(memory.variance)}${mark(!train_)}   (* used now)`);
      const out = moments(now.y), other = now.ghost && moments(now.ghost);
      lines.push(`y: mean ${show(out.mean)}, variance ${show(out.biased)}`
        + (other ? `; in ${train_ ? "eval()" : "train()"}: mean ${show(other.mean)}, variance ${show(other.biased)}` : ""));
    }
    frame.say(lines.join("\n"));
    frame.code(python({ ...s, step: now.single && !train_ ? 0 : s.step }, shape, names, own, layer));
    const at = position();
    for (const [name, value] of [["min", 0], ["max", STEPS + EVALUATIONS], ["now", at], ["text", lines[0]]]) {
      curves.setAttribute(`aria-value${name}`, value);
    }
    before.setAttribute("aria-label", `Histograms of the batch before and after BatchNorm. ${lines.slice(1).join(". ")}`);
  }

  const paint = kit.painter(() => {
    if (cw < 120) return;
    if (!ink) inks();
    drawHistograms(); drawCurves(); write();
  });

  // -- input
  kit.arrows(curves, (dx, dy, event) => {
    if (dy) change({ batch: BATCHES[clamp(BATCHES.indexOf(s.batch) - dy, 0, BATCHES.length - 1)] });
    else if (Math.abs(dx) === Infinity) change(s.mode === "train" ? { step: dx < 0 ? 1 : STEPS } : { evaluated: dx < 0 ? 1 : EVALUATIONS });
    else forward(dx * (event.shiftKey ? 10 : 1));
  });
  kit.drag(curves, (x) => {
    const at = Math.round(((x * cw - PLOT.left) / width()) * LAST);
    if (s.mode === "train") change({ step: at });
    else if (!now.single && at <= now.seen - 1) change({ step: at });
    else change({ evaluated: at - now.seen });
  });

  compute(); sync();
  const resize = new ResizeObserver(() => {
    const wide = Math.floor(right.clientWidth);
    if (wide && wide !== cw) { cw = wide; paint(); }
  });
  resize.observe(right);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  for (const key of KEYS) model.on(`change:${key}`, pull);
  /** A kernel sent what arrives at another layer. */
  function reload() {
    s.channel = model.get("channel");
    load();
    const fresh = channels();
    channel.node.replaceWith(fresh.node);
    channel = fresh;
    change({});
  }
  model.on("change:revision", reload);
  if (model.get("layers").length > 1) kit.live(model, () => frame.controls.append(kit.el("div", { class: "dln-live" },
    kit.select({ label: "Layer", value: layer, options: model.get("layers").map((name) => [name, name]),
      onchange: (name) => model.send({ type: "layer", name }) }).node)));
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const key of KEYS) model.off(`change:${key}`, pull);
    model.off("change:revision", reload);
  };
}

export const kernels = {
  moments, remember, histogram, gather, python,
  normalise: (values, mean, variance, settings) => normalise(values, mean, variance, settings),
  /** Running mean and variance of one channel after each batch, from all pictures and their order. */
  run(data, channels, pixels, channel, which, { batch, momentum, steps, pooled }) {
    const batches = Array.from({ length: steps }, (_, t) =>
      moments(gather(data, channels, pixels, channel, which.slice(batch * t, batch * (t + 1)), pooled)));
    return { ...remember(batches, momentum), batches };
  },
};

export default { render };
