// Where one query looks: a softmax over stored scores for every layer and head, redrawn with each patch the reader touches.
// Tokens are numbered as in the model: first the prefix (class token), then the patches row by row.

/** Scores of one row from their codes: -step * code; the top code stands for -Infinity (masked). */
function dequantise(codes, step, top) {
  const scores = new Float64Array(codes.length);
  for (let i = 0; i < codes.length; i++) scores[i] = codes[i] === top ? -Infinity : -step * codes[i];
  return scores;
}

/** softmax(factor · scores). The largest score is subtracted first: nothing overflows. A row of -Infinity gives zeros. */
function softmaxRow(scores, factor = 1) {
  const n = scores.length, weights = new Float64Array(n);
  let largest = -Infinity, sum = 0;
  for (let i = 0; i < n; i++) if (scores[i] > largest) largest = scores[i];
  if (largest === -Infinity) return weights;
  for (let i = 0; i < n; i++) sum += weights[i] = Math.exp(factor * (scores[i] - largest));
  for (let i = 0; i < n; i++) weights[i] /= sum;
  return weights;
}

/** Entropy of a row of weights in bits: 0 when one key takes all, log2(n) when all share. */
function entropy(weights) {
  let bits = 0;
  for (const p of weights) if (p > 0) bits -= p * Math.log2(p);
  return bits;
}

/** Mean of several arrays of one length. */
function mean(rows) {
  const out = new Float64Array(rows[0].length);
  for (const row of rows) for (let i = 0; i < out.length; i++) out[i] += row[i] / rows.length;
  return out;
}

/**
 * One row of attention rollout (Abnar & Zuidema 2020): `layers` are n × n weights, heads averaged, the first layer first.
 * A layer passes half of what it has along the residual connection. Only the asked row is carried from the top layer down,
 * which costs n² a layer instead of n³.
 */
function rolloutRow(layers, n, query) {
  let row = new Float64Array(n);
  row[query] = 1;
  for (let l = layers.length - 1; l >= 0; l--) {
    const weights = layers[l], next = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      if (row[i] === 0) continue;
      let sum = 1;
      for (let j = 0; j < n; j++) sum += weights[i * n + j];
      const share = row[i] / sum; // rows are normalised again, which matters only where all keys were masked
      for (let j = 0; j < n; j++) next[j] += share * weights[i * n + j];
      next[i] += share;
    }
    row = next;
  }
  return row;
}

/** The whole n × n rollout. */
function rollout(layers, n) {
  const out = new Float64Array(n * n);
  for (let q = 0; q < n; q++) out.set(rolloutRow(layers, n, q), q * n);
  return out;
}

/** Indices of the `count` largest values, largest first; ties in order. */
function largest(values, count) {
  return Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b).slice(0, count);
}

const percent = (p) => `${p > 0 && p < 0.0005 ? "<0.1" : (100 * p).toFixed(1)}\u00a0%`;

function render({ model, el: host }) {
  const { el } = kit;
  const get = (name) => model.get(name);
  const f = kit.frame(host, { model,
    title: "Where a patch looks",
    hint: "Pick a patch in the picture (click, drag, arrow keys). The map shows where it looks; "
      + "the three other patches it looks at most are outlined.",
  });

  // -- what Python sent
  let rows, columns, prefix, tokens, heads, depth, codes, top, place, complete, photo, thumbRows;
  const averages = { key: null, layers: null };
  function unpack() {
    [rows, columns] = get("grid");
    prefix = get("prefix");
    heads = get("heads");
    depth = get("layers").length;
    tokens = prefix + rows * columns;
    top = 2 ** get("bits") - 1;
    codes = kit.bytes(model, "scores", get("bits") === 16 ? Uint16Array : Uint8Array);
    place = new Map(get("blocks").map(([p, l], i) => [`${p},${l}`, i]));
    averages.key = photo = null;
    thumbRows = Array.from({ length: depth }, (_, l) => l).filter((l) => place.has(`0,${l}`));
    complete = thumbRows.length === depth;
  }
  const stored = (layer, picture = get("picture")) => place.has(`${picture},${layer}`);
  const cellOf = (token) => [Math.floor((token - prefix) / columns), (token - prefix) % columns];
  const nameOf = (token, space = "\u00a0") => {
    if (token < prefix) return token === 0 ? "class token" : `extra token ${token}`;
    return `(${cellOf(token).join(`,${space}`)})`;
  };
  const lastRolled = () => (complete ? get("layer") : depth - 1);

  // -- weights
  function weightsOf(layer, head, query, factor) {
    const at = place.get(`${get("picture")},${layer}`) * heads + head;
    const start = (at * tokens + query) * tokens;
    return softmaxRow(dequantise(codes.subarray(start, start + tokens), get("steps")[at], top), factor);
  }
  function averaged() { // heads averaged, for rollout: kept until the picture or the factor changes
    const factor = get("factor"), key = `${get("picture")} ${factor}`;
    if (averages.key !== key) {
      averages.key = key;
      averages.layers = thumbRows.map((layer) => {
        const matrix = new Float64Array(tokens * tokens);
        for (let q = 0; q < tokens; q++) {
          const each = Array.from({ length: heads }, (_, h) => weightsOf(layer, h, q, factor));
          matrix.set(mean(each), q * tokens);
        }
        return matrix;
      });
    }
    return averages.layers;
  }
  function storedRollout(query) { // where layers are left out, Python's rollout of all of them
    const start = (get("picture") * tokens + query) * tokens, step = get("rollout_steps")[get("picture")];
    return Float64Array.from(kit.bytes(model, "rollouts", Uint16Array).subarray(start, start + tokens), (c) => step * c);
  }
  /** For the present query: for each stored layer its heads, their mean, and the rollout up to it. */
  function allRows() {
    const query = get("query"), factor = get("factor");
    return thumbRows.map((layer, i) => {
      const each = Array.from({ length: heads }, (_, h) => weightsOf(layer, h, query, factor));
      each.push(mean(each));
      if (complete) each.push(rolloutRow(averaged().slice(0, i + 1), tokens, query));
      return each;
    });
  }

  // -- the stage: picture, map, all maps
  const strip = () => el("div", { class: "dln-attention-strip" });
  const label = () => el("div", { class: "dln-attention-label" });
  const board = (text) => el("canvas", { tabindex: "0", role: "application", "aria-label": text });
  const left = { label: label(), strip: strip(), foot: el("div", { class: "dln-attention-foot" }),
    canvas: board("Picture. Arrow keys move the query patch; up from the first row is the class token.") };
  const middle = { label: label(), strip: strip(), foot: el("div", { class: "dln-attention-foot" }),
    canvas: board("Attention map. Arrow keys move to a key patch and tell its weight; Escape leaves it.") };
  const right = { label: label(), canvas: board("All maps: layers as rows, heads as columns. Arrow keys choose.") };
  right.label.textContent = "Layers ↓, heads →";
  const column = (part, name) => el("div", { class: `dln-attention-column dln-attention-${name}` },
    part.label, part.strip, part.canvas, part.foot);
  const stage = el("div", { class: "dln-attention-stage" },
    column(left, "query"), column(middle, "map"), column(right, "all"));
  const note = el("div", { class: "dln-hint" });
  const table = el("div", { class: "dln-attention-numbers", tabindex: "0", role: "region",
    "aria-label": "Weights of the query over all keys, in percent" });
  f.picture.append(el("div", { class: "dln-attention" }, stage), note, table);

  const bar = el("canvas", { class: "dln-attention-bar", "aria-hidden": "true" });
  const high = el("span"), even = el("div");
  middle.foot.append(el("div", { class: "dln-attention-legend" }, el("span", { text: "0 %" }), bar, high), even);

  const some = (count, from = 0) => Array.from({ length: count }, (_, i) => [String(i), String(i + from)]);
  let classButtons = [], classCells = [], numberCells = [];
  function build() { // what depends on the number of tokens
    classButtons = [];
    classCells = [];
    for (let t = 0; t < prefix; t++) {
      const button = kit.button({ label: nameOf(t), onclick: () => choose({ query: t }) });
      classButtons.push(button);
      const swatch = el("span", { class: "dln-attention-swatch" }), text = el("span");
      const cell = el("div", { class: "dln-attention-cell" }, swatch, text);
      cell.addEventListener("pointerenter", () => inspect(t));
      cell.addEventListener("pointerleave", () => inspect(null));
      classCells.push({ cell, swatch, text });
    }
    left.strip.replaceChildren(...classButtons);
    middle.strip.replaceChildren(...classCells.map((c) => c.cell));
    left.strip.hidden = middle.strip.hidden = prefix === 0;
    numberCells = Array.from({ length: tokens }, (_, t) => el("td", { class: t < prefix ? "dln-attention-prefix" : "" }));
    const line = (r) => el("tr", {}, el("th", { scope: "row", text: `row ${r}` }),
      ...numberCells.slice(prefix + r * columns, prefix + (r + 1) * columns));
    table.replaceChildren(el("table", {},
      el("caption", { text: "weights in percent" }),
      el("thead", {}, el("tr", {}, el("td"), ...some(columns).map(([c]) => el("th", { scope: "col", text: c })))),
      el("tbody", {}, ...Array.from({ length: prefix }, (_, t) => {
        numberCells[t].setAttribute("colspan", columns);
        return el("tr", {}, el("th", { scope: "row", text: t ? `extra ${t}` : "class" }), numberCells[t]);
      }), ...Array.from({ length: rows }, (_, r) => line(r)))));
  }

  // -- state: in the model, so that Python sees it; saved when the reader pauses
  let saving;
  function choose(changes) {
    for (const [name, value] of Object.entries(changes)) if (get(name) !== value) model.set(name, value);
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), "layer" in changes || "picture" in changes ? 0 : 200);
  }
  let key = null; // the key patch under the pointer or the keyboard's cursor
  function inspect(token) { if (token !== key) { key = token; paint(); } }

  const move = (token, dx, dy) => { // one step in the grid; above the first row lies the class token
    if (token < prefix) return dy > 0 ? prefix + Math.min(columns >> 1, columns - 1) : token;
    const [r, c] = cellOf(token);
    if (r + dy < 0 && prefix) return 0;
    const row = Math.max(0, Math.min(rows - 1, r + dy)), col = Math.max(0, Math.min(columns - 1, c + dx));
    return prefix + row * columns + col;
  };
  const tokenAt = (x, y) => {
    const inside = (v, count) => Math.max(0, Math.min(count - 1, Math.floor(v * count)));
    return prefix + inside(y, rows) * columns + inside(x, columns);
  };
  kit.drag(left.canvas, (x, y, phase) => { if (phase !== "end") choose({ query: tokenAt(x, y) }); });
  kit.arrows(left.canvas, (dx, dy) => choose({ query: move(get("query"), dx, dy) }));
  kit.drag(middle.canvas, (x, y, phase) => { if (phase !== "end") inspect(tokenAt(x, y)); });
  middle.canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse") return;
    const box = middle.canvas.getBoundingClientRect();
    inspect(tokenAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
  });
  middle.canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") inspect(null); });
  middle.canvas.addEventListener("keydown", (event) => { if (event.key === "Escape") inspect(null); });
  kit.arrows(middle.canvas, (dx, dy) => inspect(key === null ? get("query") : move(key, dx, dy)));

  const columnsOfAll = () => heads + 1 + (complete ? 1 : 0);
  const pick = (row, col) => choose({ layer: thumbRows[Math.max(0, Math.min(thumbRows.length - 1, row))],
    ...(col > heads ? { view: "rollout" } : { view: "attention", head: col === heads ? -1 : Math.max(0, col) }) });
  const columnOf = (head) => (head < 0 ? heads : head); // the mean stands right of the heads, rollout right of the mean
  const picked = () => [thumbRows.indexOf(get("layer")), get("view") === "rollout" ? heads + 1 : columnOf(get("head"))];
  right.canvas.addEventListener("click", (event) => {
    const box = right.canvas.getBoundingClientRect(), { x0, y0, w, h } = layout.all, scale = right.canvas.clientWidth / box.width;
    const row = Math.floor(((event.clientY - box.top) * scale - y0) / h), col = Math.floor(((event.clientX - box.left) * scale - x0) / w);
    pick(row, Math.min(columnsOfAll() - 1, col));
  });
  kit.arrows(right.canvas, (dx, dy) => {
    const [row, col] = picked();
    pick(row + dy, Math.max(0, Math.min(columnsOfAll() - 1, col + dx)));
  });

  // -- controls
  let alive = false;
  const among = (options) => (options.length > 10 ? kit.select : kit.choice);
  let pictureChoice, layerChoice, headChoice;
  const firstRow = el("div", { class: "dln-attention-row" });
  const viewChoice = kit.choice({ label: "view", value: get("view"), onchange: (view) => choose({ view }),
    options: [["attention", "attention"], ["rollout", "rollout"]] });
  const another = kit.el("div", { class: "dln-live" },
    kit.button({ label: "another picture", onclick: () => model.send({ type: "picture" }) }));
  const root = Math.sqrt(get("width") || 0), snap = (v) => (root && Math.abs(v - Math.log2(root)) < 0.07 ? root : 2 ** v);
  const times = (v) => (v >= 1 ? v.toFixed(v % 1 ? 2 : 0) : v.toPrecision(2));
  const factorSlider = kit.slider({ label: `scale: 1/√${get("width") || "d"} ×`, min: -3, max: 3, step: 0.125,
    value: Math.log2(get("factor")), format: (v) => times(snap(v)), oninput: (v) => choose({ factor: snap(v) }) });
  const trained = kit.button({ label: "as trained", onclick: () => choose({ factor: 1 }) });
  const without = root ? kit.button({ label: "without √d", onclick: () => choose({ factor: root }) }) : null;
  const coloursChoice = kit.select({ label: "colours", value: get("colours"), onchange: (colours) => choose({ colours }),
    options: [["map", "each map: 0 to its largest"], ["shared", "all maps alike"], ["absolute", "0 to 100 %"]] });
  const heatSlider = kit.slider({ label: "map over picture", min: 0, max: 1, step: 0.05, value: get("heat"),
    format: (v) => `${Math.round(100 * v)} %`, oninput: (heat) => choose({ heat }) });
  const numbersToggle = kit.toggle({ label: "the row as numbers", value: get("numbers"),
    onchange: (numbers) => choose({ numbers }) });
  f.controls.append(firstRow, el("div", { class: "dln-attention-row" }, factorSlider.node, trained, without),
    el("div", { class: "dln-attention-row" }, coloursChoice.node, heatSlider.node, numbersToggle.node));

  function buildControls() {
    const pictures = some(get("picture_shape")[0], 1);
    pictureChoice = among(pictures)({ label: "picture", options: pictures, value: String(get("picture")),
      onchange: (v) => choose({ picture: +v }) });
    const layers = some(depth);
    layerChoice = among(layers)({ label: "layer", options: layers, value: String(get("layer")),
      onchange: (v) => choose({ layer: +v }) });
    const choices = [...some(heads), ["-1", "mean"]];
    headChoice = among(choices)({ label: "head", options: choices, value: String(get("head")),
      onchange: (v) => choose({ head: +v }) });
    const live = alive && get("more") ? another : "";
    const which = pictures.length > 1 ? pictureChoice.node : "";
    firstRow.replaceChildren(which, live, layerChoice.node, headChoice.node, viewChoice.node);
    const inputs = layerChoice.inputs || new Map(Array.from(layerChoice.input.options, (o) => [o.value, o]));
    for (const [layer, input] of inputs) input.disabled = !alive && !stored(+layer);
  }
  function showControls() {
    pictureChoice.set(String(get("picture")));
    layerChoice.set(String(get("layer")));
    headChoice.set(String(get("head")));
    viewChoice.set(get("view"));
    factorSlider.set(Math.log2(get("factor")));
    coloursChoice.set(get("colours"));
    heatSlider.set(get("heat"));
    numbersToggle.set(get("numbers"));
    const rolled = get("view") === "rollout";
    headChoice.node.classList.toggle("dln-attention-off", rolled);
    for (const input of headChoice.inputs ? headChoice.inputs.values() : [headChoice.input]) input.disabled = rolled;
    const fixed = rolled && !complete;
    for (const input of [factorSlider.input, trained, without]) if (input) input.disabled = fixed;
  }

  // -- drawing
  const theme = {};
  const readTheme = () => {
    for (const role of ["reader", "network", "ink", "muted", "paper", "on-reader"]) theme[role] = kit.color(f.root, role);
  };
  const layout = { left: 0, middle: 0, right: 0, all: { x0: 0, y0: 0, w: 1, h: 1 } };
  const measure = () => {
    for (const [name, part] of [["left", left], ["middle", middle], ["right", right]]) {
      layout[name] = Math.floor(part.canvas.parentElement.clientWidth);
    }
  };
  const cells = document.createElement("canvas"), all = document.createElement("canvas");

  function photograph() {
    if (photo && photo.picture === get("picture")) return photo;
    const [, h, w] = get("picture_shape"), raw = kit.bytes(model, "pictures"), start = get("picture") * h * w * 3;
    const make = (colour) => {
      const canvas = el("canvas", { width: w, height: h }), context = canvas.getContext("2d");
      const image = context.createImageData(w, h);
      for (let i = 0; i < w * h; i++) {
        const [r, g, b] = raw.subarray(start + 3 * i, start + 3 * i + 3);
        image.data.set([...colour(r, g, b), 255], 4 * i);
      }
      context.putImageData(image, 0, 0);
      return canvas;
    };
    const grey = (r, g, b) => Array(3).fill(0.299 * r + 0.587 * g + 0.114 * b); // colours under the map would change its own
    photo = { picture: get("picture"), plain: make((r, g, b) => [r, g, b]), grey: make(grey) };
    return photo;
  }

  function outline(context, token, w, h, colour, width, inset = 0) { // with a halo, so that it stands out on any picture
    if (token === null || token < prefix) return;
    const [r, c] = cellOf(token), cw = w / columns, ch = h / rows, d = width / 2 + inset;
    const box = [c * cw + d, r * ch + d, cw - 2 * d, ch - 2 * d];
    context.strokeStyle = theme["on-reader"];
    context.lineWidth = width + 2;
    context.strokeRect(...box);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(...box);
  }

  function chip(context, text, token, w, h) { // the weight beside a key, kept inside the picture
    const [r, c] = cellOf(token), cw = w / columns, ch = h / rows;
    context.font = "600 13px system-ui, sans-serif";
    const width = context.measureText(text).width + 12;
    const x = Math.max(0, Math.min(w - width, (c + 0.5) * cw - width / 2));
    const y = r * ch > 26 ? r * ch - 25 : (r + 1) * ch + 3;
    context.fillStyle = theme.paper;
    context.fillRect(x, y, width, 22);
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.strokeRect(x + 0.5, y + 0.5, width - 1, 21);
    context.fillStyle = theme.ink;
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.fillText(text, x + width / 2, y + 11.5);
  }

  function fitted(part, name) {
    const [, h, w] = get("picture_shape");
    const width = Math.min(layout[name], Math.round((440 * w) / h)), height = Math.round((width * h) / w);
    part.canvas.style.width = `${width}px`;
    const context = kit.fit(part.canvas, width, height);
    context.imageSmoothingEnabled = false;
    return { context, width, height };
  }

  function drawPicture(best) {
    const { context, width, height } = fitted(left, "left");
    context.drawImage(photograph().plain, 0, 0, width, height);
    context.strokeStyle = "rgba(128, 128, 128, 0.55)";
    context.lineWidth = 1;
    context.beginPath();
    for (let c = 1; c < columns; c++) {
      const x = Math.round((c * width) / columns) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    for (let r = 1; r < rows; r++) {
      const y = Math.round((r * height) / rows) + 0.5;
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
    for (const token of best) outline(context, token, width, height, theme.network, 2, 1);
    outline(context, get("query"), width, height, theme.reader, width / columns > 12 ? 4 : 2);
    outline(context, key, width, height, theme.ink, 2, 2);
  }

  function drawMap(row, limit) {
    const { context, width, height } = fitted(middle, "middle");
    kit.paint(cells, row.subarray(prefix), columns, rows, { hi: limit });
    context.globalAlpha = 1;
    context.drawImage(photograph().grey, 0, 0, width, height);
    context.globalAlpha = get("heat");
    context.drawImage(cells, 0, 0, width, height);
    context.globalAlpha = 1;
    outline(context, get("query"), width, height, theme.reader, width / columns > 12 ? 3 : 2);
    if (key !== null && key >= prefix) {
      outline(context, key, width, height, theme.ink, 2);
      chip(context, percent(row[key]), key, width, height);
    }
    const strength = kit.lut("viridis");
    classCells.forEach(({ cell, swatch, text }, t) => {
      const k = 3 * Math.round(255 * Math.min(1, row[t] / (limit || 1)));
      swatch.style.background = `rgb(${strength[k]}, ${strength[k + 1]}, ${strength[k + 2]})`;
      text.textContent = `${nameOf(t)} ${percent(row[t])}`;
      cell.classList.toggle("dln-attention-here", key === t);
    });
  }

  function drawLegend(limit, over) {
    const width = 256, context = bar.getContext("2d"), table256 = kit.lut("viridis");
    if (bar.width !== width) { bar.width = width; bar.height = 14; }
    for (let x = 0; x < width; x++) {
      context.fillStyle = `rgb(${table256[3 * x]}, ${table256[3 * x + 1]}, ${table256[3 * x + 2]})`;
      context.fillRect(x, 0, 1, 14);
    }
    const at = Math.round((width * (1 / tokens)) / (limit || 1));
    if (at < width - 2) {
      context.fillStyle = "#ffffff";
      context.fillRect(at - 1, 0, 4, 14);
      context.fillStyle = "#000000";
      context.fillRect(at, 0, 2, 14);
    }
    high.textContent = percent(limit);
    const share = `even share ${percent(1 / tokens)}`;
    even.textContent = `${at < width - 2 ? "▏" : ""}${share}${over ? "; itself off the scale" : ""}`;
  }

  function drawAll(everything, limitOf) {
    const count = columnsOfAll(), lines = thumbRows.length, [, h, w] = get("picture_shape");
    const x0 = 26, y0 = 20, gap = count > 8 || lines > 8 ? 2 : 4, shape = h / w;
    const room = Math.min(layout.right, 640) - x0;
    const cw = Math.min(room / count, (420 / lines - gap) / shape + gap); // not taller than 440
    const ch = (cw - gap) * shape + gap, width = Math.ceil(x0 + cw * count), height = y0 + Math.ceil(ch * lines);
    layout.all = { x0, y0, w: cw, h: ch };
    right.canvas.style.width = `${width}px`;
    const context = kit.fit(right.canvas, width, height);
    context.clearRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "center";
    const [selectedRow, selectedColumn] = picked();
    if (all.width !== count * columns || all.height !== lines * rows) {
      all.width = count * columns;
      all.height = lines * rows;
    }
    const inner = all.getContext("2d"), image = inner.createImageData(all.width, all.height), colours = kit.lut("viridis");
    everything.forEach((each, r) => each.forEach((row, c) => {
      const scale = 255 / (limitOf(row, c > heads) || 1);
      for (let i = 0; i < rows * columns; i++) {
        const k = 3 * Math.min(255, Math.floor(row[prefix + i] * scale));
        const o = 4 * ((r * rows + Math.floor(i / columns)) * all.width + c * columns + (i % columns));
        image.data[o] = colours[k];
        image.data[o + 1] = colours[k + 1];
        image.data[o + 2] = colours[k + 2];
        image.data[o + 3] = 255;
      }
    }));
    inner.putImageData(image, 0, 0);
    for (let c = 0; c < count; c++) {
      const names = c < heads ? [`${c}`] : c === heads ? ["mean", "m"] : ["rollout", "roll", "r"];
      const name = names.find((text) => context.measureText(text).width < cw) || "";
      context.fillStyle = c === selectedColumn ? theme.ink : theme.muted;
      context.fillText(name, x0 + (c + 0.5) * cw, y0 / 2 - 1);
      for (let r = 0; r < lines; r++) {
        const x = x0 + c * cw + gap / 2, y = y0 + r * ch + gap / 2;
        context.drawImage(all, c * columns, r * rows, columns, rows, x, y, cw - gap, ch - gap);
      }
    }
    for (let r = 0; r < lines; r++) {
      context.fillStyle = r === selectedRow ? theme.ink : theme.muted;
      context.fillText(`${thumbRows[r]}`, x0 / 2, y0 + (r + 0.5) * ch);
    }
    if (selectedRow >= 0 && selectedColumn < count) {
      context.strokeStyle = theme.reader;
      context.lineWidth = 3;
      context.strokeRect(x0 + selectedColumn * cw + 0.5, y0 + selectedRow * ch + 0.5, cw - 1, ch - 1);
    }
  }

  function drawNumbers(row, best) {
    table.hidden = !get("numbers");
    if (table.hidden) return;
    numberCells.forEach((cell, t) => {
      const text = (100 * row[t]).toFixed(1);
      if (cell.textContent !== text) cell.textContent = text;
      cell.classList.toggle("dln-attention-best", best.includes(t));
      cell.classList.toggle("dln-attention-asked", t === get("query"));
    });
  }

  function words(row) {
    const query = get("query"), rolled = get("view") === "rollout", bits = entropy(row), full = Math.log2(tokens);
    const head = get("head") < 0 ? "mean of heads" : `head ${get("head")}`;
    const name = get("note") ? ` (${get("layers")[get("layer")].name})` : ""; // where a layer's number says too little
    const what = rolled ? `rollout through layers 0 to ${lastRolled()}` : `layer ${get("layer")}${name}, ${head}`;
    const list = largest(row, 3).map((t) => `${nameOf(t)} ${percent(row[t])}`).join(", ");
    const asked = query < prefix ? nameOf(query) : `row ${cellOf(query)[0]}, column ${cellOf(query)[1]}`;
    const lines = [`query ${asked} · ${what} · scale × ${times(get("factor"))}`];
    if (bits === 0 && row.every((p) => p === 0)) lines.push("all keys are masked: this query looks at nothing");
    else {
      const like = (2 ** bits).toFixed(1);
      lines.push(`entropy ${bits.toFixed(2)} of ${full.toFixed(2)} bits, like ${like} equal keys of ${tokens}`);
      lines.push(`most: ${list}`);
      const on = Array.from({ length: prefix }, (_, t) => `${nameOf(t)} ${percent(row[t])}`);
      lines.push([...on, `itself ${percent(row[query])}`].join(" · "));
    }
    lines.push(key === null ? "point at the map to read one weight"
      : `key ${nameOf(key)}: ${percent(row[key])}, ${(row[key] * tokens).toFixed(1)} × an even share`);
    if (get("factor") !== 1) lines.push("the scale acts on these scores only: later layers saw the trained one");
    return lines.join("\n");
  }

  function code() {
    const factor = get("factor"), query = get("query"), layer = get("layers")[get("layer")];
    const picture = get("sources")[get("picture")];
    const by = factor === root ? `${get("width")} ** 0.5` : `${+factor.toFixed(6)}`;
    const soft = (scores) => `${factor === 1 ? scores : `(${by} * ${scores})`}.softmax(-1)`;
    const part = query < prefix ? nameOf(query) : `patch ${nameOf(query, " ")}`;
    const images = get("transformed") ? "transform(images)" : "images";
    const run = ["import torch", "from dlnotes.capture import record", get("setup"), "",
      "with torch.no_grad(), record(model, attention=True) as seen:", `    model(${images})`, "",
      `# the query is token ${query}: ${part}`];
    if (get("view") === "rollout") {
      const layers = get("layers").slice(0, lastRolled() + 1).map((l) => l.index).join(", ");
      run.splice(1, 0, "from dlnotes.attention import attention_rollout");
      run.push(`scores = [seen.attention[i].logits[${picture}] for i in [${layers}]]   # heads queries keys`,
        `row = attention_rollout([${soft("s")} for s in scores])[${query}]   # keys`);
    } else if (get("head") < 0) {
      run.push(`scores = seen.attention[${layer.index}].logits[${picture}]   # heads queries keys: q kᵀ / √d`,
        `row = ${soft(`scores[:, ${query}]`)}.mean(0)   # keys`);
    } else {
      run.push(`scores = seen.attention[${layer.index}].logits[${picture}, ${get("head")}]   # queries keys: q kᵀ / √d`,
        `row = ${soft(`scores[${query}]`)}   # keys`);
    }
    run.push(`print(row[${prefix}:].reshape(${rows}, ${columns}))   # weights of the patches`);
    return run.join("\n");
  }

  const paint = kit.painter(() => {
    if (!layout.left) return;
    showControls();
    const rolled = get("view") === "rollout", at = thumbRows.indexOf(get("layer"));
    note.textContent = [get("note"), get("omitted")].filter(Boolean).join(" ");
    note.hidden = !note.textContent;
    if (!stored(get("layer")) && !(rolled && !complete)) { // Python has been asked; without one the control is disabled
      f.say(`layer ${get("layer")} is not on this page`);
      return;
    }
    const everything = allRows();
    const row = rolled ? (complete ? everything[at][heads + 1] : storedRollout(get("query")))
      : everything[at][get("head") < 0 ? heads : get("head")];
    const peak = (values, but = -1) => {
      let most = 0;
      for (let i = prefix; i < values.length; i++) if (values[i] > most && i !== but) most = values[i];
      return most;
    };
    const query = get("query");
    const highest = () => Math.max(...everything.flat().map((values) => peak(values)));
    const common = { absolute: () => 1, shared: highest, map: () => 0 }[get("colours")]();
    // rollout leaves at least half of each layer with the query itself: its own cell would hide all others
    const limitOf = (values, isRolled) => common || peak(values, isRolled ? query : -1);
    const limit = limitOf(row, rolled);
    const best = largest(row.subarray(prefix), 4).map((t) => t + prefix).filter((t) => t !== query).slice(0, 3);
    drawPicture(best);
    drawMap(row, limit);
    drawLegend(limit, row[query] > limit && query >= prefix);
    drawAll(everything, limitOf);
    drawNumbers(row, largest(row, 3));
    left.label.textContent = `Query: ${nameOf(query)}`;
    left.foot.textContent = get("captions")[get("picture")] || "";
    middle.label.textContent = rolled ? `Rollout to layer ${lastRolled()}`
      : `Layer ${get("layer")}, ${get("head") < 0 ? "mean of heads" : `head ${get("head")}`}`;
    
    classButtons.forEach((button, t) => button.setAttribute("aria-pressed", String(query === t)));
    f.say(words(row));
    f.code(code());
  });

  // -- begin
  unpack();
  build();
  buildControls();
  readTheme();
  const renew = () => { unpack(); build(); buildControls(); paint(); };
  const watched = ["picture", "layer", "head", "query", "view", "factor", "colours", "heat", "numbers"];
  for (const name of watched) model.on(`change:${name}`, paint);
  model.on("change:revision", renew);
  const stopTheme = kit.onTheme(() => { readTheme(); paint(); });
  const observer = new ResizeObserver(() => { measure(); paint(); });
  observer.observe(stage);
  measure();
  paint();
  kit.live(model, () => { alive = true; buildControls(); paint(); });
  return () => {
    for (const name of watched) model.off(`change:${name}`, paint);
    model.off("change:revision", renew);
    observer.disconnect();
    stopTheme();
    clearTimeout(saving);
  };
}

export const kernels = { dequantise, softmaxRow, entropy, mean, rolloutRow, rollout, largest };

export default { render };
