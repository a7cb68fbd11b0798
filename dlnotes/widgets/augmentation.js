// A picture and its mask under one affine map: sampled as F.affine_grid and F.grid_sample do, with align_corners=False.

// ---- Geometry and sampling. A map is six numbers, row by row, from places in the result (-1 to 1) to places in the picture.

function affine(s, side) {
  const angle = (s.rotate * Math.PI) / 180, sign = s.flip ? -1 : 1;
  const cos = Math.cos(angle) / s.scale, sin = Math.sin(angle) / s.scale;
  const x = (2 * s.right) / side, y = (2 * s.down) / side, part = s.crop / side;
  return [sign * cos * part, -sign * sin * part, -(sign * cos * x - sign * sin * y),
    sin * part, cos * part, -(sin * x + cos * y)];
}

/** Round halves to the even number, as torch does. */
function even(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low % 2 ? low + 1 : low;
}

/** values (h, w) sampled on size by size places; zero outside. mode: "bilinear" or "nearest". */
function sample(values, h, w, t, size, mode) {
  const out = new Float64Array(size * size), at = (y, x) => (x < 0 || y < 0 || x >= w || y >= h ? 0 : values[y * w + x]);
  for (let i = 0, o = 0; i < size; i++) {
    const v = (2 * i + 1) / size - 1;
    for (let j = 0; j < size; j++, o++) {
      const u = (2 * j + 1) / size - 1;
      const x = ((t[0] * u + t[1] * v + t[2] + 1) * w - 1) / 2, y = ((t[3] * u + t[4] * v + t[5] + 1) * h - 1) / 2;
      if (mode === "nearest") { out[o] = at(even(y), even(x)); continue; }
      const x0 = Math.floor(x), y0 = Math.floor(y), a = x - x0, b = y - y0;
      out[o] = (1 - b) * ((1 - a) * at(y0, x0) + a * at(y0, x0 + 1)) + b * ((1 - a) * at(y0 + 1, x0) + a * at(y0 + 1, x0 + 1));
    }
  }
  return out;
}

const IGNORE = -100;
/** A mask of class numbers, moved; -100 where the result lies outside of the picture. */
function moveLabels(labels, side, t, size, mode) {
  const inside = sample(new Uint8Array(side * side).fill(1), side, side, t, size, "nearest");
  return sample(labels, side, side, t, size, mode).map((v, i) => (inside[i] ? even(v) : IGNORE));
}

/** Brightness times a factor, cut off at 0 and 1. */
const brighten = (x, factor) => x.map((v) => Math.min(Math.max(v * factor, 0), 1));

/** Gaussian blur with reflected borders, 2 * ceil(3 sigma) + 1 taps. */
function blurred(x, size, sigma) {
  if (!(sigma > 0)) return x;
  const reach = Math.min(Math.ceil(3 * sigma), size - 1), taps = [];
  let sum = 0;
  for (let k = -reach; k <= reach; k++) { const v = Math.exp(-((k / sigma) ** 2) / 2); taps.push(v); sum += v; }
  const mirror = (i) => (i < 0 ? -i : i >= size ? 2 * size - 2 - i : i);
  const pass = (from, along, across) => {
    const to = new Float64Array(size * size);
    for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) {
      let total = 0;
      for (let k = -reach; k <= reach; k++) total += taps[k + reach] * from[mirror(b + k) * along + a * across];
      to[b * along + a * across] = total / sum;
    }
    return to;
  };
  return pass(pass(x, 1, size), size, 1);
}

function augment(picture, labels, side, s, other) {
  const t = affine(s, side), size = s.crop;
  const image = blurred(brighten(sample(picture, side, side, t, size, "bilinear"), s.brightness), size, s.blur);
  const truth = moveLabels(labels, side, t, size, "nearest");
  const still = { rotate: 0, scale: 1, right: 0, down: 0, flip: false, crop: size };
  const mask = s.mode === "not moved" ? moveLabels(labels, side, affine(still, side), size, "nearest")
    : s.mode === "bilinear" ? moveLabels(labels, side, t, size, "bilinear")
      : s.mode === "other draw" ? moveLabels(labels, side, affine({ ...other, flip: !s.flip, crop: size }, side), size, "nearest") : truth;
  let both = 0, either = 0;
  for (let i = 0; i < truth.length; i++) {
    if (mask[i] > 0 || truth[i] > 0) either++;
    if (truth[i] > 0 && mask[i] === truth[i]) both++;
  }
  const counts = new Map();
  for (const v of mask) counts.set(v, (counts.get(v) || 0) + 1);
  return { image, mask, truth, iou: either ? both / either : 1, values: [...counts].sort((a, b) => a[0] - b[0]) };
}

const trim = (x) => String(+x.toFixed(2));

function python(s, index, other) {
  const call = (d, flip) => `affine(${trim(d.rotate)}, ${trim(d.scale)}, ${trim(d.right)}, ${trim(d.down)}, ${flip ? "True" : "False"})`;
  const lines = ["import math", "import torch", "import torch.nn.functional as F"];
  if (index >= 0) {
    lines.push("from dlnotes.data import TexturedDigits", "",
      `item = TexturedDigits("train", 100, seed=0, shape=(128, 128), digits=3)[${index}]`,
      'image, mask = item["image"][0].double(), item["mask"].double()  # h w each');
  } else lines.push("", "image, mask = image.double(), mask.double()  # yours, (128, 128) each, the image in [0, 1]");
  lines.push("", "", "def affine(rotate, scale, right, down, flip):",
    "    angle, sign = math.radians(rotate), -1 if flip else 1",
    "    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale",
    "    back = torch.tensor([[sign * cos, -sign * sin], [sin, cos]]).double()",
    "    shift = torch.tensor([right, down]).double() * 2 / 128",
    `    return torch.cat([back * ${s.crop} / 128, -(back @ shift)[:, None]], 1)  # 2 3`, "", "",
    "def move(x, theta, mode):",
    `    grid = F.affine_grid(theta[None], [1, 1, ${s.crop}, ${s.crop}], align_corners=False)  # 1 h w 2`,
    "    return F.grid_sample(x[None, None], grid, mode=mode, align_corners=False)[0, 0]  # h w", "", "",
    "def move_mask(theta, mode):",
    '    inside = move(torch.ones_like(mask), theta, "nearest") > 0',
    "    return move(mask, theta, mode).round().long().where(inside, -100)  # -100: no loss counts it", "", "",
    `theta = ${call(s, s.flip)}`,
    `x = (move(image, theta, "bilinear") * ${trim(s.brightness)}).clamp(0, 1)`);
  if (s.blur > 0) {
    const taps = 2 * Math.min(Math.ceil(3 * s.blur), s.crop - 1) + 1;
    lines.push("from torchvision.transforms.v2 import functional as v2",
      `x = v2.gaussian_blur(x[None], ${taps}, ${trim(s.blur)})[0]`);
  }
  lines.push('truth = move_mask(theta, "nearest")');
  lines.push(s.mode === "not moved" ? 'y = move_mask(affine(0, 1, 0, 0, False), "nearest")  # the mask stays where it was'
    : s.mode === "bilinear" ? 'y = move_mask(theta, "bilinear")  # class numbers mixed like colours'
      : s.mode === "other draw" ? `y = move_mask(${call(other, !s.flip)}, "nearest")  # random numbers of its own` : "y = truth");
  lines.push("iou = ((y == truth) & (truth > 0)).sum() / ((y > 0) | (truth > 0)).sum()",
    "values, counts = y.unique(return_counts=True)",
    'print(f"IoU {iou:.3f}, values in the mask: {values.tolist()}")');
  return lines.join("\n");
}

// ---- The widget.

const NUMBERS = ["rotate", "scale", "right", "down", "crop", "brightness", "blur"];
const KEYS = [...NUMBERS, "flip", "mode"];
const STEPS = { rotate: 1, scale: 0.05, right: 1, down: 1, crop: 8, brightness: 0.05, blur: 0.25 };
const LABELS = { rotate: "rotate, degrees", scale: "scale", right: "shift right, px", down: "shift down, px", crop: "crop, px",
  brightness: "brightness ×", blur: "blur σ, px" };
const SAYS = { synchronized: "picture and mask moved together", "not moved": "the picture moved, its mask did not",
  bilinear: "the mask was interpolated like a picture", "other draw": "the mask moved by random numbers of its own" };

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Augmentation explorer",
    hint: "Drag the right picture, or use the arrow keys on it, to shift. Choose below what happens to the mask." });
  frame.root.classList.add("dln-augmentation");
  const s = {}, limits = model.get("limits"), side = model.get("side");
  let picture, labels, cw = 0, ink = null, result, from = null;
  const pull = () => { for (const key of KEYS) s[key] = model.get(key); };
  const load = () => {
    picture = Float64Array.from(kit.bytes(model, "picture"), (v) => v / 255);
    labels = Float64Array.from(kit.bytes(model, "labels"));
  };
  pull(); load();

  const before = kit.el("canvas", { role: "img" });
  const after = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Shift of the picture to the right, in pixels",
    "aria-valuemin": limits.right[0], "aria-valuemax": limits.right[1] });
  const chart = kit.el("canvas", { role: "img" });
  const panel = (title, node) => kit.el("div", { class: "dln-augmentation-panel" },
    kit.el("div", { class: "dln-augmentation-caption", text: title }), node);
  const key = (style, text) => kit.el("span", { class: `dln-augmentation-key dln-augmentation-${style}`, text });
  frame.picture.append(kit.el("div", { class: "dln-augmentation-legend" }, key("truth", "where the objects are"),
    key("mask", "the mask that training gets"), key("fresh", "classes that it invented"), key("crop", "the part that is kept")),
  kit.el("div", { class: "dln-augmentation-grid" }, panel("Before", before), panel("After", after),
    panel("Pixels per value of the mask", chart)));

  let saving, telling = false;
  function change(next) {
    for (const name of ["right", "down"]) if (name in next) next[name] = Math.min(Math.max(next[name], limits[name][0]), limits[name][1]);
    Object.assign(s, next);
    telling = true;
    for (const key of KEYS) if (model.get(key) !== s[key]) model.set(key, s[key]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    sync(); paint();
  }
  const mode = kit.choice({ label: "Mask", value: s.mode, onchange: (v) => change({ mode: v }),
    options: [["synchronized", "synchronized"], ["not moved", "not moved"], ["bilinear", "bilinear"], ["other draw", "its own draw"]] });
  const flip = kit.toggle({ label: "flip left and right", value: s.flip, onchange: (v) => change({ flip: v }) });
  const knobs = {};
  for (const name of NUMBERS) {
    knobs[name] = kit.slider({ label: LABELS[name], min: limits[name][0], max: limits[name][1], step: STEPS[name], value: s[name],
      format: trim, oninput: (v) => change({ [name]: v }) });
  }
  const reset = kit.button({ label: "Nothing changed", onclick: () => change({ rotate: 0, scale: 1, right: 0, down: 0, crop: side,
    brightness: 1, blur: 0, flip: false }) });
  frame.controls.append(mode.node, flip.node, reset,
    kit.el("div", { class: "dln-augmentation-knobs" }, ...NUMBERS.map((name) => knobs[name].node)));
  function sync() {
    mode.set(s.mode); flip.set(s.flip);
    for (const name of NUMBERS) knobs[name].set(s[name]);
  }

  function inks() {
    ink = {};
    for (const role of ["ink", "muted", "line", "paper", "reader", "network"]) ink[role] = kit.color(frame.root, role);
  }
  const sheet = document.createElement("canvas");
  sheet.getContext("2d", { willReadFrequently: true });
  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

  /** A grey picture of n × n with the mask over it, and the outline of the truth, in a canvas of cw pixels. */
  function show(canvas, grey, mask, truth, n, known) {
    kit.paint(sheet, grey, n, n, { map: "grey" });
    if (mask) {
      const context = sheet.getContext("2d"), data = context.getImageData(0, 0, n, n), tone = rgb("#f08a24"), odd = rgb("#ffe45c");
      for (let i = 0; i < n * n; i++) {
        if (mask[i] === IGNORE) for (let c = 0; c < 3; c++) data.data[4 * i + c] = (i + ((i / n) | 0)) % 6 < 2 ? 110 : 50;
        if (mask[i] <= 0) continue;
        const fresh = !known.has(mask[i]);
        for (let c = 0; c < 3; c++) data.data[4 * i + c] = fresh ? odd[c] : 0.4 * data.data[4 * i + c] + 0.6 * tone[c];
      }
      context.putImageData(data, 0, 0);
    }
    const g = kit.fit(canvas, cw, cw), shown = (cw * n) / side, cell = shown / n, at = (cw - shown) / 2;
    g.clearRect(0, 0, cw, cw);
    g.imageSmoothingEnabled = false;
    g.drawImage(sheet, at, at, shown, shown);
    // on a photograph, in both themes; thin where it would hide the rim of invented classes
    for (const [color, width] of mask && s.mode === "bilinear" ? [["#0b5fc0", 1]] : [["#ffffff", 3.5], ["#0b5fc0", 1.8]]) {
      g.strokeStyle = color; g.lineWidth = width;
      g.beginPath();
      for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
        const mine = truth[y * n + x] > 0;
        if (x + 1 < n && mine !== truth[y * n + x + 1] > 0) {
          g.moveTo(at + (x + 1) * cell, at + y * cell); g.lineTo(at + (x + 1) * cell, at + (y + 1) * cell);
        }
        if (y + 1 < n && mine !== truth[(y + 1) * n + x] > 0) {
          g.moveTo(at + x * cell, at + (y + 1) * cell); g.lineTo(at + (x + 1) * cell, at + (y + 1) * cell);
        }
      }
      g.stroke();
    }
    return g;
  }

  /** Bars on a logarithmic scale; values that the mask never had are orange and say so. */
  function bars(known) {
    const h = 128, left = 4, bottom = 36, top = 16, values = result.values;
    const wide = chart.parentNode.clientWidth, g = kit.fit(chart, wide, h);
    g.clearRect(0, 0, cw, h);
    g.font = "11px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "alphabetic";
    const most = Math.log10(side * side), slot = Math.min((wide - 2 * left) / values.length, 46);
    values.forEach(([value, count], i) => {
      const tall = Math.max(((h - bottom - top) * Math.log10(count + 1)) / most, 2), x = left + i * slot, fresh = !known.has(value);
      g.fillStyle = fresh ? ink.network : value === IGNORE ? ink.line : ink.muted;
      g.fillRect(x + slot * 0.16, h - bottom - tall, slot * 0.68, tall);
      g.fillStyle = ink.ink;
      g.fillText(value === IGNORE ? "out" : String(value), x + slot / 2, h - bottom + 14);
      const label = count > 9999 ? `${Math.round(count / 1000)}k` : String(count);
      if (slot > 22 || i % 2 === 0) g.fillText(label, x + slot / 2, h - bottom - tall - 4);
    });
    g.fillStyle = ink.muted; g.textAlign = "left";
    g.fillText("class number; height on a log scale", left, h - 5);
  }

  function draw() {
    if (cw < 60) return;
    if (!ink) inks();
    result = augment(picture, labels, side, s, model.get("other"));
    const known = new Set([...labels, IGNORE]);
    const g = show(before, picture, null, labels, side);
    // the corners of the part that is kept, taken back to the picture
    const t = affine(s, side);
    g.beginPath();
    for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) {
      g.lineTo(((t[0] * u + t[1] * v + t[2] + 1) * cw) / 2, ((t[3] * u + t[4] * v + t[5] + 1) * cw) / 2);
    }
    for (const [color, width] of [["#000000", 3], ["#ffffff", 1.5]]) {
      g.strokeStyle = color; g.lineWidth = width; g.setLineDash([6, 4]); g.stroke();
    }
    g.setLineDash([]);
    show(after, result.image, result.mask, result.truth, s.crop, known);
    bars(known);
    write(known);
  }

  function write(known) {
    const fresh = result.values.filter(([v]) => !known.has(v));
    const invented = fresh.reduce((sum, [, count]) => sum + count, 0);
    const out = result.values.find(([v]) => v === IGNORE);
    const names = result.values.map(([v]) => v).filter((v) => v !== IGNORE).join(", ");
    const never = fresh.length ? `; never there before: ${fresh.map(([v]) => v).join(", ")} (${invented} pixels)` : "";
    const lost = out ? `; ${out[1]} pixels lie outside and are ignored (-100)` : "";
    const lines = [`${SAYS[s.mode]}: IoU with the right mask ${result.iou.toFixed(3)}`,
      `values in the mask: ${names}${never}`,
      `rotate ${trim(s.rotate)}°, scale ${trim(s.scale)}, shift (${trim(s.right)}, ${trim(s.down)}) px${s.flip ? ", flipped" : ""}`
      + `; image (1, ${s.crop}, ${s.crop}), mask (${s.crop}, ${s.crop})${lost}`];
    frame.say(lines.join("\n"));
    frame.code(python(s, model.get("index"), model.get("other")));
    after.setAttribute("aria-valuenow", s.right);
    after.setAttribute("aria-valuetext", `${lines[0]}; shifted ${trim(s.right)} to the right, ${trim(s.down)} down`);
    before.setAttribute("aria-label", "The picture, its objects outlined, and the part that is kept");
    chart.setAttribute("aria-label", lines[1]);
  }
  const paint = kit.painter(draw);

  kit.drag(after, (x, y, phase) => {
    if (phase === "start") from = [x, y, s.right, s.down];
    else if (from) change({ right: Math.round(from[2] + (x - from[0]) * side), down: Math.round(from[3] + (y - from[1]) * side) });
    if (phase === "end") from = null;
  });
  kit.arrows(after, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1;
    if (Math.abs(dx) === Infinity) change({ right: dx < 0 ? limits.right[0] : limits.right[1] });
    else change({ right: s.right + dx * by, down: s.down + dy * by });
  });

  sync();
  const resize = new ResizeObserver(() => {
    const next = Math.floor(after.parentNode.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(after.parentNode);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const again = () => { if (!telling) { pull(); load(); sync(); paint(); } };
  const watched = [...KEYS, "picture"];
  for (const key of watched) model.on(`change:${key}`, again);
  kit.live(model, () => {
    if (model.get("index") < 0) return;
    frame.controls.append(kit.el("div", { class: "dln-live" },
      kit.button({ label: "Another picture", onclick: () => model.send({ type: "picture" }) })));
  });
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const key of watched) model.off(`change:${key}`, again);
  };
}

export const kernels = { affine, sample, moveLabels, brighten, blurred, augment, python };

export default { render };
