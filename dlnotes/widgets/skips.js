// A trained U-Net with switches on its skips. Every combination of cuts was run by Python; the page looks its mask and maps
// up, counts overlaps, and paints.

// ---- Counting, as the tests check it against torch.

/** Index of a combination: bit k is set if join k is cut. */
const codeOf = (cut) => cut.reduce((sum, k) => sum + 2 ** k, 0);

/** Overlap of two masks: for each class that occurs {class, truth, said, common, iou}; and of all ink together. */
function overlap(truth, said) {
  const rows = new Map();
  const of = (c) => rows.get(c) || rows.set(c, { class: c, truth: 0, said: 0, common: 0 }).get(c);
  let right = 0, ink = 0, anyInk = 0;
  for (let i = 0; i < truth.length; i++) {
    of(truth[i]).truth++;
    of(said[i]).said++;
    if (truth[i] === said[i]) { of(truth[i]).common++; right++; }
    if (truth[i] && said[i]) ink++;
    if (truth[i] || said[i]) anyInk++;
  }
  const found = [...rows.values()].sort((a, b) => a.class - b.class);
  for (const row of found) row.iou = row.common / (row.truth + row.said - row.common);
  return { classes: found, accuracy: right / truth.length, ink: anyInk ? ink / anyInk : 1 };
}

/** Where the maps of join k begin in the bytes of one picture: skips hold one map for each join, decoded 2^(k+1). */
function offsets(sides) {
  const skip = [], decoded = [];
  let a = 0, b = 0;
  sides.forEach(([h, w], k) => { skip.push(a); decoded.push(b); a += h * w; b += 2 ** (k + 1) * h * w; });
  return { skip, decoded, skips: a, all: b };
}

function python(index, cut, sides, [y, x]) {
  const lines = ["import torch", "", "from dlnotes.models.pretrained import load_pretrained"];
  if (index >= 0) lines.push("from dlnotes.digits import DigitsOnTextures");
  lines.push("", 'model = load_pretrained("unet_digits")  # or your own UNet');
  if (index >= 0) {
    lines.push(`image, label, ink = DigitsOnTextures("held-out", size=2000)[${index}]  # 1 h w`,
      "truth = ink[0].long() * (label + 1)  # h w, 0 is ground");
  } else lines.push("# image (c, h, w) and truth (h, w): what you passed to SkipConnections");
  lines.push("", "def zero_skip(join, maps):  # a join gets (skip, x)", "    return torch.zeros_like(maps[0]), maps[1]", "",
    `for k in [${cut.join(", ")}]:  # ${cut.length ? cut.map((k) => `${sides[k].join("×")}`).join(", ") : "no skip is cut"}`,
    "    model.joins[k].register_forward_pre_hook(zero_skip)", "with torch.no_grad():",
    "    mask = model(image[None]).argmax(1)[0]  # h w",
    "for c in torch.cat([truth, mask]).unique().tolist():",
    "    both, either = (truth == c) & (mask == c), (truth == c) | (mask == c)",
    '    print("class", c, "IoU", round((both.sum() / either.sum()).item(), 3))',
    `print("pixel:", mask[${y}, ${x}].item())`);
  return lines.join("\n");
}

// ---- The widget.

const HIT = [214, 220, 228], MISS = [11, 95, 192], EXTRA = [240, 148, 60], WRONG = [122, 61, 154];
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Skip connections",
    hint: "Switch skips off: zeros take the place of the fine map, the trained network stays as it is. "
      + "Point at a pixel, or use the arrow keys." });
  frame.root.classList.add("dln-skips");
  let count, h, w, photos, truths, predictions, sides, skips, decoded, places, names, palette;
  let pixel = null, saving;
  function load() {
    [count, h, w] = model.get("picture_shape");
    photos = kit.bytes(model, "photos"); truths = kit.bytes(model, "truths"); predictions = kit.bytes(model, "predictions");
    skips = kit.bytes(model, "skips"); decoded = kit.bytes(model, "decoded");
    sides = model.get("sides"); names = model.get("classes"); palette = model.get("palette").map(rgb);
    places = offsets(sides);
  }
  load();
  const n = () => h * w, joins = sides.length;
  const picture = () => model.get("picture"), cut = () => model.get("cut");
  const part = (bytes, size, at = 0, length = size) => bytes.subarray(picture() * size + at, picture() * size + at + length);
  const truth = () => part(truths, n());
  const mask = (code) => part(predictions, 2 ** joins * n(), code * n(), n());
  function set(name, value) {
    model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 100);
    paint();
  }

  // -- parts: four pictures of one size, then one card for each level, the finest first, as the signal meets them on its way down
  const view = (title, options = {}) => {
    const canvas = kit.el("canvas", { class: "dln-pixels", ...options });
    const caption = kit.el("div", { class: "dln-skips-caption", text: title });
    const stage = kit.el("div", { class: "dln-skips-stage" }, canvas);
    return { canvas, caption, node: kit.el("div", { class: "dln-skips-view" }, caption, stage) };
  };
  const seen = view("Mask now", { tabindex: "0", role: "slider", "aria-label": "Pixel to read out", "aria-valuemin": "0" });
  const photo = view("Picture", { role: "img", "aria-label": "The picture" });
  const real = view("True mask", { role: "img", "aria-label": "The true mask" });
  const wrong = view("Errors", { role: "img", "aria-label": "Where the mask is wrong" });
  const marks = [seen, photo, real, wrong].map((v) => {
    const mark = kit.el("div", { class: "dln-skips-mark", "aria-hidden": "true" });
    v.canvas.parentNode.append(mark);
    return mark;
  });
  const key = (text, colour) => {
    const swatch = kit.el("span", { class: "dln-skips-swatch" });
    swatch.style.background = `rgb(${colour.join(" ")})`;
    return kit.el("span", { class: "dln-skips-key" }, swatch, text);
  };
  const legend = kit.el("div", { class: "dln-skips-legend" });
  const top = kit.el("div", { class: "dln-skips-row" }, photo.node, real.node, seen.node, wrong.node);
  const cards = sides.map((_, k) => {
    const skip = view("skip"), after = view("decoder, after the join");
    for (const v of [skip, after]) v.canvas.setAttribute("role", "img");
    const lever = kit.toggle({ label: "", value: true,
      onchange: (on) => set("cut", on ? cut().filter((i) => i !== k) : [...cut(), k].sort((a, b) => a - b)) });
    const scale = kit.el("div", { class: "dln-skips-scale" });
    return { skip, after, lever, scale, node: kit.el("div", { class: "dln-skips-card" }, lever.node, skip.node, after.node, scale) };
  });
  const deck = kit.el("div", { class: "dln-skips-row dln-skips-deck" }, ...cards.map((card) => card.node).reverse());
  const bar = kit.el("span", { class: "dln-skips-bar", "aria-hidden": "true" });
  const note = kit.el("div", { class: "dln-skips-legend" }, "mean over channels: 0", bar, "the largest of its row and level");
  frame.picture.append(top, legend, deck, note);

  // -- controls
  const all = kit.button({ label: "All on", onclick: () => set("cut", []) });
  const none = kit.button({ label: "All off", onclick: () => set("cut", sides.map((_, k) => k)) });
  let which = null;
  const chooser = kit.el("div", { class: "dln-skips-chooser" });
  function offer() {
    which = count > 1 ? kit.choice({ label: "Picture", value: String(picture()), onchange: (v) => set("picture", +v),
      options: model.get("captions").map((text, i) => [String(i), text]) }) : null;
    chooser.replaceChildren(...(which ? [which.node] : []));
  }
  offer();
  frame.controls.append(all, none, chooser);

  // -- drawing
  function tint(canvas, colourOf) {
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const g = canvas.getContext("2d"), image = g.createImageData(w, h);
    for (let i = 0, o = 0; i < n(); i++, o += 4) {
      const [r, green, b] = colourOf(i);
      image.data[o] = r; image.data[o + 1] = green; image.data[o + 2] = b; image.data[o + 3] = 255;
    }
    g.putImageData(image, 0, 0);
  }
  const colour = (c) => palette[c % palette.length];
  const short = (x) => x.toFixed(2);
  function draw() {
    const off = cut(), code = codeOf(off), t = truth(), m = mask(code), whole = overlap(t, mask(0)), now = overlap(t, m);
    kit.paint(photo.canvas, part(photos, n()), w, h, { map: "grey", hi: 255 });
    tint(real.canvas, (i) => colour(t[i]));
    tint(seen.canvas, (i) => colour(m[i]));
    tint(wrong.canvas, (i) => (t[i] === m[i] ? HIT : !m[i] ? MISS : !t[i] ? EXTRA : WRONG));
    const tops = model.get("tops")[picture()];
    cards.forEach((card, k) => {
      const [rows, columns] = sides[k], size = rows * columns, gone = off.includes(k);
      const fine = gone ? new Uint8Array(size) : part(skips, places.skips, places.skip[k], size);
      kit.paint(card.skip.canvas, fine, columns, rows, { hi: 255 });
      const at = places.decoded[k] + (code % 2 ** (k + 1)) * size;
      kit.paint(card.after.canvas, part(decoded, places.all, at, size), columns, rows, { hi: 255 });
      card.lever.set(!gone);
      card.lever.node.querySelector("label").textContent = `skip ${rows}×${columns}`;
      card.node.classList.toggle("dln-skips-off", gone);
      card.skip.caption.textContent = gone ? "cut: zeros" : "skip";
      card.skip.canvas.setAttribute("aria-label", `skip of ${rows} by ${columns}, mean over channels${gone ? ", cut" : ""}`);
      card.after.canvas.setAttribute("aria-label", `decoder at ${rows} by ${columns}, mean over channels`);
      card.scale.textContent = `top: ${tops[k][0].toFixed(2)} / ${tops[k][1].toFixed(2)}`;
    });
    const row = (c) => now.classes.find((r) => r.class === c);
    const listed = [...new Set([...whole.classes, ...now.classes].map((r) => r.class))].sort((a, b) => a - b);
    legend.replaceChildren(...listed.map((c) => key(names[c], colour(c))), kit.el("span", { class: "dln-skips-gap" }),
      key("missed", MISS), key("invented", EXTRA), key("wrong digit", WRONG));
    const cutWords = off.length ? `cut: ${[...off].reverse().map((k) => sides[k].join("×")).join(", ")}` : "no skip is cut";
    const said = [`${cutWords}; pixels right ${(100 * now.accuracy).toFixed(1)} % (all skips: ${(100 * whole.accuracy).toFixed(1)} %)`,
      `IoU: ${listed.map((c) => `${names[c]} ${row(c) ? short(row(c).iou) : "–"}`).join(", ")}; any ink ${short(now.ink)}`
      + ` (all skips: ${short(whole.ink)})`];
    const [y, x] = pixel || [h >> 1, w >> 1], i = y * w + x;
    said.push(`pixel (${y}, ${x}): true ${names[t[i]]}, all skips ${names[mask(0)[i]]}, now ${names[m[i]]}`);
    frame.say(said.join("\n"));
    for (const mark of marks) {
      mark.style.left = `${((x + 0.5) / w) * 100}%`; mark.style.top = `${((y + 0.5) / h) * 100}%`;
    }
    seen.canvas.setAttribute("aria-valuemax", String(n() - 1));
    seen.canvas.setAttribute("aria-valuenow", String(i));
    seen.canvas.setAttribute("aria-valuetext", `row ${y}, column ${x}: ${names[m[i]]}`);
    which?.set(String(picture()));
    frame.code(python(model.get("indices")[picture()], off, sides, [y, x]));
  }
  const paint = kit.painter(draw);

  // -- input
  const clip = (v, top) => Math.min(Math.max(v, 0), top);
  const look = (y, x) => { pixel = [clip(y, h - 1), clip(x, w - 1)]; paint(); };
  for (const { canvas } of [seen, photo, real, wrong]) {
    kit.drag(canvas, (a, b) => look(Math.floor(b * h), Math.floor(a * w)));
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || event.buttons) return;
      const box = canvas.getBoundingClientRect();
      look(Math.floor(((event.clientY - box.top) / box.height) * h), Math.floor(((event.clientX - box.left) / box.width) * w));
    });
  }
  const step = (d, at, last) => (d === Infinity ? last : d === -Infinity ? 0 : at + d);
  kit.arrows(seen.canvas, (dx, dy, event) => {
    const [y, x] = pixel || [h >> 1, w >> 1], by = event.shiftKey ? 8 : 1;
    look(step(dy * by, y, 0), step(dx * by, x, w - 1));
  });

  // -- start
  const viridis = kit.lut("viridis");
  bar.style.background = `linear-gradient(90deg, ${Array.from({ length: 9 }, (_, i) => {
    const k = 3 * Math.min(255, i * 32);
    return `rgb(${viridis[k]} ${viridis[k + 1]} ${viridis[k + 2]})`;
  }).join(", ")})`;
  const renew = () => { load(); offer(); paint(); };
  model.on("change:cut", paint); model.on("change:picture", paint); model.on("change:revision", renew);
  const stop = kit.onTheme(paint);
  paint();
  kit.live(model, () => {
    if (!model.get("more")) return;
    const another = kit.button({ label: "Another held-out picture", onclick: () => model.send({ type: "picture" }) });
    chooser.after(kit.el("div", { class: "dln-live" }, another));
  });
  return () => {
    stop(); clearTimeout(saving);
    model.off("change:cut", paint); model.off("change:picture", paint); model.off("change:revision", renew);
  };
}

export const kernels = { overlap, offsets, codeOf };

export default { render };
