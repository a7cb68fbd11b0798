// A convolution, or a transposed one, on small whole numbers: step over it and see what makes each output.

const minus = (value) => String(value).replace(/-/g, "−");
const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

/** Output size, the numbers of its formula, and what is wrong if there is none. */
function sizes(s) {
  const span = s.dilation * (s.kernel - 1) + 1;
  if (s.transposed) {
    const whole = (s.size - 1) * s.stride + span + s.outputPadding, out = whole - 2 * s.padding;
    const error = s.outputPadding >= Math.max(s.stride, s.dilation)
      ? `output padding ${s.outputPadding} must be below the stride ${s.stride} or the dilation ${s.dilation}`
      : out < 1 ? `the padding crops everything: ${whole} − 2·${s.padding} = ${minus(out)} outputs are left` : "";
    return { span, whole, out: error ? 0 : out, steps: error ? 0 : s.size, error };
  }
  const whole = s.size + 2 * s.padding, places = whole - span;
  const error = places < 0 ? `the kernel spans ${span} pixels, the padded input has ${whole}: no window fits` : "";
  const out = error ? 0 : Math.floor(places / s.stride) + 1;
  return { span, whole, places, out, steps: out, rest: error ? 0 : places % s.stride, error };
}

/** The whole numbers that fill input and weight; the shown PyTorch makes the same. */
const inputs = (count) => Float64Array.from({ length: count }, (_, k) => ((k * k * k) % 11) % 10);
const weights = (count) => Float64Array.from({ length: count }, (_, k) => ((k * k * k) % 5) - 2);

const perGroup = (s) => ({ cin: s.inChannels / s.groups, cout: s.outChannels / s.groups });

/** x (c, n, n) and weight (o, c / groups, k, k), both flat -> (o, m, m), flat. */
function conv2d(x, weight, s) {
  const { out: m } = sizes(s), { cin, cout } = perGroup(s), n = s.size, k = s.kernel;
  const y = new Float64Array(s.outChannels * m * m);
  for (let o = 0; o < s.outChannels; o++) for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) {
    let sum = 0;
    for (let c = 0; c < cin; c++) for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) {
      const r = i * s.stride + a * s.dilation - s.padding, q = j * s.stride + b * s.dilation - s.padding;
      if (r < 0 || q < 0 || r >= n || q >= n) continue;
      sum += x[((Math.floor(o / cout) * cin + c) * n + r) * n + q] * weight[((o * cin + c) * k + a) * k + b];
    }
    y[(o * m + i) * m + j] = sum;
  }
  return y;
}

/** x (c, n, n) and weight (c, o / groups, k, k) -> (o, m, m). With `until`, only the first stamps, in reading order. */
function convTranspose2d(x, weight, s, until = Infinity) {
  const { out: m } = sizes(s), { cin, cout } = perGroup(s), n = s.size, k = s.kernel;
  const y = new Float64Array(s.outChannels * m * m);
  for (let c = 0; c < s.inChannels; c++) for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
    if (i * n + j > until) continue;
    const value = x[(c * n + i) * n + j], first = Math.floor(c / cin) * cout;
    for (let o = 0; o < cout; o++) for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) {
      const r = i * s.stride + a * s.dilation - s.padding, q = j * s.stride + b * s.dilation - s.padding;
      if (r >= 0 && q >= 0 && r < m && q < m) y[((first + o) * m + r) * m + q] += value * weight[((c * cout + o) * k + a) * k + b];
    }
  }
  return y;
}

function cost(s) {
  const { out } = sizes(s), count = (s.outChannels * s.inChannels / s.groups) * s.kernel ** 2;
  const places = (s.transposed ? s.size : out) ** 2;
  return { weights: count, withBias: count + s.outChannels, places, multiplyAdds: count * places };
}

/** Input pixels of one channel that no window reads. */
function unread(s) {
  const { out } = sizes(s), seen = new Set(), n = s.size;
  for (let i = 0; i < out; i++) for (let a = 0; a < s.kernel; a++) seen.add(i * s.stride + a * s.dilation - s.padding);
  const rows = Array.from({ length: n }, (_, i) => seen.has(i)), read = rows.filter(Boolean).length;
  return { rows, count: n * n - read * read };
}

function python(s) {
  const { cin, cout } = perGroup(s);
  const shape = s.transposed ? [s.inChannels, cout, s.kernel, s.kernel] : [s.outChannels, cin, s.kernel, s.kernel];
  const xs = [1, s.inChannels, s.size, s.size], count = (list) => list.reduce((a, b) => a * b);
  const lines = ["import torch", "import torch.nn.functional as F", "",
    `x = (torch.arange(${count(xs)}).pow(3) % 11 % 10).double().reshape(${xs.join(", ")})  # b c h w`,
    `weight = (torch.arange(${count(shape)}).pow(3) % 5 - 2).double().reshape(${shape.join(", ")})`,
    s.transposed
      ? `y = F.conv_transpose2d(x, weight, None, stride=${s.stride}, padding=${s.padding}, `
        + `output_padding=${s.outputPadding}, groups=${s.groups}, dilation=${s.dilation})`
      : `y = F.conv2d(x, weight, None, stride=${s.stride}, padding=${s.padding}, dilation=${s.dilation}, groups=${s.groups})`,
    "print(tuple(y.shape), weight.numel(), \"weights\")"];
  lines.push(s.transposed
    ? `x.requires_grad_()\nvalue = x[0, ${s.first + s.source}, ${s.row}, ${s.column}]  # what is stamped`
    : `value = y[0, ${s.channel}, ${s.row}, ${s.column}]  # the marked output`);
  lines.push("print(value.item())");
  return lines.join("\n");
}

// ---- The widget.

const TRAITS = { size: "size", kernel: "kernel", stride: "stride", padding: "padding", dilation: "dilation",
  inChannels: "in_channels", outChannels: "out_channels", groups: "groups", transposed: "transposed",
  outputPadding: "output_padding", row: "row", column: "column", channel: "channel", source: "source", soFar: "so_far" };

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Convolution arithmetic",
    hint: "Arrow keys, or a press on a grid, move to another position. Each control changes one number of the formula." });
  frame.root.classList.add("dln-convolution");
  const s = Object.fromEntries(Object.entries(TRAITS).map(([key, trait]) => [key, model.get(trait)]));
  let z, x, weight, y, blocks = [], cw = 0, ink = null, pointed = null;

  const canvas = kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": "Position" });
  const key = (style, text) => kit.el("span", { class: style }, kit.el("i", { "aria-hidden": "true" }), text);
  const keys = { window: key("window", ""), result: key("result", ""), rim: key("rim", ""), unread: key("unread", "never read") };
  frame.picture.append(canvas, kit.el("div", { class: "dln-convolution-legend" }, ...Object.values(keys)));

  // -- state
  let saving, telling = false;
  function change(next, settle = true) {
    Object.assign(s, next);
    if (s.inChannels % s.groups || s.outChannels % s.groups) s.groups = 1;
    if (!s.transposed) s.outputPadding = 0;
    z = sizes(s);
    s.row = clamp(s.row, 0, Math.max(z.steps - 1, 0)); s.column = clamp(s.column, 0, Math.max(z.steps - 1, 0));
    s.channel = clamp(s.channel, 0, s.outChannels - 1);
    s.source = clamp(s.source, 0, s.inChannels / s.groups - 1);
    const { cin, cout } = perGroup(s);
    s.first = Math.floor(s.channel / cout) * cin; // first input channel of the shown output's group
    x = inputs(s.inChannels * s.size ** 2);
    weight = weights((s.outChannels * s.inChannels / s.groups) * s.kernel ** 2);
    y = z.error ? new Float64Array(0) : s.transposed
      ? convTranspose2d(x, weight, s, s.soFar ? s.row * s.size + s.column : Infinity) : conv2d(x, weight, s);
    sync();
    telling = true;
    for (const [name, trait] of Object.entries(TRAITS)) if (model.get(trait) !== s[name]) model.set(trait, s[name]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), settle ? 0 : 200);
    paint();
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const [name, trait] of Object.entries(TRAITS)) if (model.get(trait) !== s[name]) next[name] = model.get(trait);
    if (Object.keys(next).length) change(next);
  }
  function step(by) { // in reading order
    const n = z.steps;
    if (!n) return;
    const next = clamp(s.row * n + s.column + by, 0, n * n - 1);
    pointed = null;
    change({ row: Math.floor(next / n), column: next % n });
  }

  // -- controls
  const knob = (label, name, min, max) => kit.slider({ label, min, max, value: s[name],
    oninput: (value) => { pointed = null; change({ [name]: value }, false); } });
  const kind = kit.choice({ label: "Kind", value: s.transposed ? "yes" : "no",
    options: [["no", "convolution"], ["yes", "transposed"]],
    onchange: (value) => change({ transposed: value === "yes", row: 0, column: 0 }) });
  const knobs = { size: knob("Input", "size", 1, 12), kernel: knob("Kernel", "kernel", 1, 5), stride: knob("Stride", "stride", 1, 4),
    padding: knob("Padding", "padding", 0, 4), dilation: knob("Dilation", "dilation", 1, 3),
    outputPadding: knob("Output padding", "outputPadding", 0, 3), inChannels: knob("Channels in", "inChannels", 1, 8),
    outChannels: knob("Channels out", "outChannels", 1, 8) };
  const groups = kit.select({ label: "Groups", value: String(s.groups), options: [["1", "1"]],
    onchange: (value) => change({ groups: +value }) });
  const channel = knob("Show output", "channel", 0, 7), source = knob("Show input", "source", 0, 7);
  const soFar = kit.toggle({ label: "Only what is computed so far", value: s.soFar, onchange: (value) => change({ soFar: value }) });
  const back = kit.button({ label: "Previous", onclick: () => step(-1) }), next = kit.button({ label: "Next", onclick: () => step(1) });
  frame.controls.append(back, next, soFar.node, kind.node, ...["size", "kernel", "stride", "padding", "dilation", "outputPadding",
    "inChannels", "outChannels"].map((name) => knobs[name].node), groups.node, channel.node, source.node);
  function sync() {
    kind.set(s.transposed ? "yes" : "no");
    for (const [name, control] of Object.entries(knobs)) control.set(s[name]);
    knobs.outputPadding.node.hidden = !s.transposed;
    const fits = [1, 2, 3, 4, 5, 6, 7, 8].filter((g) => s.inChannels % g === 0 && s.outChannels % g === 0).map(String);
    if (groups.offers !== fits.join()) {
      groups.offers = fits.join();
      groups.input.replaceChildren(...fits.map((g) => kit.el("option", { value: g, text: g })));
    }
    groups.set(String(s.groups));
    groups.node.hidden = s.inChannels === 1 && s.outChannels === 1;
    channel.range(0, s.outChannels - 1); channel.set(s.channel); channel.node.hidden = s.outChannels === 1;
    const { cin } = perGroup(s);
    source.range(0, cin - 1); source.set(s.source); source.node.hidden = cin === 1;
    soFar.set(s.soFar);
    back.disabled = !z.steps || (s.row === 0 && s.column === 0);
    next.disabled = !z.steps || (s.row === z.steps - 1 && s.column === z.steps - 1);
  }

  // -- what is where
  const inputAt = (r, c) => (r < 0 || c < 0 || r >= s.size || c >= s.size ? null
    : x[((s.first + s.source) * s.size + r) * s.size + c]);
  const weightAt = (a, b) => {
    const { cin, cout } = perGroup(s), k = s.kernel;
    const at = s.transposed ? (s.first + s.source) * cout + (s.channel % cout) : s.channel * cin + s.source;
    return weight[(at * k + a) * k + b];
  };
  const outputAt = (r, c) => (r < 0 || c < 0 || r >= z.out || c >= z.out ? null : y[(s.channel * z.out + r) * z.out + c]);
  /** Which tap of the kernel meets this place of the grid that the window or stamp lies on, or null. */
  const tap = (r, c) => {
    const a = (r + s.padding - s.row * s.stride) / s.dilation, b = (c + s.padding - s.column * s.stride) / s.dilation;
    const inside = (t) => Number.isInteger(t) && t >= 0 && t < s.kernel;
    return inside(a) && inside(b) ? [a, b] : null;
  };

  function arrange() {
    const rim = s.padding, n = s.transposed ? s.size : s.size + 2 * rim;
    const m = z.error ? 1 : s.transposed ? z.out + 2 * rim : z.out, k = s.kernel;
    const gap = 34, head = 20, wide = Math.min(38, (cw - 2 * gap) / (n + k + m));
    if (wide >= 21) {
      const tall = Math.max(n, k, m) * wide, centre = (count) => head + (tall - count * wide) / 2;
      blocks = [{ name: "input", n, x: 1, y: centre(n) }, { name: "kernel", n: k, x: n * wide + gap, y: centre(k) },
        { name: "output", n: m, x: (n + k) * wide + 2 * gap - 1, y: centre(m) }].map((b) => ({ ...b, cell: wide }));
      return head + tall + 4;
    }
    const cell = Math.max(6, Math.min(30, (cw - 2) / n, (cw - gap - 2) / (k + m)));
    const below = head + n * cell + 8 + head;
    blocks = [{ name: "input", n, x: 1, y: head }, { name: "kernel", n: k, x: 1, y: below },
      { name: "output", n: m, x: k * cell + gap, y: below }].map((b) => ({ ...b, cell }));
    return below + Math.max(k, m) * cell + 4;
  }

  function draw() {
    const g = kit.fit(canvas, cw, arrange()), FONT = kit.color(frame.root, "sans");
    canvas.style.width = `${cw}px`;
    g.clearRect(0, 0, cw, canvas.height);
    const hidden = s.transposed || z.error ? null : unread(s).rows, lut = kit.lut("diverging");
    for (const { name, n, x: left, y: top, cell } of blocks) {
      const off = (name === "input" && !s.transposed) || (name === "output" && s.transposed) ? s.padding : 0;
      g.font = `600 13px ${FONT}`; g.textAlign = "left"; g.textBaseline = "alphabetic"; g.fillStyle = ink.ink;
      const which = name === "input" ? s.inChannels > 1 && ` ${s.first + s.source}`
        : name === "output" && s.outChannels > 1 && ` ${s.channel}`;
      g.fillText(`${name}${which || ""}`, left, top - 6);
      if (name === "output" && z.error) { g.font = `13px ${FONT}`; g.fillText("none", left, top + 14); continue; }
      for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
        const r = i - off, c = j - off, px = left + j * cell, py = top + i * cell;
        let value, fill = ink.paper, edge = ink.line, text = ink.ink, note = null, rim = false, strong = false;
        if (name === "input") {
          value = inputAt(r, c);
          rim = value === null;
          if (rim) { value = 0; text = ink.muted; edge = ink.muted; }
          if (s.transposed ? r === s.row && c === s.column : !z.error && tap(r, c)) {
            fill = ink["reader-soft"]; edge = ink.reader; strong = true; text = ink.ink;
            if (!s.transposed) note = `×${minus(weightAt(...tap(r, c)))}`;
          }
        } else if (name === "kernel") {
          value = weightAt(i, j);
          const t = 3 * Math.round(127.5 + value * 40);
          fill = `rgb(${lut[t]} ${lut[t + 1]} ${lut[t + 2]})`; edge = ink.muted; text = "#14181e";
        } else {
          value = outputAt(r, c);
          rim = value === null;
          if (rim) { text = ink.muted; edge = ink.muted; }
          if (!s.transposed && s.soFar && r * z.out + c > s.row * z.out + s.column) value = null;
          if (s.transposed ? tap(r, c) : r === s.row && c === s.column) {
            fill = ink["network-soft"]; edge = ink.network; strong = true;
          }
        }
        g.fillStyle = fill; g.fillRect(px, py, cell, cell);
        if (name === "input" && !rim && hidden && !(hidden[r] && hidden[c])) hatch(g, px, py, cell);
        g.strokeStyle = edge; g.lineWidth = strong ? 2 : 1; g.setLineDash(rim && !strong ? [3, 3] : []);
        const inset = strong ? 1 : 0.5;
        g.strokeRect(px + inset, py + inset, cell - 2 * inset, cell - 2 * inset);
        g.setLineDash([]);
        if (pointed && pointed.set(name, r, c)) {
          g.strokeStyle = ink.ink; g.lineWidth = 2; g.strokeRect(px + 3, py + 3, cell - 6, cell - 6);
        }
        if (value === null || cell < 13) continue;
        g.fillStyle = text; g.textAlign = "center"; g.textBaseline = "middle";
        const digits = minus(value), small = Math.min(15, cell * (digits.length > 3 ? 0.34 : 0.46));
        g.font = `${small}px ${FONT}`;
        const low = note && cell >= 26;
        g.fillText(digits, px + cell / 2, py + cell / 2 - (low ? 5 : 0));
        if (low) { g.font = `10.5px ${FONT}`; g.fillStyle = ink.reader; g.fillText(note, px + cell / 2, py + cell / 2 + 9); }
      }
    }
    if (blocks[1].x > 1) signs(g, FONT); // side by side
  }
  function signs(g, FONT) {
    g.font = `16px ${FONT}`; g.fillStyle = ink.muted; g.textAlign = "center"; g.textBaseline = "middle";
    const [a, b, c] = blocks, level = b.y + (b.n * b.cell) / 2;
    g.fillText("∗", (a.x + a.n * a.cell + b.x) / 2, level);
    g.fillText("=", (b.x + b.n * b.cell + c.x) / 2, level);
  }
  function hatch(g, px, py, cell) {
    g.save(); g.beginPath(); g.rect(px, py, cell, cell); g.clip();
    g.strokeStyle = ink.line; g.lineWidth = 1; g.beginPath();
    for (let d = -cell; d < cell; d += 5) { g.moveTo(px + d, py + cell); g.lineTo(px + d + cell, py); }
    g.stroke(); g.restore();
  }

  // -- words
  const bracket = (v) => (v < 0 ? `(${minus(v)})` : String(v));
  function formula() {
    const { size: n, kernel: k, stride: t, padding: p, dilation: d, outputPadding: e } = s;
    if (s.transposed) return `size: (${n} − 1)·${t} − 2·${p} + ${d}·(${k} − 1) + ${e} + 1 = ${z.error ? "?" : z.out}`;
    const top = `(${n} + 2·${p} − ${d}·(${k} − 1) − 1)`;
    return z.error ? `size: ${top} = ${minus(z.places)}` : `size: ⌊${top} / ${t}⌋ + 1 = ⌊${z.places} / ${t}⌋ + 1 = ${z.out}`;
  }
  function sum() {
    const { cin } = perGroup(s), terms = [];
    for (let a = 0; a < s.kernel; a++) for (let b = 0; b < s.kernel; b++) {
      const v = inputAt(s.row * s.stride + a * s.dilation - s.padding, s.column * s.stride + b * s.dilation - s.padding);
      terms.push(`${v === null ? 0 : v}·${bracket(weightAt(a, b))}`);
    }
    const all = terms.length * cin, shown = terms.slice(0, 9).join(" + ");
    const rest = all > 9 ? ` + … (${all} products${cin > 1 ? `, ${cin} channels` : ""})` : "";
    return `output (${s.row}, ${s.column})${s.outChannels > 1 ? ` of channel ${s.channel}` : ""} = ${shown}${rest} = `
      + minus(outputAt(s.row, s.column));
  }
  function stamp() {
    const list = [];
    let cut = 0;
    for (let a = 0; a < s.kernel; a++) for (let b = 0; b < s.kernel; b++) {
      const r = s.row * s.stride + a * s.dilation - s.padding, c = s.column * s.stride + b * s.dilation - s.padding;
      if (outputAt(r, c) === null) cut++; else list.push(`(${r}, ${c})`);
    }
    const v = inputAt(s.row, s.column);
    return `input (${s.row}, ${s.column})${s.inChannels > 1 ? ` of channel ${s.first + s.source}` : ""} = ${v} adds ${v} × kernel to `
      + `${list.length} output${list.length === 1 ? "" : "s"}: ${list.slice(0, 9).join(" ")}${list.length > 9 ? " …" : ""}`
      + (cut ? `; ${cut} fall${cut === 1 ? "s" : ""} into the crop` : "");
  }
  function write() {
    const money = cost(s), { cin, cout } = perGroup(s), k = s.kernel;
    const shape = s.transposed ? `(${s.inChannels}, ${cout}, ${k}, ${k})` : `(${s.outChannels}, ${cin}, ${k}, ${k})`;
    const lines = [z.error ? `No output: ${z.error}.` : s.transposed ? stamp() : sum(), formula(),
      `weight ${shape}: ${money.weights} parameters, ${money.withBias} with bias`];
    if (!z.error) {
      lines.push(`multiply-adds: ${money.weights} × ${Math.sqrt(money.places)}² ${s.transposed ? "inputs" : "outputs"} = `
        + money.multiplyAdds.toLocaleString("en-US"));
      if (!s.transposed) {
        const lost = unread(s).count;
        lines.push(`never read: ${lost} of ${s.size ** 2} inputs`
          + (z.rest ? `; the floor drops ${z.rest} row${z.rest > 1 ? "s" : ""} and column${z.rest > 1 ? "s" : ""} at the end` : ""));
      }
    }
    if (pointed) lines.push(pointed.text);
    frame.say(lines.join("\n"));
    frame.code(z.error ? "import torch\n\n# these numbers leave no output: PyTorch raises a RuntimeError, too" : python(s));
    const here = s.row * z.steps + s.column;
    for (const [name, value] of [["min", 0], ["max", Math.max(z.steps ** 2 - 1, 0)], ["now", here], ["text", lines[0]]])
      canvas.setAttribute(`aria-value${name}`, value);
    canvas.setAttribute("aria-label", s.transposed ? "Input position; arrow keys move it" : "Output position; arrow keys move it");
    keys.window.lastChild.textContent = s.transposed ? "the input that is stamped" : "inputs of the window, × their weights";
    keys.result.lastChild.textContent = s.transposed ? "outputs that it reaches" : "the output they make";
    keys.rim.lastChild.textContent = s.transposed ? "cropped by padding" : "padding: zeros";
    keys.rim.hidden = s.padding === 0;
    keys.unread.hidden = s.transposed || !!z.error || unread(s).count === 0;
  }

  const paint = kit.painter(() => {
    if (cw < 120) return;
    if (!ink) ink = Object.fromEntries(["ink", "muted", "line", "paper", "reader", "reader-soft", "network", "network-soft"]
      .map((role) => [role, kit.color(frame.root, role)]));
    draw(); write();
  });

  // -- input
  const cellAt = (fx, fy) => {
    const px = fx * cw, py = fy * parseFloat(canvas.style.height);
    for (const b of blocks) {
      const j = Math.floor((px - b.x) / b.cell), i = Math.floor((py - b.y) / b.cell);
      const off = (b.name === "input" && !s.transposed) || (b.name === "output" && s.transposed) ? s.padding : 0;
      if (i >= 0 && j >= 0 && i < b.n && j < b.n) return { name: b.name, r: i - off, c: j - off };
    }
    return null;
  };
  /** The step whose window or stamp lies most centrally over a place of the other grid. */
  const nearest = (r) => clamp(Math.round((r + s.padding - (z.span - 1) / 2) / s.stride), 0, z.steps - 1);
  kit.drag(canvas, (fx, fy, phase) => {
    const hit = cellAt(fx, fy);
    if (!hit || !z.steps || hit.name === "kernel" || phase === "end") return;
    pointed = null;
    const own = hit.name === (s.transposed ? "input" : "output");
    change(own ? { row: clamp(hit.r, 0, z.steps - 1), column: clamp(hit.c, 0, z.steps - 1) }
      : { row: nearest(hit.r), column: nearest(hit.c) }, false);
  });
  kit.arrows(canvas, (dx, dy) => {
    if (!z.steps) return;
    if (Math.abs(dx) === Infinity) step(dx);
    else if (dx) step(dx);
    else { pointed = null; change({ row: clamp(s.row + dy, 0, z.steps - 1) }); }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons || z.error) return;
    const box = canvas.getBoundingClientRect();
    const hit = cellAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    const reach = (at, step) => Number.isInteger(at) && at >= 0 && at < step;
    const meets = (from, to) => reach((to + s.padding - from * s.stride) / s.dilation, s.kernel); // step `from` covers place `to`
    pointed = null;
    const [from, to] = s.transposed ? ["input", "output"] : ["output", "input"]; // steps lie on one grid, what they cover on the other
    const value = hit && hit.name === to ? (s.transposed ? outputAt : inputAt)(hit.r, hit.c) : null;
    if (value !== null) {
      const over = (at) => [...Array(z.steps).keys()].filter((i) => meets(i, at)), rows = over(hit.r), columns = over(hit.c);
      const count = rows.length * columns.length, plural = count === 1 ? "" : "s";
      pointed = {
        set: (name, r, c) => (name === from ? rows.includes(r) && columns.includes(c) : name === to && r === hit.r && c === hit.c),
        text: s.transposed ? `output (${hit.r}, ${hit.c}) = ${minus(value)} gets stamps from ${count} input${plural}`
          : `input (${hit.r}, ${hit.c}) is read by ${count} output${plural}`,
      };
    }
    paint();
  });
  canvas.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { pointed = null; paint(); } });

  // -- start
  change({});
  const resize = new ResizeObserver(() => {
    const next = Math.floor(frame.picture.clientWidth);
    if (next && next !== cw) { cw = next; paint(); }
  });
  resize.observe(frame.picture);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  for (const trait of Object.values(TRAITS)) model.on(`change:${trait}`, pull);
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const trait of Object.values(TRAITS)) model.off(`change:${trait}`, pull);
  };
}

export const kernels = { sizes, inputs, weights, conv2d, convTranspose2d, cost, unread, python };

export default { render };
