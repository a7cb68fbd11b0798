// TensorShapes, last part: the page. It draws every stage of the chain and follows one element through all of them.

// ---- the page ---------------------------------------------------------------------------------------------------------

const EXAMPLES = [
  ["view after permute", [2, 3, 4], "b h w", ["permute(0, 2, 1)", "view(2, -1)"], "Predict: does view work after permute?"],
  ["view works, not contiguous", [2, 3, 4], "b h w", ["permute(2, 0, 1)", "view(4, 6)"],
    "Predict: the second tensor is not contiguous. Does view fail?"],
  ["NCHW to NHWC", [1, 2, 3, 4], "b c h w", ["permute(0, 2, 3, 1)", "contiguous()"],
    "Predict: which of the two steps moves numbers in memory?"],
  ["HWC to CHW by reshape (wrong)", [3, 4, 2], "h w c", ["reshape(2, 3, 4)"],
    "The shape is right. Is channel 0 really channel 0? Compare with permute(2, 0, 1).", "c"],
  ["feature map to tokens", [1, 3, 2, 4], "b c h w", ["flatten(2)", "transpose(1, 2)"],
    "Predict: where do the three channels of one pixel end up?", "c"],
  ["patchify", [1, 2, 4, 4], "b c h w", ["patchify(2)"], "Predict: which eight elements make the first token?"],
  ["patchify by hand", [1, 2, 4, 4], "b c h w", ["view(1, 2, 2, 2, 2, 2)", "permute(0, 2, 4, 1, 3, 5)", "reshape(1, 4, 8)"],
    "Predict: which of the three steps copies?"],
  ["window partition", [1, 4, 6, 2], "b h w c", ["window_partition(2)"], "Predict: how many windows, and in which order?"],
  ["patch merging", [1, 4, 4, 2], "b h w c", ["patch_merging()"],
    "Predict: whose channels come second, the neighbour below or the one to the right?"],
  ["pixel shuffle", [1, 4, 2, 3], "b c h w", ["pixel_shuffle(2)"], "Predict: where do the four channels of one pixel go?"],
  ["channel shuffle by hand", [1, 6, 2, 2], "b c h w", ["view(1, 2, 3, 2, 2)", "transpose(1, 2)", "reshape(1, 6, 2, 2)"],
    "Predict: which channel stands second at the end?", "c"],
  ["strided slice", [4, 6], "h w", ["x[::2, 1::2]", "view(-1)"],
    "Predict: the slice holds 6 elements. How far apart are they in memory?"],
  ["expand: stride 0", [3, 1], "h w", ["expand(3, 4)", "view(-1)"], "Predict: how many numbers are in memory after expand?"],
  ["channels_last", [1, 2, 3, 4], "b c h w", ["contiguous(memory_format=torch.channels_last)", "view(1, -1)"],
    "Predict: the shape does not change. Does anything move?"],
];
const DEFAULT_NAMES = ["", "n", "h w", "b h w", "b c h w", "b c d h w", "b c h p w q"];
const MOST_STEPS = 10;

/** Ready-made steps that fit the shape `s` with axis names `names`. */
function suggestions(s, names) {
  const n = s.length, usable = names.every((v) => /^[a-z]\w*$/i.test(v));
  const letters = usable ? names : DEFAULT_NAMES[n]?.split(" ") || range(n).map((i) => `a${i}`);
  const merged = n > 1 ? [...letters.slice(0, -2), `(${letters[n - 1]} ${letters[n - 2]})`] : letters;
  const last = [...range(n - 2), n - 1, n - 2];
  return [
    ["view", `view(${s[0] ?? 1}, -1)`], ["reshape", "reshape(-1)"],
    ["permute", `permute(${(n > 1 ? last : range(n)).join(", ")})`],
    ["transpose", `transpose(${Math.max(n - 2, 0)}, ${Math.max(n - 1, 0)})`],
    ["flatten", `flatten(${n > 1 ? 1 : 0})`], ["contiguous", "contiguous()"], ["unsqueeze", "unsqueeze(0)"],
    ["squeeze", "squeeze()"],
    ["unflatten", `unflatten(-1, (2, -1))`], ["expand", `expand(${[2, ...s].join(", ")})`], ["slice", "x[..., ::2]"],
    ["rearrange (einops)", `rearrange("${letters.join(" ")} -> ${merged.join(" ")}")`],
    ["patchify (b c h w)", "patchify(2)"], ["patch merging (b h w c)", "patch_merging()"],
    ["window partition (b h w c)", "window_partition(2)"],
    ["pixel shuffle (b c h w)", "pixel_shuffle(2)"], ["pixel unshuffle (b c h w)", "pixel_unshuffle(2)"],
    ["channel shuffle (b c h w)", "channel_shuffle(2)"],
    ["to tokens (b c h w)", "to_tokens()"],
  ];
}

/** Index along each axis of the element at flat position `i`. */
function unravel(i, shape) {
  const found = [];
  for (let d = shape.length - 1; d >= 0; d--) { found.unshift(i % shape[d]); i = Math.floor(i / shape[d]); }
  return found;
}

/** What the sizes and names that a reader typed mean: {shape, names} or {error}. */
function readShape(shapeText, namesText) {
  if (/[^\d\s,x×()]/.test(shapeText)) return { error: "Sizes are whole numbers, for example 2, 3, 4." };
  const shape = (shapeText.match(/\d+/g) || []).map(Number), n = prod(shape);
  if (!shape.length || shape.length > 6) return { error: "Give one to six sizes, for example 2, 3, 4." };
  if (n < 1) return { error: "A size of 0 leaves nothing to see." };
  if (n > LIMIT) return { error: `${shape.join(" × ")} = ${n} elements; up to ${LIMIT} can be followed by eye.` };
  const names = namesText.trim().split(/[\s,]+/);
  if (names.length !== shape.length) {
    return { error: `${shape.length} axes need ${shape.length} names, for example ${DEFAULT_NAMES[shape.length]}.` };
  }
  if (new Set(names).size < names.length || !names.every((v) => /^[A-Za-z][A-Za-z0-9]*$/.test(v))) {
    return { error: "Names are different words of letters and digits." };
  }
  return { shape, names };
}

function render({ model, el }) {
  const { el: h } = kit;
  const f = kit.frame(el, { model,
    title: model.get("title") || "Follow every element",
    hint: "Touch a number: it lights up in every tensor and in memory. Point at an axis to walk along it. Edit any step.",
  });
  const list = h("div", { class: "dln-tensors" });
  f.picture.append(list);
  let stages = [], cards = [], hover = null, along = null, active = null, perLine = 24, lit = [];

  const names = () => {
    const words = model.get("names").split(" "), n = model.get("shape").length;
    return words.length === n ? words : DEFAULT_NAMES[n].split(" "); // Python may set one before the other
  };
  const put = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const setSteps = (steps) => put({ steps });
  const steps = () => model.get("steps");
  const element = () => hover ?? Math.min(model.get("element"), prod(model.get("shape")) - 1);

  // ---- cards: one for the input, one per step. Inputs persist while the reader types; only what changed is redrawn.
  function card(i) {
    const id = kit.uid("tensors");
    const c = {
      id, key: "", stripKey: "", cells: [], strip: [], at: -1,
      verdict: h("div", { class: "dln-tensors-verdict" }),
      problem: h("div", { class: "dln-tensors-problem", id: `${id}-problem` }),
      table: h("table", { class: "dln-tensors-axes" }),
      sum: h("div", { class: "dln-tensors-sum" }),
      caption: h("div", { class: "dln-tensors-caption" }),
      grid: h("div", { class: "dln-tensors-grid", role: "listbox", tabindex: "0" }),
      memory: h("div", { class: "dln-tensors-memory" }),
      memoryName: h("div", { class: "dln-tensors-caption" }),
    };
    const button = (text, name, act) => h("button", { type: "button", class: "dln-button", text, "aria-label": name,
      title: name, on: { click: act } });
    let head;
    if (i === 0) {
      const shapeId = kit.uid("shape"), namesId = kit.uid("names");
      c.shape = h("input", { type: "text", id: shapeId, spellcheck: "false", autocomplete: "off",
        "aria-describedby": `${id}-problem` });
      c.names = h("input", { type: "text", id: namesId, spellcheck: "false", autocomplete: "off",
        "aria-describedby": `${id}-problem` });
      c.shape.addEventListener("input", () => {
        const count = (c.shape.value.match(/\d+/g) || []).length;
        if (count !== c.names.value.trim().split(/[\s,]+/).length && DEFAULT_NAMES[count]) c.names.value = DEFAULT_NAMES[count];
        editInput();
      });
      c.names.addEventListener("input", editInput);
      head = h("div", { class: "dln-tensors-head" }, h("span", { class: "dln-tensors-number", text: "x" }),
        h("label", { for: shapeId, text: "sizes" }), c.shape, h("label", { for: namesId, text: "axes" }), c.names,
          c.verdict);
    } else {
      c.input = h("input", { type: "text", spellcheck: "false", autocomplete: "off", autocapitalize: "off",
        "aria-label": `Step ${i}`, "aria-describedby": `${id}-problem` });
      c.input.addEventListener("input", () => setSteps(steps().map((s, k) => (k === i - 1 ? c.input.value : s))));
      const move = (by) => {
        const next = [...steps()], [a, b] = [i - 1, i - 1 + by];
        [next[a], next[b]] = [next[b], next[a]];
        setSteps(next);
        draw();
        const target = cards[i + by];
        (by < 0 ? target.up : target.down).focus();
        if (document.activeElement.disabled) target.input.focus();
      };
      c.up = button("↑", `Move step ${i} up`, () => move(-1));
      c.down = button("↓", `Move step ${i} down`, () => move(1));
      c.remove = button("✕", `Remove step ${i}`, () => {
        setSteps(steps().filter((_, k) => k !== i - 1));
        draw();
        (cards[Math.min(i, cards.length - 1)].input || adder.input).focus();
      });
      head = h("div", { class: "dln-tensors-head" }, h("span", { class: "dln-tensors-number", text: String(i) }), c.input,
        h("span", { class: "dln-tensors-buttons" }, c.up, c.down, c.remove));
    }
    c.body = h("div", { class: "dln-tensors-body" }, h("div", { class: "dln-tensors-facts" }, c.table, c.sum),
      h("div", { class: "dln-tensors-logic" }, c.caption, c.grid), h("div", { class: "dln-tensors-store" }, c.memoryName,
        c.memory));
    c.root = h("div", { class: "dln-tensors-stage", role: "group" }, head, i ? c.verdict : null, c.problem, c.body);
    kit.arrows(c.grid, (dx, dy) => {
      const s = stages[i], n = s.values.length, { cols } = arrangement(s);
      const from = place(i), row = from - (from % cols);
      const next = Math.min(n - 1, Math.max(0, from + dx + dy * cols));
      const to = dx === -Infinity ? row : dx === Infinity ? row + cols - 1 : next;
      select(i, to);
    });
    c.grid.addEventListener("focus", () => { active = i; paint(); });
    return c;
  }

  function editInput() {
    const c = cards[0], read = readShape(c.shape.value, c.names.value);
    c.typed = read.error || "";
    if (read.error) { draw(); return; }
    put({ shape: read.shape, names: read.names.join(" "), element: Math.min(model.get("element"), prod(read.shape) - 1) });
    draw();
  }

  /** Where the chosen element stands in stage i (flat index), or -1. An expanded element stands in several places. */
  function place(i) {
    const s = stages[i], e = element();
    if (!s || !s.values) return -1;
    return s.values[cards[i].at] === e ? cards[i].at : s.values.indexOf(e);
  }
  function select(i, at) {
    hover = null;
    active = i;
    cards[i].at = at;
    put({ element: stages[i].values[at] });
    paint();
    cards[i].cells[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // ---- drawing
  const luts = kit.lut("viridis");
  /** Colour of an element: by its number, or by its index along one axis of the input. */
  function tint(e) {
    const { shape } = stages[0], d = names().indexOf(model.get("shade"));
    const level = d < 0 ? e / Math.max(prod(shape) - 1, 1) : unravel(e, shape)[d] / Math.max(shape[d] - 1, 1);
    const k = 3 * Math.round(255 * level), rgb = [luts[k], luts[k + 1], luts[k + 2]];
    const linear = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.18;
    return `background:rgb(${rgb});color:${light ? "#000" : "#fff"}`;
  }

  /** The last two axes are a matrix, axes before them are blocks. Channels-last maps are drawn as pictures: rows h,
      columns w, and the channels of one pixel side by side. */
  function arrangement(s) {
    const n = s.shape.length, has = (d, letter) => s.names[d].split(/[ ()]/).includes(letter);
    const pixels = n > 2 && has(n - 1, "c") && s.shape[n - 1] > 1 && !(n === 3 && has(0, "b")),
      inner = pixels ? n - 3 : Math.max(n - 2, 0);
    return { lead: s.shape.slice(0, inner), rows: n > 1 ? s.shape[inner] : 1,
      cols: prod(s.shape.slice(n > 1 ? inner + 1 : 0)), inner, pixels };
  }

  function drawGrid(c, s) {
    const n = s.shape.length, { lead, rows, cols, inner: first, pixels } = arrangement(s);
    c.cells = [];
    const lines = [], inner = lead.length ? lead[lead.length - 1] : 1;
    for (let start = 0; start < s.values.length; start += inner * rows * cols) {
      const line = h("div", { class: "dln-tensors-blocks", role: "none" });
      for (let b = 0; b < inner; b++) {
        const block = h("div", { class: "dln-tensors-matrix", role: "none" });
        const from = start + b * rows * cols, where = unravel(from, s.shape).slice(0, lead.length);
        const shown = where.map((v, d) => `${s.names[d]} ${v}`).filter((_, d) => lead[d] > 1).join(", ");
        if (shown) block.append(h("div", { class: "dln-tensors-caption", role: "none", text: shown }));
        for (let r = 0; r < rows; r++) {
          const row = h("div", { class: `dln-tensors-row${cols > 9 ? " dln-tensors-long" : ""}`, role: "none" });
          for (let k = 0; k < cols; k++) {
            const i = from + r * cols + k;
            const cell = h("span", { class: "dln-tensors-cell", role: "option", id: `${c.id}-${i}`, "data-at": i,
              "aria-selected": "false", style: tint(s.values[i]), text: s.values[i] });
            c.cells.push(cell);
            if (pixels && k % s.shape[n - 1] === 0) row.append(h("span", { class: "dln-tensors-pixel", role: "none" }));
            (pixels ? row.lastChild : row).append(cell);
          }
          block.append(row);
        }
        line.append(block);
      }
      lines.push(line);
    }
    c.grid.replaceChildren(...lines);
    const role = [prod(lead) > 1 ? `blocks: ${s.names.slice(0, first).filter((_, d) => lead[d] > 1).join(", ")}` : "",
      n > 1 ? `rows: ${s.names[first]}` : "",
      n ? `columns: ${s.names[pixels ? n - 2 : n - 1]}` : "one element", pixels ? `side by side: ${s.names[n - 1]}` : ""];
    c.caption.textContent = role.filter(Boolean).join(" · ");
    c.grid.setAttribute("aria-label",
      `Tensor of shape ${tuple(s.shape)}. ${c.caption.textContent}. Arrow keys walk through the elements.`);
  }

  function drawMemory(c, s, i) {
    const read = new Set(s.slots), lines = [], n = s.memory.length;
    const fewer = range(Math.ceil(perLine / 2) + 1).map((k) => perLine - k);
    const each = fewer.find((k) => n % k === 0) || perLine; // equal lines if possible
    c.strip = [];
    for (let start = 0; start < n; start += each) {
      const line = h("div", { class: "dln-tensors-row" }, h("span", { class: "dln-tensors-slot", text: start }));
      for (let k = start; k < Math.min(start + each, n); k++) {
        const cell = h("span", { class: `dln-tensors-cell${read.has(k) ? "" : " dln-tensors-unread"}`, "data-slot": k,
          style: read.has(k) ? tint(s.memory[k]) : null, text: s.memory[k] });
        c.strip.push(cell);
        line.append(cell);
      }
      lines.push(line);
    }
    c.memory.replaceChildren(...lines);
    const unread = n - read.size;
    const name = i === 0 ? "memory" : s.kind === "copy" ? "new memory" : "the same memory";
    const start = s.offset ? `, starts at slot ${s.offset}` : "";
    c.memoryName.textContent = `${name}: ${n} slots${start}${unread ? `, ${unread} not read` : ""}`;
  }

  function drawAxes(c, s, i) {
    const line = (name, values, cell) => h("tr", {}, h("th", { scope: "row", text: name }),
      ...values.map((v, d) => cell(v, d)));
    const plain = (v) => h("td", { text: v });
    c.index = s.shape.map(() => h("td", {}));
    c.table.replaceChildren(
      line("axis", s.names, (v, d) => {
        const show = (on) => () => { along = on ? { stage: i, axis: d } : null; active = i; paint(); };
        return h("td", {}, h("button", { type: "button", class: "dln-tensors-axis", text: v,
          "aria-label": `Along ${v}: stride ${s.strides[d]}`,
          title: `Walk along ${v}`, on: { pointerenter: show(true), pointerleave: show(false), focus: show(true),
            blur: show(false), click: show(true) } }));
      }),
      line("shape", s.shape, plain), line("stride", s.strides, plain), h("tr", { class: "dln-tensors-index" },
        h("th", { scope: "row", text: "index" }), ...c.index));
  }

  const SAYS = {
    input: ["", ""], view: ["view", "same memory, nothing moved"], copy: ["copy", "new memory, every element written again"],
    self: ["same tensor", "nothing to do"],
  };
  function drawVerdict(c, s) {
    const [badge, text] = SAYS[s.kind];
    const order = s.contiguous ? "contiguous" : `not contiguous${s.channelsLast ? " (dense in channels_last order)" : ""}`;
    c.verdict.replaceChildren(...(badge ? [h("span", { class: `dln-tensors-badge dln-tensors-${s.kind}`, text: badge }),
      h("span", { text: `${text} · ` })] : []),
      h("span", { text: order }));
  }

  function drawProblem(c, error, i) {
    c.problem.replaceChildren();
    if (!error) return;
    c.problem.append(h("div", { class: "dln-tensors-raise" }, h("strong", { text: `${error.kind}: ` }), error.message));
    if (error.why) c.problem.append(h("div", { text: error.why }));
    for (const fix of error.fixes || []) {
      c.problem.append(kit.button({ label: fix.label, onclick: () => {
        setSteps([...steps().slice(0, i - 1), ...fix.steps, ...steps().slice(i)]);
        draw();
        cards[Math.min(i + fix.steps.length - 1, cards.length - 1)].input.focus();
      } }));
    }
  }

  const fitWidth = (input, least) => { input.style.width = `min(100%, ${Math.max(least, input.value.length + 3)}ch)`; };

  function draw() {
    const wanted = steps();
    stages = run(model.get("shape"), names(), wanted);
    while (cards.length > stages.length) cards.pop().root.remove();
    while (cards.length < stages.length) { cards.push(card(cards.length)); list.append(cards[cards.length - 1].root); }
    const first = cards[0], focused = document.activeElement;
    if (focused !== first.shape && focused !== first.names && !first.typed) {
      first.shape.value = model.get("shape").join(", ");
      first.names.value = model.get("names");
    }
    fitWidth(first.shape, 8);
    fitWidth(first.names, 8);
    stages.forEach((s, i) => {
      const c = cards[i];
      if (i) {
        if (c.input.value !== wanted[i - 1]) c.input.value = wanted[i - 1];
        fitWidth(c.input, 14);
        c.up.disabled = i === 1;
        c.down.disabled = i === stages.length - 1;
        c.input.setAttribute("aria-invalid", String(Boolean(s.error)));
      }
      const problem = i ? s.error : first.typed ? { kind: "Not used", message: first.typed } : null;
      const key = JSON.stringify([s, i ? 0 : first.typed, model.get("shade"), names()]);
      c.root.classList.toggle("dln-tensors-broken", Boolean(s.error));
      c.root.classList.toggle("dln-tensors-skipped", Boolean(s.skipped));
      c.root.setAttribute("aria-label", i ? `Step ${i}` : "Input");
      c.body.hidden = !s.shape;
      if (key !== c.key) {
        c.key = key;
        drawProblem(c, problem, i);
        if (s.shape) { drawVerdict(c, s); drawAxes(c, s, i); drawGrid(c, s); drawMemory(c, s, i); }
        else c.verdict.textContent = s.skipped ? "waits: a step above it fails" : "";
        if (s.names?.includes(UNKNOWN) && !stages[i - 1].names.includes(UNKNOWN)) {
          c.problem.append(h("div", { text: "“?”: the new axes run across the old ones, so no old name fits. "
            + "Each mixes elements of several old axes." }));
        }
        if (s.note) c.problem.append(h("div", { text: s.note }));
      }
    });
    adder.input.disabled = wanted.length >= MOST_STEPS;
    const shades = [["element", "number"], ...names().map((v) => [v, `axis ${v}`])];
    shade.input.replaceChildren(...shades.map(([value, text]) => h("option", { value, text })));
    shade.set(names().includes(model.get("shade")) ? model.get("shade") : "element");
    paint();
  }

  /** Light up the chosen element everywhere and say where it is. Changes classes and a few texts only. */
  function paint() {
    const e = element();
    for (const [node, name] of lit) {
      node.classList.remove(name);
      if (node.hasAttribute("aria-selected")) node.setAttribute("aria-selected", "false");
    }
    lit = [];
    const light = (node, name) => { node.classList.add(name); lit.push([node, name]); };
    const told = [];
    stages.forEach((s, i) => {
      if (!s.shape) return;
      const c = cards[i], at = place(i);
      s.values.forEach((v, k) => {
        if (v !== e) return;
        light(c.cells[k], "dln-tensors-on");
        c.cells[k].setAttribute("aria-selected", "true");
      });
      s.memory.forEach((v, k) => { if (v === e) light(c.strip[k], "dln-tensors-on"); });
      if (at < 0) {
        c.index.forEach((cell) => { cell.textContent = "·"; });
        c.sum.textContent = `element ${e} is not in this tensor`;
        c.grid.removeAttribute("aria-activedescendant");
        told.push(`${i ? `step ${i}` : "x"}: not there`);
        return;
      }
      const where = unravel(at, s.shape), slot = s.slots[at];
      c.index.forEach((cell, d) => { cell.textContent = where[d]; });
      const terms = where.map((v, d) => `${v}×${s.strides[d]}`);
      if (s.offset || !terms.length) terms.unshift(s.offset);
      c.sum.textContent = `slot = ${terms.join(" + ")} = ${slot}`;
      c.grid.setAttribute("aria-activedescendant", `${c.id}-${at}`);
      if (along && along.stage === i) {
        const d = along.axis, step = prod(s.shape.slice(d + 1)), base = at - where[d] * step;
        for (let k = 0; k < s.shape[d]; k++) {
          light(c.cells[base + k * step], "dln-tensors-along");
          light(c.strip[s.slots[base + k * step]], "dln-tensors-along");
        }
      }
      told.push(`${i ? `step ${i}` : "x"}: (${where.map((v, d) => `${s.names[d]} ${v}`).join(", ")})`);
    });
    const end = active !== null && stages[active] && stages[active].shape ? active : stages.findLastIndex((s) => s.shape);
    const s = stages[end], at = place(end), which = end ? `step ${end}` : "x";
    let more = "";
    if (along && stages[along.stage]?.shape && place(along.stage) >= 0) {
      const { axis } = along, w = stages[along.stage], here = unravel(place(along.stage), w.shape),
        base = w.slots[place(along.stage)] - here[axis] * w.strides[axis];
      more = `\nalong ${w.names[axis]}: slots ${range(w.shape[axis]).map((k) => base + k * w.strides[axis]).join(", ")}`;
    } else if (at >= 0) {
      const slot = s.slots[at], beside = [s.memory[slot - 1], s.memory[slot + 1]].filter((v) => v !== undefined),
        row = s.shape[s.shape.length - 1] ?? 1;
      const next = [at % row ? at - 1 : -1, (at + 1) % row ? at + 1 : -1].filter((k) => k >= 0).map((k) => s.values[k]);
      const none = (list) => list.join(" and ") || "none";
      more = `\nin ${which}: slot ${slot}, neighbours in memory ${none(beside)}, neighbours in its row ${none(next)}`;
    }
    const broken = stages.findIndex((stage) => stage.error);
    f.say(`element ${e}: ${told.join(" → ")}${broken < 0 ? "" : ` → step ${broken} fails`}${more}`);
    f.code(code(model.get("shape"), names(), steps(), e));
  }

  // ---- pointer: hovering looks, pressing chooses
  const found = (event) => {
    const cell = event.target.closest?.(".dln-tensors-cell");
    const i = cell ? cards.findIndex((c) => c.root.contains(cell)) : -1;
    if (i < 0) return null;
    const { at, slot } = cell.dataset; // a logical cell knows its position, a memory cell its slot
    return { i, at: at === undefined ? stages[i].slots.indexOf(+slot) : +at, e: +cell.textContent };
  };
  list.addEventListener("pointerover", (event) => {
    const hit = found(event), e = hit ? hit.e : null;
    if (event.pointerType === "touch" || (e === hover && (!hit || cards[hit.i].at === hit.at))) return;
    hover = e;
    if (hit) { active = hit.i; if (hit.at >= 0) cards[hit.i].at = hit.at; }
    repaint();
  });
  list.addEventListener("pointerleave", () => { hover = null; repaint(); });
  list.addEventListener("click", (event) => {
    const hit = found(event);
    if (!hit) return;
    if (hit.at < 0) { put({ element: hit.e }); return; }
    cards[hit.i].grid.focus({ preventScroll: true });
    select(hit.i, hit.at);
  });
  const repaint = kit.painter(paint);

  // ---- controls
  const example = kit.select({
    label: "Example", value: "", options: [["", "choose…"], ...EXAMPLES.map(([name], i) => [String(i), name])],
    onchange(i) {
      if (i === "") return;
      const [, shape, axes, chain, question, colour = "element"] = EXAMPLES[i];
      cards[0].typed = "";
      const element = Math.min(model.get("element"), prod(shape) - 1);
      put({ shape: [...shape], names: axes, steps: [...chain], shade: colour, element });
      note.textContent = question;
      draw();
    },
  });
  const adder = kit.select({
    label: "Add a step", value: "", options: [["", "choose…"]],
    onchange(text) {
      if (!text) return;
      setSteps([...steps(), text]);
      draw();
      const c = cards[cards.length - 1];
      c.input.focus();
      c.input.select();
    },
  });
  const fill = () => {
    const s = stages.findLast((stage) => stage.shape);
    const offers = suggestions(s.shape, s.names).map(([text, value]) => h("option", { value, text: `${text}: ${value}` }));
    adder.input.replaceChildren(h("option", { value: "", text: "choose…" }), ...offers);
    adder.set("");
  };
  const shade = kit.select({ label: "Colour by", value: "element", options: [["element", "number"]],
    onchange: (value) => put({ shade: value }) });
  const note = h("div", { class: "dln-tensors-note", "aria-live": "polite" });
  f.controls.classList.add("dln-tensors-controls");
  f.controls.append(adder.node, example.node, shade.node, note);

  const redraw = kit.painter(() => { draw(); fill(); });
  const watch = ["change:shape", "change:names", "change:steps", "change:shade"];
  for (const event of watch) model.on(event, redraw);
  model.on("change:element", repaint);
  const width = new ResizeObserver(([entry]) => {
    const room = entry.contentRect.width - 60, fits = [32, 24, 16, 12, 8, 6].find((n) => n * 25 <= room) || 4;
    if (fits === perLine) return;
    perLine = fits;
    cards.forEach((c, i) => { if (stages[i].shape) drawMemory(c, stages[i], i); });
    lit = [];
    paint();
  });
  draw();
  fill();
  width.observe(list);
  return () => {
    width.disconnect();
    for (const event of watch) model.off(event, redraw);
    model.off("change:element", repaint);
  };
}

export const kernels = { run, code, viewStrides, viewObstacle, readShape };
export default { render };
