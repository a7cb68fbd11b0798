// A DataLoader and the loop that it feeds, simulated batch by batch with the rules of torch.utils.data (see loader.py).

// ---- The simulation.

/** Uniform numbers in (0, 1): T. Ettinger's mulberry32, as in loader.py. */
function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

function simulate(s, batches, seed) {
  const draw = numbers(seed), ahead = s.prefetch * s.workers;
  const compute = s.transform * Math.max(1, s.workers / s.cores), free = new Array(s.workers).fill(s.startup);
  const trace = { worker: [], start: [], done: [], wait: [], take: [], end: [] };
  let now = 0;
  for (let k = 0; k < batches; k++) {
    let cost = 0;
    for (let i = 0; i < s.batch; i++) cost += s.load * (1 - s.jitter - s.jitter * Math.log(draw())) + compute;
    const wait = now, w = s.workers ? k % s.workers : -1;
    let start = now, take = now + cost, done = take;
    if (s.workers) {
      start = Math.max(free[w], k < ahead ? 0 : trace.take[k - ahead]);
      free[w] = done = start + cost;
      take = Math.max(now, done) + s.handover;
    }
    now = take + s.step;
    const row = { worker: w, start, done, wait, take, end: now };
    for (const key in row) trace[key].push(row[key]);
  }
  return trace;
}

function totals(t, batch) {
  const n = t.end.length, end = t.end[n - 1], later = end - t.end[0];
  const waits = t.take.map((take, k) => take - t.wait[k]), all = waits.reduce((a, b) => a + b, 0);
  return { throughput: (1000 * batch * n) / end, waiting: all / end, steady: later > 0 ? (all - waits[0]) / later : 0 };
}

/** Batches that are made and not yet taken, as [time, count] steps. */
function queue(t) {
  const events = [...t.done.map((x) => [x, 1]), ...t.take.map((x) => [x, -1])].sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  const steps = [[0, 0]];
  let count = 0;
  for (const [x, by] of events) steps.push([x, (count += by)]);
  return steps;
}

/** What limits the simulated loop once it runs, and how many workers would keep the step busy. */
function bottleneck(s) {
  const compute = s.transform * Math.max(1, s.workers / s.cores), make = s.batch * (s.load + compute);
  if (!s.workers) return { make, limit: "one process", need: Math.ceil(make / (s.step + s.handover || 1e-9)) };
  const supply = make / s.workers, demand = s.step + s.handover;
  let need = 0; // the fewest that are enough, with the cores shared
  for (let w = 1; w <= 64 && !need; w++) {
    if ((s.batch * (s.load + s.transform * Math.max(1, w / s.cores))) / w <= demand) need = w;
  }
  return { make, limit: supply > demand ? "loader" : "step", need };
}

const trim = (x) => String(+x.toFixed(x < 10 ? 1 : 0));
const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)}\u00a0%`;

function python(s, batches, seed) {
  const timed = s.workers ? `, num_workers=${s.workers}, prefetch_factor=${s.prefetch}` : "";
  return [
    "import time",
    "import torch",
    "from torch.utils.data import DataLoader, Dataset",
    "",
    "",
    "class Samples(Dataset):",
    "    def __len__(self):",
    `        return ${batches * s.batch}`,
    "",
    "    def __getitem__(self, index):",
    `        noise = torch.empty(1).exponential_(generator=torch.Generator().manual_seed(${seed} + index)).item()`,
    `        time.sleep(${+(s.load / 1000).toFixed(6)} * (1 - ${s.jitter} + ${s.jitter} * noise))  # a file: waiting`,
    `        until = time.perf_counter() + ${+(s.transform / 1000).toFixed(6)}`,
    "        while time.perf_counter() < until:  # a transform: computing",
    "            pass",
    "        return torch.zeros(3, 64, 64)  # c h w",
    "",
    "",
    'if __name__ == "__main__":',
    `    loader = DataLoader(Samples(), batch_size=${s.batch}${timed})`,
    "    waiting, begin = 0.0, time.perf_counter()",
    "    end = begin",
    "    for x in loader:  # b c h w",
    "        waiting += time.perf_counter() - end",
    `        time.sleep(${+(s.step / 1000).toFixed(6)})  # your training step`,
    "        end = time.perf_counter()",
    "    total = end - begin",
    '    print(f"{len(loader.dataset) / total:.0f} samples/s, waiting {waiting / total:.0%}")',
  ].join("\n");
}

// ---- The widget.

const NAMES = ["workers", "prefetch", "batch", "cores", "load", "jitter", "transform", "step", "handover", "startup"];
const LABELS = { workers: "workers", prefetch: "prefetch factor", batch: "batch, samples", cores: "CPU cores",
  load: "load, ms/sample", jitter: "jitter of load", transform: "transform, ms/sample", step: "training step, ms",
  handover: "hand-over, ms/batch", startup: "start-up, ms" };
const STEPS = { load: 0.5, transform: 0.5, jitter: 0.05, step: 1, handover: 0.5, startup: 10 };
const LEFT = 68, RIGHT = 8, ROW = 24, QUEUE = 46, AXIS = 34;

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Loader timeline",
    hint: "Left and right arrow keys, or a press on the picture, choose a batch; up and down change the number of workers." });
  frame.root.classList.add("dln-loader");
  const s = {}, limits = model.get("limits");
  let view, runs, trace, chosen = 5, width = 0, ink = null;
  const pull = () => { for (const name of NAMES) s[name] = model.get(name); view = model.get("view"); runs = model.get("runs"); };
  pull();
  const run = () => runs.find((r) => r.name === view);
  const batchSize = () => (run() ? run().batch : s.batch);

  const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Chosen batch" });
  const key = (style, text) => kit.el("span", { class: `dln-loader-key dln-loader-${style}`, text });
  const legend = kit.el("div", { class: "dln-loader-legend" }, key("make", "a worker makes a batch"),
    key("step", "training step"), key("wait", "the loop waits"), key("queue", "batches ready and not taken"));
  frame.picture.append(legend, canvas);

  let saving, telling = false;
  function change(next) {
    Object.assign(s, next);
    if (!("view" in next)) view = "simulated";
    else view = next.view;
    telling = true;
    for (const name of NAMES) if (model.get(name) !== s[name]) model.set(name, s[name]);
    if (model.get("view") !== view) model.set("view", view);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    sync(); paint();
  }
  const knobs = {};
  for (const name of NAMES) {
    const [min, max, whole] = limits[name];
    knobs[name] = kit.slider({ label: LABELS[name], min, max, step: whole ? 1 : STEPS[name], value: s[name],
      format: (v) => String(+v.toFixed(2)), oninput: (v) => change({ [name]: v }) });
  }
  const pickView = kit.el("div", { class: "dln-loader-view" });
  let viewSelect;
  function offer() {
    viewSelect = kit.select({ label: "Timeline", value: view, onchange: (v) => change({ view: v }),
      options: [["simulated", "simulated, from the sliders"], ...runs.map((r) => [r.name, `recorded: ${r.name}`])] });
    pickView.replaceChildren(viewSelect.node);
  }
  offer();
  frame.controls.append(pickView, kit.el("div", { class: "dln-loader-knobs" }, ...NAMES.map((name) => knobs[name].node)));
  function sync() {
    for (const name of NAMES) knobs[name].set(s[name]);
    viewSelect.set(view);
    knobs.prefetch.input.disabled = knobs.startup.input.disabled = knobs.handover.input.disabled = !s.workers;
  }

  function inks() {
    ink = {};
    for (const role of ["ink", "muted", "line", "paper", "reader", "reader-soft", "network"]) ink[role] = kit.color(frame.root, role);
  }
  const rows = () => [...new Set(trace.worker)].sort((a, b) => a - b);
  const place = (t) => LEFT + (t / trace.end[trace.end.length - 1]) * (width - LEFT - RIGHT);

  function tick(span) {
    const raw = span / Math.max(2, Math.floor((width - LEFT) / 80)), power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= raw);
  }

  function draw() {
    if (width < 120) return;
    if (!ink) inks();
    trace = run() ? run().trace : simulate(s, model.get("batches"), model.get("seed"));
    chosen = Math.min(Math.max(chosen, 0), trace.end.length - 1);
    const who = rows(), loop = who.length * ROW + 6 + QUEUE, height = loop + ROW + AXIS;
    const g = kit.fit(canvas, width, height);
    g.clearRect(0, 0, width, height);
    g.fillStyle = ink.paper;
    g.fillRect(LEFT, 0, width - LEFT - RIGHT, loop + ROW);
    g.font = "12px system-ui, sans-serif";
    g.textBaseline = "middle";
    const name = (text, y) => { g.fillStyle = ink.ink; g.textAlign = "right"; g.fillText(text, LEFT - 6, y); };
    // the axis
    const span = trace.end[trace.end.length - 1], step = tick(span);
    g.strokeStyle = ink.line; g.fillStyle = ink.muted; g.lineWidth = 1; g.textAlign = "center";
    for (let t = 0; t <= span; t += step) {
      const x = Math.round(place(t)) + 0.5;
      g.beginPath(); g.moveTo(x, 0); g.lineTo(x, loop + ROW + 4); g.stroke();
      if (x < width - 14) g.fillText(String(Math.round(t)), x, loop + ROW + 12);
    }
    g.textAlign = "left";
    g.fillText("time, ms", LEFT, loop + ROW + 26);
    // workers
    const bar = (from, to, y, h, fill, line, text) => {
      const x = place(from), w = Math.max(place(to) - x, 1);
      g.fillStyle = fill;
      g.fillRect(x, y, w, h);
      if (line) { g.strokeStyle = line; g.lineWidth = 1; g.strokeRect(x + 0.5, y + 0.5, Math.max(w - 1, 0), h - 1); }
      if (text && w > 7 * text.length + 6) { g.fillStyle = ink.ink; g.textAlign = "center"; g.fillText(text, x + w / 2, y + h / 2 + 1); }
    };
    who.forEach((w, i) => name(w < 0 ? "loading" : `worker ${w}`, i * ROW + ROW / 2));
    for (let k = 0; k < trace.end.length; k++) {
      const y = who.indexOf(trace.worker[k]) * ROW;
      bar(trace.start[k], trace.done[k], y + 3, ROW - 6, ink["reader-soft"], ink.reader, String(k));
    }
    // what lies ready
    const steps = queue(trace), most = Math.max(1, ...steps.map((p) => p[1])), base = loop - 8, tall = QUEUE - 18;
    name("ready", base - tall / 2);
    g.beginPath(); g.moveTo(place(0), base);
    let last = 0;
    for (const [t, count] of steps) {
      g.lineTo(place(t), base - (tall * last) / most); g.lineTo(place(t), base - (tall * count) / most); last = count;
    }
    g.lineTo(place(span), base - (tall * last) / most); g.lineTo(place(span), base); g.closePath();
    g.fillStyle = ink.line; g.fill();
    g.strokeStyle = ink.muted; g.lineWidth = 1; g.stroke();
    g.fillStyle = ink.muted; g.textAlign = "right"; g.fillText(`${most}`, LEFT - 6, base - tall - 4);
    // the loop
    name("step", loop + ROW / 2);
    for (let k = 0; k < trace.end.length; k++) {
      const x = place(trace.wait[k]), w = place(trace.take[k]) - x;
      if (w > 0.4) {
        g.save(); g.beginPath(); g.rect(x, loop + 3, w, ROW - 6); g.clip();
        g.strokeStyle = ink.muted; g.lineWidth = 1; g.beginPath();
        for (let d = -ROW; d < w; d += 5) { g.moveTo(x + d, loop + ROW); g.lineTo(x + d + ROW, loop); }
        g.stroke(); g.restore();
      }
      bar(trace.take[k], trace.end[k], loop + 3, ROW - 6, ink.network);
    }
    // the chosen batch
    const k = chosen, y = who.indexOf(trace.worker[k]) * ROW;
    g.strokeStyle = ink.ink; g.lineWidth = 2.5;
    const frameOf = (from, to, top) => g.strokeRect(place(from), top + 2, Math.max(place(to) - place(from), 2), ROW - 4);
    frameOf(trace.start[k], trace.done[k], y);
    frameOf(trace.take[k], trace.end[k], loop);
    g.lineWidth = 1; g.setLineDash([3, 3]);
    g.beginPath(); g.moveTo(place(trace.done[k]), y + ROW - 2); g.lineTo(place(trace.done[k]), base - tall);
    g.lineTo(place(trace.take[k]), base); g.lineTo(place(trace.take[k]), loop + 2); g.stroke(); g.setLineDash([]);
    write();
  }

  function write() {
    const t = totals(trace, batchSize()), recorded = run(), k = chosen, r = recorded;
    const lines = [`${recorded ? `recorded (${r.note})` : "simulated"}: ${t.throughput.toFixed(0)} samples/s, `
      + `waiting ${percent(t.waiting)} of the time, ${percent(t.steady)} after the first batch`];
    if (recorded) lines.push(`${r.trace.end.length} batches of ${r.batch}; after the first batch `
      + (t.steady > 0.1 ? "the loader is the bottleneck" : "the training step is the bottleneck"));
    else {
      const b = bottleneck(s), one = `one batch takes ${trim(b.make)} ms to make, ${trim(s.step + (s.workers ? s.handover : 0))} ms to use`;
      const enough = !b.need ? "no number of workers keeps the step busy"
        : `${b.need} worker${b.need > 1 ? "s" : ""} would keep the step busy`;
      lines.push(b.limit === "one process" ? `bottleneck: one process does both in turn; ${one}`
        : b.limit === "loader" ? `bottleneck: the loader; ${one}; ${enough}`
          : `bottleneck: the training step; ${one}; more workers change nothing`);
    }
    const made = trace.worker[k] < 0 ? "made" : `made by worker ${trace.worker[k]}`;
    const ready = Math.max(trace.take[k] - trace.done[k], 0), waited = trace.take[k] - trace.wait[k];
    lines.push(`batch ${k}: ${made} from ${trim(trace.start[k])} to ${trim(trace.done[k])} ms, used from ${trim(trace.take[k])} to `
      + `${trim(trace.end[k])} ms; it was ready ${trim(ready)} ms before, the loop waited ${trim(waited)} ms for it`);
    frame.say(lines.join("\n"));
    frame.code(python(s, model.get("batches"), model.get("seed")));
    const attributes = { valuemin: 0, valuemax: trace.end.length - 1, valuenow: k, valuetext: lines[2] };
    for (const [attribute, value] of Object.entries(attributes)) canvas.setAttribute(`aria-${attribute}`, value);
  }
  const paint = kit.painter(draw);

  kit.drag(canvas, (x, y) => {
    const px = x * width, py = y * canvas.clientHeight, who = rows(), row = Math.floor(py / ROW);
    const middle = (k) => (row < who.length && trace.worker[k] === who[row] ? (trace.start[k] + trace.done[k]) / 2
      : row < who.length ? Infinity : (trace.take[k] + trace.end[k]) / 2);
    let best = chosen, near = Infinity;
    for (let k = 0; k < trace.end.length; k++) {
      const d = Math.abs(place(middle(k)) - px);
      if (d < near) { near = d; best = k; }
    }
    chosen = best;
    paint();
  });
  kit.arrows(canvas, (dx, dy) => {
    if (dy) change({ workers: Math.min(Math.max(s.workers - dy, limits.workers[0]), limits.workers[1]) });
    else {
      chosen = Math.min(Math.max(chosen + dx, 0), trace.end.length - 1);
      paint();
    }
  });

  sync();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(frame.picture.clientWidth);
    if (next && next !== width) { width = next; paint(); }
  });
  resize.observe(frame.picture);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const again = () => { if (telling) return; pull(); offer(); sync(); paint(); };
  const watched = [...NAMES, "view", "runs"];
  for (const name of watched) model.on(`change:${name}`, again);
  kit.live(model, () => {
    frame.controls.append(kit.el("div", { class: "dln-live" }, kit.button({ label: "Measure this machine",
      onclick: () => { model.save_changes(); model.send({ type: "measure" }); } })));
  });
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of watched) model.off(`change:${name}`, again);
  };
}

export const kernels = { numbers: (seed, n) => Array.from({ length: n }, numbers(seed)), simulate, totals, queue, bottleneck, python };

export default { render };
