// All channels of a layer, the picture beside them, and one map enlarged: values where the reader points.
// Maps come as 8-bit codes between each map's own ends; scales, differences and statistics are computed here.

// ---- Arithmetic, compared with PyTorch in the tests.

/** Codes 0 to 255 of one map and its two ends -> values. */
function dequantise(codes, lo, hi) {
  const out = new Float32Array(codes.length), step = (hi - lo) / 255;
  for (let i = 0; i < codes.length; i++) out[i] = lo + step * codes[i];
  return out;
}

/** torch.quantile of the values, with linear interpolation. */
function quantile(values, q) {
  const sorted = Float32Array.from(values).sort(), at = q * (sorted.length - 1), below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** What a colour scale reaches to: the largest size of any value, or the 99th percentile of the sizes. */
function limitOf(values, share = 1) {
  if (share === 1) {
    let most = 0;
    for (let i = 0; i < values.length; i++) { const v = Math.abs(values[i]); if (v > most) most = v; }
    return most;
  }
  return quantile(Float32Array.from(values, Math.abs), share);
}

/** Smallest, largest, mean of one map, and the share of its values that are exactly zero. */
function statistics(values) {
  let lo = Infinity, hi = -Infinity, sum = 0, zeros = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v < lo) lo = v;
    if (v > hi) hi = v;
    if (v === 0) zeros++;
    sum += v;
  }
  return { lo, hi, mean: sum / values.length, zeros: zeros / values.length };
}

const subtract = (a, b) => a.map((v, i) => v - b[i]);

/** Which maps hold one value everywhere, from rows of (smallest, largest). */
function constants(ends) {
  const found = [];
  for (let i = 0; i < ends.length / 2; i++) if (ends[2 * i] === ends[2 * i + 1]) found.push(i);
  return found;
}

// ---- The page.

const PAGE = 128; // maps at a time
const SHOWN = { a: "A", b: "B", difference: "A − B" };
const SCALES = { map: "each map", shared: "whole layer", percentile: "99 % of layer" };
const clamp = (v, lo, hi) => Math.max(lo, Math.min(hi, v));
const minus = (text) => String(text).replace(/-/g, "−");
const number = (v) => minus(v === 0 ? "0" : Math.abs(v) >= 1000 || Math.abs(v) < 0.001 ? v.toExponential(1) : +v.toPrecision(3));
const percent = (p) => `${p > 0 && p < 0.01 ? "< 1" : p < 1 && p > 0.99 ? "> 99" : Math.round(100 * p)} %`;

function render({ model, el: host }) {
  const el = kit.el, get = (name) => model.get(name);
  const f = kit.frame(host, { model, title: "Feature maps", hint: "Choose a layer, then a map; point at a cell to read its value." });
  f.root.classList.add("dln-features");
  let saving, page = 0, theme = {}, width = 0, cache = new Map(), hover = null, alive = false;
  let layers = [], shown = [], offsets = [];
  const canvas = (label, role = "img") => el("canvas", { tabindex: "0", role, "aria-label": label });
  const head = (text) => el("div", { class: "dln-features-label", text });

  const photos = [0, 1].map(() => ({ caption: el("div", { class: "dln-features-foot" }), canvas: el("canvas", { role: "img" }) }));
  const big = canvas("One map, enlarged: arrow keys choose a cell", "application");
  const grid = canvas("All maps: arrow keys choose a map", "application");
  const bigLabel = head(""), gridLabel = head("");
  const bar = el("span", { class: "dln-features-bar" }), low = el("span"), high = el("span");
  const legend = el("div", { class: "dln-features-foot dln-features-legend" }, low, bar, high);
  const note = el("div", { class: "dln-features-foot" });
  const columns = photos.map((photo, i) => el("div", { class: "dln-features-photo" }, head(`Picture ${"AB"[i]}`), photo.canvas, photo.caption));
  f.picture.append(el("div", { class: "dln-features-stage" },
    el("div", { class: "dln-features-left" }, el("div", { class: "dln-features-photos" }, ...columns),
      el("div", { class: "dln-features-big" }, bigLabel, big, legend)),
    el("div", { class: "dln-features-all" }, gridLabel, grid, note)));

  // -- data

  function load() {
    layers = get("layers");
    const [n, c, h, w] = get("picture_shape"), raw = kit.bytes(model, "pictures");
    shown = Array.from({ length: n }, (_, i) => {
      const picture = document.createElement("canvas");
      picture.width = w; picture.height = h;
      const context = picture.getContext("2d"), image = context.createImageData(w, h);
      for (let p = 0, at = i * c * h * w; p < h * w; p++, at += c) {
        for (let k = 0; k < 3; k++) image.data[4 * p + k] = raw[at + (c === 3 ? k : 0)];
        image.data[4 * p + 3] = 255;
      }
      context.putImageData(image, 0, 0);
      return picture;
    });
    offsets = [];
    let map = 0, end = 0;
    for (let i = 0; i < n; i++) for (const layer of layers) {
      offsets.push([map, end]);
      map += layer.c * layer.h * layer.w;
      end += 2 * layer.c;
    }
    cache = new Map();
    columns[1].hidden = n < 2;
  }

  /** Values of all maps of a layer, one array for each map. */
  function values(slot, index) {
    const key = `${slot} ${index}`;
    if (!cache.has(key)) {
      const { c, h, w } = layers[index], [at, end] = offsets[slot * layers.length + index];
      const codes = kit.bytes(model, "maps"), ends = kit.bytes(model, "ranges", Float32Array);
      cache.set(key, Array.from({ length: c }, (_, k) => dequantise(codes.subarray(at + k * h * w, at + (k + 1) * h * w),
        ends[end + 2 * k], ends[end + 2 * k + 1])));
    }
    return cache.get(key);
  }
  function ends(slot, index) {
    const at = offsets[slot * layers.length + index][1];
    return kit.bytes(model, "ranges", Float32Array).subarray(at, at + 2 * layers[index].c);
  }
  function present() {
    const index = get("layer"), how = get("show"), key = `${how} ${index} maps`;
    if (how === "a") return values(0, index);
    if (how === "b") return values(1, index);
    if (!cache.has(key)) cache.set(key, values(0, index).map((a, k) => subtract(a, values(1, index)[k])));
    return cache.get(key);
  }
  /** Colour scale of the whole layer, of both pictures where there are two: [limit, signed]. */
  function common(share) {
    const index = get("layer"), difference = get("show") === "difference", key = `${index} ${difference} ${share}`;
    if (!cache.has(key)) {
      const maps = difference ? present() : shown.flatMap((_, slot) => values(slot, index));
      const flat = new Float32Array(maps.reduce((n, m) => n + m.length, 0));
      let at = 0;
      for (const m of maps) { flat.set(m, at); at += m.length; }
      cache.set(key, [limitOf(flat, share) || limitOf(flat), flat.some((v) => v < 0)]);
    }
    return cache.get(key);
  }

  // -- state

  const at = () => layers[get("layer")];
  const channel = () => clamp(get("channel"), 0, at().c - 1);
  const cell = () => [clamp(get("cell")[0], 0, at().h - 1), clamp(get("cell")[1], 0, at().w - 1)];
  function set(changes) {
    if ("layer" in changes) { // keep the place in the picture, and a channel that exists
      const [i, j] = cell(), old = at(), next = layers[changes.layer];
      changes.cell = [Math.floor(((i + 0.5) * next.h) / old.h), Math.floor(((j + 0.5) * next.w) / old.w)];
      changes.channel = Math.min(channel(), next.c - 1);
      hover = null;
    }
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    page = Math.floor(channel() / PAGE);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 250);
    paint();
  }

  // -- controls

  let layerSelect, showChoice, scaleChoice, pager;
  function buildControls() {
    const name = (layer) => `${layer.name || "the model"} (${layer.kind}): ${layer.c} × ${layer.h} × ${layer.w}`;
    layerSelect = kit.select({ label: "Layer", value: String(get("layer")), options: layers.map((l, i) => [String(i), name(l)]),
      onchange: (value) => set({ layer: +value }) });
    showChoice = kit.choice({ label: "Show", value: get("show"), options: Object.entries(SHOWN),
      onchange: (value) => set({ show: value }) });
    scaleChoice = kit.choice({ label: "Scale", value: get("scale"), options: Object.entries(SCALES),
      onchange: (value) => set({ scale: value }) });
    pager = el("span", { class: "dln-control" });
    f.controls.replaceChildren(layerSelect.node, ...(shown.length > 1 ? [showChoice.node] : []), scaleChoice.node, pager);
    if (alive) f.controls.append(liveControls());
  }

  function liveControls() {
    const live = el("div", { class: "dln-live" });
    const many = get("count");
    shown.forEach((_, slot) => {
      const letter = "AB"[slot];
      if (many > shown.length || many > 2) {
        const input = el("input", { type: "number", min: 0, max: many - 1, id: kit.uid("index"), class: "dln-features-index" });
        input.value = Math.max(0, get("sources")[slot]);
        input.addEventListener("change", () => model.send({ type: "picture", slot, index: clamp(Math.round(+input.value) || 0, 0, many - 1) }));
        live.append(el("div", { class: "dln-control" }, el("label", { for: input.id, text: `Picture ${letter}, number` }), input));
      }
      const file = el("input", { type: "file", accept: "image/*", id: kit.uid("file"), class: "dln-features-file" });
      file.addEventListener("change", async () => { if (file.files[0]) upload(slot, await createImageBitmap(file.files[0])); });
      live.append(el("div", { class: "dln-control" }, el("label", { for: file.id, text: `or your own ${letter}` }), file));
    });
    if (get("offers").length) {
      live.append(kit.select({ label: "Add a layer", value: "", options: [["", "choose"], ...get("offers").map((n) => [n, n || "the model"])],
        onchange: (name) => { if (name) model.send({ type: "layer", name }); } }).node);
    }
    return live;
  }

  /** A picture file, its middle square-cut to the model's proportions, as the bytes that Python wants. */
  function upload(slot, bitmap) {
    const [, c, h, w] = get("picture_shape"), draft = document.createElement("canvas");
    draft.width = w; draft.height = h;
    const context = draft.getContext("2d"), scale = Math.min(bitmap.width / w, bitmap.height / h);
    context.drawImage(bitmap, (bitmap.width - w * scale) / 2, (bitmap.height - h * scale) / 2, w * scale, h * scale, 0, 0, w, h);
    const { data } = context.getImageData(0, 0, w, h);
    let text = "";
    for (let i = 0; i < data.length; i += 4) {
      if (c === 3) text += String.fromCharCode(data[i], data[i + 1], data[i + 2]);
      else text += String.fromCharCode(Math.round(0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]));
    }
    model.send({ type: "upload", slot, data: btoa(text) });
  }

  // -- pointing

  let columnsOfGrid = 1, sizeOfGrid = 40;
  const place = (node, event) => {
    const box = node.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const cellAt = (x, y) => [clamp(Math.floor(y * at().h), 0, at().h - 1), clamp(Math.floor(x * at().w), 0, at().w - 1)];
  /** Map, row and column under a point of the grid. */
  function mapAt(x, y) {
    const tall = sizeOfGrid * (at().h / at().w), px = (x * grid.clientWidth) / sizeOfGrid, py = (y * grid.clientHeight) / tall;
    const k = page * PAGE + Math.floor(py) * columnsOfGrid + Math.floor(px);
    if (px >= columnsOfGrid || k >= at().c || k < 0) return null;
    return { channel: k, cell: cellAt(px % 1, py % 1) };
  }
  kit.drag(big, (x, y, phase) => { if (phase !== "end") { hover = null; set({ cell: cellAt(x, y) }); } });
  kit.drag(grid, (x, y, phase) => {
    const found = phase === "end" ? null : mapAt(clamp(x, 0, 0.9999), clamp(y, 0, 0.9999));
    if (found) { hover = null; set(found); }
  });
  grid.style.touchAction = "pan-y"; // a tall grid must not hold the page
  kit.arrows(big, (dx, dy, event) => {
    const by = event.shiftKey ? 8 : 1, [i, j] = cell();
    hover = null;
    set({ cell: [clamp(i + dy * by, 0, at().h - 1), clamp(j + dx * by, 0, at().w - 1)] });
  });
  kit.arrows(grid, (dx, dy) => {
    hover = null;
    const target = Math.abs(dx) === Infinity ? (dx < 0 ? 0 : at().c - 1) : channel() + dx + dy * columnsOfGrid;
    if (target >= 0 && target < at().c) set({ channel: target });
    else if (at().c === 1 && dx) set({ cell: [cell()[0], clamp(cell()[1] + dx, 0, at().w - 1)] });
    else if (dy) set({ channel: dy > 0 ? at().c - 1 : 0 });
  });
  for (const [node, find] of [[big, (x, y) => ({ channel: channel(), cell: cellAt(x, y) })], [grid, mapAt]]) {
    node.addEventListener("pointermove", (event) => { if (!event.buttons) { hover = find(...place(node, event)); paint(); } });
    node.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { hover = null; paint(); } });
  }

  // -- drawing

  const readTheme = () => {
    theme = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "network"].map((role) => [role, kit.color(f.root, role)]));
  };
  const sheet = document.createElement("canvas");
  function cased(g, x, y, w, h, colour, line) {
    g.lineWidth = line + 2; g.strokeStyle = "#ffffff"; g.strokeRect(x, y, w, h);
    g.lineWidth = line; g.strokeStyle = colour; g.strokeRect(x, y, w, h);
  }

  function drawPhotos(where) {
    const layer = at(), [, , h, w] = get("picture_shape");
    shown.forEach((picture, i) => {
      const photo = photos[i], wide = photo.canvas.parentNode.clientWidth;
      if (!wide) return;
      photo.canvas.style.width = `${wide}px`;
      const g = kit.fit(photo.canvas, wide, (wide * h) / w), s = wide / w;
      g.imageSmoothingEnabled = false;
      g.drawImage(picture, 0, 0, wide, (wide * h) / w);
      const [top, bottom, left, right] = field(layer, where.cell, h, w);
      cased(g, left * s + 1, top * s + 1, Math.max((right - left + 1) * s - 2, 2), Math.max((bottom - top + 1) * s - 2, 2), theme.reader, 2);
      const caption = get("captions")[i];
      if (photo.caption.textContent !== caption) photo.caption.textContent = caption;
      photo.canvas.setAttribute("aria-label", `Picture ${"AB"[i]}: ${caption}. The frame is what the cell sees.`);
    });
  }
  /** First and last row, first and last column of the pixels that a cell depends on; its place where that is not known. */
  function field(layer, [i, j], h, w) {
    if (layer.rows.length) return [...layer.rows[i], ...layer.columns[j]];
    return [Math.floor((i * h) / layer.h), Math.ceil(((i + 1) * h) / layer.h) - 1,
      Math.floor((j * w) / layer.w), Math.ceil(((j + 1) * w) / layer.w) - 1];
  }

  /** [lo, hi, colour map] for one map. */
  function scaleOf(map, signed) {
    const how = get("scale");
    const limit = (how === "map" ? limitOf(map) : common(how === "shared" ? 1 : 0.99)[0]) || 1;
    return [signed ? -limit : 0, limit, signed ? "diverging" : "viridis"];
  }

  function drawMaps(maps, signed) {
    const { c, h, w } = at(), first = page * PAGE, count = Math.min(PAGE, c - first), wide = grid.parentNode.clientWidth;
    const least = Math.max(wide / 16, 24), tallest = 430;
    columnsOfGrid = clamp(Math.ceil(Math.sqrt((count * wide * h) / (w * tallest))), Math.min(count, 2), Math.max(1, Math.floor(wide / least)));
    sizeOfGrid = Math.min(wide / columnsOfGrid, 200);
    const tall = sizeOfGrid * (h / w), rows = Math.ceil(count / columnsOfGrid), full = sizeOfGrid * columnsOfGrid;
    grid.style.width = `${full}px`;
    const g = kit.fit(grid, full, rows * tall), gap = sizeOfGrid > 40 ? 2 : 1;
    g.clearRect(0, 0, full, rows * tall);
    g.imageSmoothingEnabled = false;
    if (sheet.width !== w || sheet.height !== h * count) { sheet.width = w; sheet.height = h * count; }
    const inner = sheet.getContext("2d"), image = inner.createImageData(w, h * count), out = image.data;
    for (let k = 0, o = 0; k < count; k++) {
      const map = maps[first + k], [lo, hi, colours] = scaleOf(map, signed), table = kit.lut(colours), scale = 255 / (hi - lo);
      for (let p = 0; p < map.length; p++, o += 4) {
        const v = (map[p] - lo) * scale, t = 3 * (v < 0 ? 0 : v > 255 ? 255 : v | 0);
        out[o] = table[t]; out[o + 1] = table[t + 1]; out[o + 2] = table[t + 2]; out[o + 3] = 255;
      }
    }
    inner.putImageData(image, 0, 0);
    for (let k = 0; k < count; k++) {
      const x = (k % columnsOfGrid) * sizeOfGrid, y = Math.floor(k / columnsOfGrid) * tall;
      g.drawImage(sheet, 0, k * h, w, h, x + gap / 2, y + gap / 2, sizeOfGrid - gap, tall - gap);
    }
    const k = channel() - first;
    if (k >= 0 && k < count) cased(g, (k % columnsOfGrid) * sizeOfGrid + 1.5, Math.floor(k / columnsOfGrid) * tall + 1.5, sizeOfGrid - 3, tall - 3, theme.reader, 2.5);
  }

  function drawBig(map, [lo, hi, colours], where) {
    const { h, w } = at(), wide = Math.min(big.parentNode.clientWidth, (300 * w) / h);
    big.style.width = `${wide}px`;
    const g = kit.fit(big, wide, (wide * h) / w), one = wide / w, cells = drawBig.cells ||= document.createElement("canvas");
    kit.paint(cells, map, w, h, { map: colours, lo, hi });
    g.imageSmoothingEnabled = false;
    g.drawImage(cells, 0, 0, wide, (wide * h) / w);
    const [i, j] = where.cell, side = Math.max(one, 5);
    cased(g, (j + 0.5) * one - side / 2, (i + 0.5) * one - side / 2, side, side, theme.reader, 2);
  }

  function drawLegend([lo, hi, colours]) {
    const table = kit.lut(colours), stops = [];
    for (let t = 0; t <= 8; t++) { const k = 3 * Math.round((255 * t) / 8); stops.push(`rgb(${table[k]}, ${table[k + 1]}, ${table[k + 2]})`); }
    bar.style.background = `linear-gradient(90deg, ${stops.join(", ")})`;
    low.textContent = number(lo); high.textContent = `${get("scale") === "percentile" ? "≥ " : ""}${number(hi)}`;
  }

  function words(map, where) {
    const layer = at(), index = get("layer"), how = get("show"), s = statistics(map), [i, j] = where.cell, p = i * layer.w + j;
    const lines = [`${layer.name || "the model"} (${layer.kind}), ${layer.c} × ${layer.h} × ${layer.w}`];
    lines.push(`map ${where.channel}, ${SHOWN[how]}: ${number(s.lo)} to ${number(s.hi)}, mean ${number(s.mean)}, zero in ${percent(s.zeros)}`);
    const at2 = shown.map((_, slot) => values(slot, index)[where.channel][p]);
    lines.push(`cell (${i}, ${j}): ${at2.length > 1 ? `A ${number(at2[0])}, B ${number(at2[1])}, A − B ${number(at2[0] - at2[1])}` : number(at2[0])}`);
    const [, , h, w] = get("picture_shape"), [top, bottom, left, right] = field(layer, where.cell, h, w);
    lines.push(`${layer.rows.length ? "sees" : "lies over"} rows ${top} to ${bottom}, columns ${left} to ${right} of the picture`);
    const still = shown.map((_, slot) => constants(ends(slot, index)));
    const both = still.length > 1 ? still[0].filter((k) => still[1].includes(k)) : still[0];
    lines.push(`constant maps: ${both.length} of ${layer.c}${shown.length > 1 ? " on both pictures" : ""}`
      + (both.length ? ` (${both.slice(0, 6).join(", ")}${both.length > 6 ? ", …" : ""})` : ""));
    return lines.join("\n");
  }

  function code(where) {
    const layer = at(), how = get("show"), [i, j] = where.cell, sources = get("sources"), lines = ["import torch"];
    lines.push("from dlnotes.capture import record", get("setup"), "");
    if (sources.some((s) => s < 0)) lines.push("# a picture of your own is shown here: put it into pictures (values in [0, 1])");
    const own = !get("setup").includes("batch("), slot = (n) => (own && sources[n] >= 0 ? sources[n] : n);
    lines.push(`with torch.no_grad(), record(model, ["${layer.name}"]) as seen:`,
      `    model(${get("transformed") ? "transform(pictures)" : "pictures"}.to(next(model.parameters())))`,
      `maps = seen.activations["${layer.name}"]          # b c h w`);
    lines.push(how === "difference" ? `m = maps[${slot(0)}, ${where.channel}] - maps[${slot(1)}, ${where.channel}]          # h w`
      : `m = maps[${slot(how === "b" ? 1 : 0)}, ${where.channel}]          # h w`);
    lines.push("print(m.min().item(), m.max().item(), m.mean().item())", `print(m[${i}, ${j}].item())`,
      `print((maps.amax((0, 2, 3)) == maps.amin((0, 2, 3))).sum().item(), "maps are zero everywhere, or one constant")`);
    return lines.join("\n");
  }

  const paint = kit.painter(() => {
    if (!width || !layers.length) return;
    const maps = present(), signed = common(1)[1], layer = at();
    layerSelect.set(String(get("layer"))); showChoice.set(get("show")); scaleChoice.set(get("scale"));
    const where = hover || { channel: channel(), cell: cell() };
    const map = maps[where.channel], scale = scaleOf(map, signed);
    drawPhotos(where); drawMaps(maps, signed); drawBig(map, scale, where); drawLegend(scale);
    bigLabel.textContent = `Map ${where.channel} of ${SHOWN[get("show")]}`;
    const last = Math.min((page + 1) * PAGE, layer.c), pages = Math.ceil(layer.c / PAGE);
    gridLabel.textContent = `Layer ${layer.name || "the model"}: maps ${page * PAGE} to ${last - 1}${pages > 1 ? ` of ${layer.c}` : ""}`;
    if (+pager.dataset.pages !== pages) {
      pager.dataset.pages = pages;
      pager.replaceChildren(...(pages < 2 ? [] : [kit.button({ label: "More maps", onclick: () => set({ channel: (((page + 1) % Math.ceil(at().c / PAGE)) * PAGE) }) })]));
    }
    note.textContent = [get("omitted"), get("problem") ? `That picture was refused: ${get("problem")}.` : ""].filter(Boolean).join(" ");
    note.hidden = !note.textContent;
    big.setAttribute("aria-label", `Map ${where.channel}, enlarged, cell row ${where.cell[0]}, column ${where.cell[1]}: arrow keys choose a cell`);
    grid.setAttribute("aria-label", `All ${layer.c} maps of ${layer.name || "the model"}, map ${channel()} chosen: arrow keys choose a map`);
    f.say(words(map, where));
    f.code(code({ channel: channel(), cell: cell() }));
  });

  // -- begin
  load(); buildControls(); readTheme();
  const renew = () => { load(); buildControls(); paint(); };
  const watched = ["layer", "channel", "cell", "show", "scale", "problem"];
  for (const name of watched) model.on(`change:${name}`, paint);
  model.on("change:revision", renew);
  const observer = new ResizeObserver(() => { const next = Math.floor(f.picture.clientWidth); if (next && next !== width) { width = next; paint(); } });
  observer.observe(f.picture);
  width = Math.floor(f.picture.clientWidth);
  const stop = kit.onTheme(() => { readTheme(); paint(); });
  paint();
  kit.live(model, () => { alive = true; buildControls(); paint(); });
  return () => {
    for (const name of watched) model.off(`change:${name}`, paint);
    model.off("change:revision", renew);
    observer.disconnect(); stop(); clearTimeout(saving);
  };
}

export const kernels = { dequantise, quantile, limitOf, statistics, subtract, constants };

export default { render };
