// Extra memory and arithmetic of seven ways to attend, from the sizes alone; the same formulas as way_cost in cost.py.

const BYTES = { float32: 4, float16: 2, bfloat16: 2 };
const up = (a, b) => Math.ceil(a / b);

function wayCost(way, { h, w, batch, heads, width, size }) {
  const n = h * w, d = width / heads;
  if (way === "channel") return { bytes: 2 * batch * heads * d * d * size + batch * n * width * size, multiplyAdds: 2 * batch * n * width * d };
  if (way === "linear") return { bytes: batch * heads * (d * d + d) * size + batch * n * width * size, multiplyAdds: 2 * batch * n * width * d };
  const keys = { explicit: n, fused: n, stride: up(h, 4) * up(w, 4), local: 49 };
  const pairs = way === "window" ? batch * heads * up(h, 8) * up(w, 8) * 4096 : batch * heads * n * keys[way];
  const bytes = way === "fused" ? batch * n * width * size + 4 * batch * heads * n : 2 * pairs * size;
  return { bytes, multiplyAdds: 2 * pairs * d };
}

/** Bytes in words: three significant digits and a binary unit. */
function words(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let k = 0;
  while (bytes >= 1024 && k < units.length - 1) { bytes /= 1024; k++; }
  return `${bytes >= 100 ? Math.round(bytes) : +bytes.toPrecision(3)} ${units[k]}`;
}

const big = (x) => (x >= 1e12 ? `${(x / 1e12).toPrecision(3)} T` : x >= 1e9 ? `${(x / 1e9).toPrecision(3)} G` : `${(x / 1e6).toPrecision(3)} M`);

const FORMS = {
  explicit: ["scores = q @ k.mT / q.shape[-1] ** 0.5  # b heads n n", "out = scores.softmax(-1) @ v  # b heads n d"],
  fused: ["out = F.scaled_dot_product_attention(q, k, v)  # b heads n d; no table of n × n"],
  stride: ["def coarse(t):", "    t = rearrange(t, 'b heads (h w) d -> (b heads) d h w', h=h)",
    "    t = F.avg_pool2d(t, 4, ceil_mode=True)  # (b heads) d h/4 w/4", "    return rearrange(t, '(b heads) d h w -> b heads (h w) d', heads=heads)", "",
    "scores = q @ coarse(k).mT / q.shape[-1] ** 0.5  # b heads n n/16", "out = scores.softmax(-1) @ coarse(v)  # b heads n d"],
  window: ["def windows(t):", "    return rearrange(t, 'b heads (h i w j) d -> b heads (h w) (i j) d', h=h // 8, i=8, j=8)", "",
    "scores = windows(q) @ windows(k).mT / q.shape[-1] ** 0.5  # b heads windows 64 64", "out = scores.softmax(-1) @ windows(v)  # b heads windows 64 d"],
  local: ["def neighbours(t):  # stores 49 copies; a kernel that reads neighbours in place does not", "    t = rearrange(t, 'b heads (h w) d -> (b heads) d h w', h=h)", "    t = F.unfold(t, 7, padding=3)  # (b heads) (d 49) n",
    "    return rearrange(t, '(b heads) (d k) n -> b heads n k d', heads=heads, k=49)", "",
    "scores = (q[..., None, :] @ neighbours(k).mT) / q.shape[-1] ** 0.5  # b heads n 1 49",
    "out = (scores.softmax(-1) @ neighbours(v))[..., 0, :]  # b heads n d; zero keys beyond the border are not masked here"],
  channel: ["q, k = F.normalize(q, dim=-2), F.normalize(k, dim=-2)", "scores = q.mT @ k  # b heads d d", "out = v @ scores.softmax(-1).mT  # b heads n d"],
  linear: ["q, k = F.elu(q) + 1, F.elu(k) + 1", "out = q @ (k.mT @ v)  # b heads n d", "out = out / (q @ k.sum(-2)[..., None])  # b heads n d"],
};

function python(way, s) {
  const lines = ["import torch", "import torch.nn.functional as F", "from einops import rearrange", "",
    `h, w, batch, heads, width = ${s.h}, ${s.w}, ${s.batch}, ${s.heads}, ${s.width}`,
    "# sizes as on the page; take them smaller if your memory is",
    `q, k, v = (torch.randn(batch, heads, h * w, width // heads, dtype=torch.${s.dtype}) for _ in range(3))  # b heads n d`, ""];
  return [...lines, ...FORMS[way]].join("\n");
}

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Attention cost",
    hint: "Choose a feature map and read what attention over it needs. Up and down arrows choose a way, left and right the size of the map." });
  frame.root.classList.add("dln-cost");
  const NAMES = ["h", "w", "batch", "heads", "width", "dtype", "budget", "way"];
  const s = Object.fromEntries(NAMES.map((name) => [name, model.get(name)]));
  const ways = model.get("ways"), order = Object.keys(FORMS);
  const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Ways to attend", "aria-valuemin": 0, "aria-valuemax": order.length - 1 });
  const table = kit.el("div", { class: "dln-cost-measured" });
  frame.picture.append(kit.el("div", { class: "dln-cost-caption", text: "Extra memory in one forward pass, logarithmic; the line is the budget" }), canvas);

  const power = (label, name, lo, hi) => kit.slider({ label, min: lo, max: hi, value: Math.log2(s[name]), format: (p) => String(2 ** p), oninput: (p) => set({ [name]: 2 ** p }) });
  const sliders = { h: power("Height", "h", 3, 9), w: power("Width", "w", 3, 9), heads: power("Heads", "heads", 0, 4), width: power("Channels", "width", 6, 10) };
  const batch = kit.slider({ label: "Batch", min: 1, max: 64, value: s.batch, oninput: (batch) => set({ batch }) });
  const budget = kit.select({ label: "Budget", value: String(s.budget), options: [...new Set([8, 16, 24, 40, 80, s.budget])].sort((a, b) => a - b).map((g) => [String(g), `${g} GiB`]), onchange: (g) => set({ budget: +g }) });
  const dtype = kit.select({ label: "Numbers", value: s.dtype, options: Object.keys(BYTES).map((name) => [name, name]), onchange: (dtype) => set({ dtype }) });
  frame.controls.append(sliders.h.node, sliders.w.node, batch.node, sliders.heads.node, sliders.width.node, dtype.node, budget.node);
  frame.readout.after(table);

  function set(change) {
    Object.assign(s, change);
    for (const name in change) model.set(name, change[name]);
    model.save_changes();
    update();
  }
  const sizes = () => ({ ...s, size: BYTES[s.dtype] });
  const ROW = 30, TOP = 6;
  let shown = { label: 0, x: () => 0 };

  const draw = kit.painter(() => {
    const w = frame.picture.clientWidth, h = TOP + ROW * order.length + 30, g = kit.fit(canvas, w, h), narrow = w < 520;
    const label = narrow ? 0 : 170, right = 84, bytes = order.map((way) => wayCost(way, sizes()).bytes), limit = s.budget * 2 ** 30;
    const lo = Math.log2(2 ** 10), hi = Math.log2(Math.max(...bytes, limit) * 2), x = (b) => label + Math.max((Math.log2(b) - lo) / (hi - lo), 0.005) * (w - label - right);
    shown = { label, x };
    g.clearRect(0, 0, w, h);
    g.textBaseline = "middle";
    order.forEach((way, i) => {
      const y = TOP + i * ROW, chosen = way === s.way, over = bytes[i] > limit;
      if (chosen) { g.fillStyle = kit.color(frame.root, "reader-soft"); g.fillRect(0, y, w, ROW); }
      g.fillStyle = kit.color(frame.root, "network");
      const tall = narrow ? 8 : 16, from = narrow ? y + 18 : y + 7;
      g.globalAlpha = over ? 1 : 0.6;
      g.fillRect(label, from, x(bytes[i]) - label, tall);
      g.globalAlpha = 1;
      g.fillStyle = kit.color(frame.root, "ink");
      g.font = `${chosen ? "600 " : ""}13px system-ui, sans-serif`;
      g.textAlign = narrow ? "left" : "right";
      g.fillText(ways[way], narrow ? 4 : label - 8, narrow ? y + 9 : y + ROW / 2);
      g.textAlign = "right";
      g.font = "12px ui-monospace, monospace";
      g.fillText(`${words(bytes[i])}${over ? " !" : ""}`, w - 4, narrow ? y + 9 : y + ROW / 2);
    });
    g.strokeStyle = kit.color(frame.root, "reader");
    g.lineWidth = 2;
    const at = x(limit), bottom = TOP + ROW * order.length;
    g.beginPath(); g.moveTo(at, TOP); g.lineTo(at, bottom + 4); g.stroke();
    g.fillStyle = kit.color(frame.root, "reader");
    g.font = "12px system-ui, sans-serif";
    g.textAlign = at > w - 60 ? "right" : "center";
    g.fillText(`${s.budget} GiB`, at, bottom + 14);
  });

  function update() {
    for (const name in sliders) sliders[name].set(Math.log2(s[name]));
    batch.set(s.batch);
    const cost = wayCost(s.way, sizes()), all = wayCost("explicit", sizes()), limit = s.budget * 2 ** 30;
    const n = s.h * s.w;
    const against = s.way === "explicit" ? `one table of scores (${s.batch}, ${s.heads}, ${n}, ${n}) is ${words(all.bytes / 2)}, its softmax another`
      : cost.bytes < all.bytes ? `${(all.bytes / cost.bytes).toPrecision(3)} times less memory than storing all pairs` : "no less memory than storing all pairs";
    frame.say(`${s.h} × ${s.w} = ${n.toLocaleString("en")} tokens. ${ways[s.way]}: ${words(cost.bytes)} extra, ${big(cost.multiplyAdds)} multiply-adds; ${against}. `
      + `${cost.bytes > limit ? "Over" : "Within"} the budget of ${s.budget} GiB.`);
    canvas.setAttribute("aria-valuenow", order.indexOf(s.way));
    canvas.setAttribute("aria-valuetext", `${ways[s.way]}, ${words(cost.bytes)}`);
    frame.code(python(s.way, s));
    table.textContent = model.get("measured");
    draw();
  }

  const within = (v, lo, hi) => Math.min(Math.max(v, lo), hi);
  kit.arrows(canvas, (dx, dy) => {
    if (dy) return set({ way: order[within(order.indexOf(s.way) + dy, 0, order.length - 1)] });
    const change = Number.isFinite(dx) ? dx : dx * 9, grow = (v) => 2 ** within(Math.log2(v) + change, 3, 9);
    set(Number.isFinite(dx) ? { h: grow(s.h), w: grow(s.w) } : { h: dx < 0 ? 8 : 512, w: dx < 0 ? 8 : 512 });
  });
  kit.drag(canvas, (x, y) => set({ way: order[within(Math.floor((y * canvas.clientHeight - TOP) / ROW), 0, order.length - 1)] }));
  const again = () => { table.textContent = model.get("measured"); };
  model.on("change:measured", again);
  kit.live(model, () => frame.controls.append(kit.el("span", { class: "dln-live" },
    kit.button({ label: "Measure here", onclick: () => { table.textContent = "Measuring in a fresh process …"; model.send({ type: "measure" }); } }))));
  const resize = new ResizeObserver(draw);
  resize.observe(frame.picture);
  const stop = kit.onTheme(draw);
  update();
  return () => { resize.disconnect(); stop(); model.off("change:measured", again); };
}

export const kernels = { wayCost, words, python };

export default { render };
