// Memory at the peak of a training step against a budget; numbers from the table that dlnotes.memory.predict made (memory.py).

const PARTS = ["weights", "gradients", "optimizer state", "activations", "temporary"];
const MOST = 1024, GIB = 2 ** 20; // the table counts KiB
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const keyOf = (s) => `${s.model} ${s.size} ${s.optimizer} ${+s.autocast} ${+s.checkpointing}`;

/** KiB of the five parts on straight lines between (and beyond) the batches of the table; see lookup in memory.py. */
function lookup(table, batches, s, batch = s.batch) {
  const rows = table[keyOf(s)], last = batches.length - 2;
  const line = (k) => {
    const t = (batch - batches[k]) / (batches[k + 1] - batches[k]);
    return rows[k].map((a, i) => (1 - t) * a + t * rows[k + 1][i]);
  };
  let k = 0;
  while (k < last && batch >= batches[k + 1]) k++;
  if (batch === batches[k] || k === 0 || k === last) return line(k);
  const left = line(k - 1), right = line(k + 1); // the peak moves from one line to the other in between
  return sum(left) >= sum(right) ? left : right;
}

/** The largest batch whose peak is within the budget (GiB); 0 if none is. */
function largest(table, batches, s) {
  let low = 0, high = MOST + 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sum(lookup(table, batches, s, middle)) <= s.budget * GIB) low = middle; else high = middle;
  }
  return low;
}

/** What else could be done, with the peak that it leads to, best first: [words, KiB]. */
function remedies(table, batches, s) {
  const now = sum(lookup(table, batches, s)), found = [];
  const add = (words, change) => found.push([words, sum(lookup(table, batches, { ...s, ...change }))]);
  if (!s.autocast) add("mixed precision", { autocast: true });
  if (!s.checkpointing) add("checkpointing", { checkpointing: true });
  if (s.optimizer !== "sgd") add("plain SGD", { optimizer: "sgd" });
  if (s.batch > 1) { // all gradients are there from the start, as in every batch of an update but the first
    const half = lookup(table, batches, s, Math.ceil(s.batch / 2)), weights = gradientSize(table, batches, s);
    found.push(["half the batch, twice", sum(half) + Math.max(weights - half[1], 0)]);
  }
  return found.filter(([, kib]) => kib < now).sort((a, b) => a[1] - b[1]);
}

/** KiB of a whole set of gradients: as much as the weights that learn, which is half of AdamW's state. */
function gradientSize(table, batches, s) {
  return table[keyOf({ ...s, optimizer: "adamw" })][0][2] / 2;
}

function python(s, blocks) {
  const build = s.model.startsWith("vit") ? `create("${s.model}", image_size=${s.size})` : `create("${s.model}")`;
  const extra = [s.autocast ? ", autocast=torch.float16" : "", s.checkpointing ? `,\n                 checkpointing=[${blocks.map((b) => `"${b}"`).join(", ")}]` : ""];
  return ["import torch", "", "from dlnotes.memory import predict", "from dlnotes.models import create", "",
    'with torch.device("meta"):  # weights without numbers', `    model = ${build}`,
    `memory = predict(model, (3, ${s.size}, ${s.size}), batch_size=${s.batch}, optimizer="${s.optimizer}",`,
    `                 device="cuda"${extra[0]}${extra[1]})`, "print(memory)",
    `print(f"{memory.total / 2**30:.2f} GiB of ${s.budget}")`].join("\n");
}

const gib = (kib) => `${(kib / GIB).toFixed(2)} GiB`;

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Memory planner",
    hint: "One training step on a GPU, at its most crowded moment. Arrow keys on the picture: left and right change the batch, up and down the budget." });
  frame.root.classList.add("dln-memory");
  const NAMES = ["model", "size", "batch", "optimizer", "autocast", "checkpointing", "budget"];
  const table = model.get("table"), batches = model.get("batches"), sizes = model.get("sizes"), blocks = model.get("blocks");
  const s = {};
  const pull = () => { for (const name of NAMES) s[name] = model.get(name); };
  pull();
  let width = 0;

  const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Batch, and the memory that it takes", "aria-valuemin": 1, "aria-valuemax": model.get("shown") });
  const legend = kit.el("div", { class: "dln-memory-legend" },
    ...PARTS.map((name, i) => kit.el("span", { class: `dln-memory-key dln-memory-${i}`, text: name })),
    kit.el("span", { class: "dln-memory-key dln-memory-budget", text: "budget" }));
  frame.picture.append(legend, canvas);

  let saving, telling = false;
  function change(next) {
    Object.assign(s, next);
    if (!sizes[s.model].includes(s.size)) s.size = sizes[s.model][0];
    telling = true;
    for (const name of NAMES) if (model.get(name) !== s[name]) model.set(name, s[name]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    sync(); paint();
  }
  const pick = {
    model: kit.select({ label: "Network", value: s.model, options: Object.keys(sizes).map((name) => [name, name]), onchange: (v) => change({ model: v }) }),
    batch: kit.slider({ label: "Batch", min: 1, max: model.get("shown"), value: s.batch, oninput: (v) => change({ batch: v }) }),
    optimizer: kit.choice({ label: "Optimizer", value: s.optimizer, options: [["sgd", "SGD"], ["momentum", "momentum"], ["adamw", "AdamW"]], onchange: (v) => change({ optimizer: v }) }),
    autocast: kit.toggle({ label: "Mixed precision", value: s.autocast, onchange: (v) => change({ autocast: v }) }),
    checkpointing: kit.toggle({ label: "Checkpointing", value: s.checkpointing, onchange: (v) => change({ checkpointing: v }) }),
    budget: kit.slider({ label: "Budget", min: 1, max: 96, value: s.budget, format: (v) => `${v} GiB`, oninput: (v) => change({ budget: v }) }),
  };
  const sizeBox = kit.el("div", { class: "dln-memory-size" });
  let offered = "", size;
  function sync() {
    if (offered !== s.model) {
      size = kit.choice({ label: "Pixels a side", value: String(s.size), options: sizes[s.model].map((n) => [String(n), String(n)]), onchange: (v) => change({ size: +v }) });
      sizeBox.replaceChildren(size.node);
      offered = s.model;
    }
    size.set(String(s.size));
    for (const name in pick) pick[name].set(s[name]);
  }
  frame.controls.append(pick.model.node, sizeBox, pick.batch.node, pick.optimizer.node, pick.autocast.node, pick.checkpointing.node, pick.budget.node);

  const LEFT = 8, RIGHT = 14, BAR = 46, GAP = 14, TOP = 22;
  function draw() {
    if (width < 120) return;
    const ink = (role) => kit.color(frame.root, role);
    const fills = [ink("ink"), ink("muted"), ink("line"), ink("network"), ink("network-soft")];
    const parts = lookup(table, batches, s), total = sum(parts), best = remedies(table, batches, s)[0], answer = model.get("answer");
    const rows = [{ name: `now: ${gib(total)}`, parts }];
    if (best) rows.push({ name: `with ${best[0]}: ${gib(best[1])}`, whole: best[1] });
    if (answer.parts) rows.push({ name: `predicted by Python, ${answer.words}: ${gib(sum(answer.parts))}`, parts: answer.parts });
    const most = 1.08 * Math.max(s.budget * GIB, ...rows.map((r) => r.whole || sum(r.parts)));
    const height = rows.length * (TOP + BAR * 0.8) + GAP + 42, g = kit.fit(canvas, width, height);
    const x = (kib) => LEFT + (kib / most) * (width - LEFT - RIGHT), base = height - 40;
    g.clearRect(0, 0, width, height);
    g.font = "13px system-ui, sans-serif"; g.textBaseline = "middle"; g.textAlign = "left";
    rows.forEach((row, i) => {
      const y = i * (TOP + BAR * 0.8) + TOP, h = BAR * 0.8 - 10;
      g.fillStyle = ink("ink");
      let words = row.name;
      while (words.length > 8 && g.measureText(words).width > width - 2 * LEFT) words = `${words.slice(0, -2)}…`.replace("……", "…");
      g.fillText(words, LEFT, y - TOP / 2 + 1);
      let from = 0;
      for (const [k, part] of (row.parts || [row.whole]).entries()) {
        g.fillStyle = row.parts ? fills[k] : ink("paper");
        const a = x(from), w = x(from + part) - a;
        g.fillRect(a, y, w, h);
        g.strokeStyle = ink("muted"); g.lineWidth = 1; g.strokeRect(a + 0.5, y + 0.5, Math.max(w - 1, 0), h - 1);
        from += part;
      }
    });
    const span = most / GIB, raw = span / Math.max(2, Math.floor(width / 90)), power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((v) => v >= raw);
    g.strokeStyle = ink("muted"); g.fillStyle = ink("muted"); g.textAlign = "center"; g.font = "12px system-ui, sans-serif";
    g.beginPath(); g.moveTo(LEFT, base + 0.5); g.lineTo(width - RIGHT, base + 0.5); g.stroke();
    for (let v = 0; v <= span; v += step) {
      const at = Math.round(x(v * GIB)) + 0.5;
      g.beginPath(); g.moveTo(at, base); g.lineTo(at, base + 4); g.stroke();
      if (at < width - 12) g.fillText(String(+v.toFixed(2)), Math.max(at, 6), base + 13);
    }
    g.textAlign = "left"; g.fillText("memory at the peak, GiB", LEFT, base + 30);
    const at = x(s.budget * GIB);
    g.strokeStyle = ink("reader"); g.lineWidth = 3;
    rows.forEach((_, i) => { const y = i * (TOP + BAR * 0.8) + TOP - 3; g.beginPath(); g.moveTo(at, y); g.lineTo(at, y + BAR * 0.8 - 4); g.stroke(); });
    g.beginPath(); g.moveTo(at, base - 8); g.lineTo(at, base); g.stroke();
    write(parts, total, answer);
  }

  function write(parts, total, answer) {
    const fit = largest(table, batches, s), list = remedies(table, batches, s), room = s.budget * GIB - total;
    const lines = [`batch ${s.batch}: ${gib(total)} of ${s.budget} GiB, ${room >= 0 ? `${gib(room)} to spare` : `${gib(-room)} too much`}`,
      PARTS.map((name, i) => `${name} ${gib(parts[i])}`).join(", "),
      fit ? `largest batch that fits: ${fit}${fit >= MOST ? " or more" : fit > batches[batches.length - 1] ? " (on a line beyond the table)" : ""}` : "not even one sample fits",
      list.length ? `saves most: ${list.map(([words, kib]) => `${words} (${gib(kib)})`).join("; then ")}` : "no remedy of these saves anything"];
    if (answer.error) lines.push(`Python says: ${answer.error}`);
    frame.say(lines.join("\n"));
    frame.code(python(s, blocks[s.model]));
    canvas.setAttribute("aria-valuenow", s.batch);
    canvas.setAttribute("aria-valuetext", lines[0]);
  }
  const paint = kit.painter(draw);
  const within = (v, lo, hi) => Math.min(Math.max(v, lo), hi);
  kit.arrows(canvas, (dx, dy) => change(dx ? { batch: within(s.batch + dx, 1, model.get("shown")) } : { budget: within(s.budget - dy, 1, 96) }));
  let scale = 1;
  kit.drag(canvas, (x, y, phase) => { // the budget line follows the finger; the scale stays as it was when the drag began
    if (phase === "start") scale = 1.08 * Math.max(s.budget * GIB, sum(lookup(table, batches, s))) / GIB;
    if (phase !== "end") change({ budget: within(Math.round(((x * width - LEFT) / (width - LEFT - RIGHT)) * scale), 1, 96) });
  });

  sync();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(frame.picture.clientWidth);
    if (next && next !== width) { width = next; paint(); }
  });
  resize.observe(frame.picture);
  const stop = kit.onTheme(paint);
  const again = () => { if (telling) return; pull(); sync(); paint(); };
  const watched = [...NAMES, "answer"];
  for (const name of watched) model.on(`change:${name}`, again);
  kit.live(model, () => {
    const number = (label, value, min, max) => {
      const id = kit.uid("number"), input = kit.el("input", { type: "number", id, min, max, value });
      return { input, node: kit.el("div", { class: "dln-control" }, kit.el("label", { for: id, text: label }), input) };
    };
    const pixels = number("Any pixels", s.size, 16, 2048), samples = number("Any batch", s.batch, 1, 4096);
    frame.controls.append(kit.el("div", { class: "dln-live" }, pixels.node, samples.node, kit.button({ label: "Predict by Python", onclick: () => {
      model.save_changes();
      model.send({ type: "predict", size: Math.round(+pixels.input.value), batch: Math.round(+samples.input.value) });
    } })));
  });
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of watched) model.off(`change:${name}`, again);
  };
}

export const kernels = { lookup, largest, remedies, python };

export default { render };
