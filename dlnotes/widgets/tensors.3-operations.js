// TensorShapes, third part: every operation on the tensors of the first part, with the errors of PyTorch and einops, and
// whole chains of them.

// ---- operations: each takes (tensor, step) and returns a tensor -------------------------------------------------------

const pick = (t, order) => ({ ...t, shape: order.map((d) => t.shape[d]), strides: order.map((d) => t.strides[d]),
  axes: order.map((d) => t.axes[d]) });
const range = (n) => Array.from({ length: n }, (_, i) => i);

function swapped(t, a, b) {
  const order = range(t.shape.length);
  if (order.length) [order[a], order[b]] = [order[b], order[a]];
  return pick(t, order);
}

function obstacleText(t, shape) {
  const o = viewObstacle(t.shape, t.strides, shape);
  const [left, right] = [o.left, o.right].map((d) => label(t.axes[d]));
  return `${named(t, o.left)} and ${named(t, o.right)} cannot be merged: one step along ${left} moves ${o.step} in memory, but a `
    + `whole run of ${right} moves ${o.size} × ${o.stride} = ${o.size * o.stride}. One axis has only one stride.`;
}

function view(t, sizes, step) {
  const shape = inferred(sizes, prod(t.shape));
  const strides = viewStrides(t.shape, t.strides, shape);
  if (!strides) {
    fail("RuntimeError", "view size is not compatible with input tensor's size and stride (at least one dimension spans "
      + "across two contiguous subspaces). Use .reshape(...) instead.", obstacleText(t, shape), step.name === "view" ? [
      { label: "Use reshape (copies)", steps: [step.body.replace("view", "reshape")] },
      { label: "contiguous() first (copies)", steps: ["contiguous()", step.body] }] : []);
  }
  return { ...t, shape, strides, axes: regroup(t.axes, shape) };
}

function reshape(t, sizes) {
  const shape = inferred(sizes, prod(t.shape));
  const strides = viewStrides(t.shape, t.strides, shape), axes = regroup(t.axes, shape);
  return strides ? { ...t, shape, strides, axes } : { ...copy(t, shape, undefined, axes),
    note: `No view: ${obstacleText(t, shape)} So it copied.` };
}

function contiguous(t, step, always) {
  const [format] = bind(step, [["memory_format", always ? undefined : null]], "any");
  if (format && format.torch === "channels_last") {
    if (t.shape.length !== 4) {
      fail("RuntimeError", "required rank 4 tensor to use channels_last format",
        `channels_last orders (b, c, h, w); this tensor has ${t.shape.length} axes.`);
    }
    return (always ? looksChannelsLast(t) : isChannelsLast(t)) ? t : copy(t, t.shape, channelsLastStrides(t.shape));
  }
  if (format && format.torch !== "contiguous_format") fail("TypeError",
    `${step.name}(): memory_format must be torch.memory_format`);
  return isContiguous(t) ? t : copy(t);
}

function permute(t, step) {
  const given = integers(step, "dims"), n = t.shape.length;
  if (given.length !== n) {
    fail("RuntimeError", "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
      + `desired ordering of dimensions i.e. input.dim() = ${n} is not equal to len(dims) = ${given.length}`,
    `The tensor has ${n} axes, so permute needs ${n} numbers: each of 0 to ${n - 1} once, in the new order.`);
  }
  const dims = given.map((d) => wrap(d, n));
  if (new Set(dims).size < n) fail("RuntimeError", "permute(): duplicate dims are not allowed.",
    "Each axis must appear once in the new order.");
  return pick(t, dims);
}

function transpose(t, step) {
  const [a, b] = bind(step, [["dim0"], ["dim1"]]);
  return swapped(t, wrap(a, t.shape.length), wrap(b, t.shape.length));
}

function flatten(t, step) {
  const [start, end] = bind(step, [["start_dim", 0], ["end_dim", -1]]).map((d) => wrap(d, t.shape.length));
  if (start > end) fail("RuntimeError", "flatten() has invalid args: start_dim cannot come after end_dim",
    "It merges the axes from start to end, both included.");
  if (t.shape.length && start === end) return t;
  return reshape(t, [...t.shape.slice(0, start), prod(t.shape.slice(start, end + 1)), ...t.shape.slice(end + 1)]);
}

function unflatten(t, step) {
  const [dim, sizes] = bind(step, [["dim"], ["sizes"]], "any"), d = wrap(dim, t.shape.length);
  const list = Array.isArray(sizes) ? sizes : [sizes];
  if (!list.every(Number.isInteger)) fail("TypeError", "unflatten(): argument 'sizes' must be tuple of ints");
  try {
    inferred(list, t.shape[d]);
  } catch (error) {
    error.message = `unflatten: Provided sizes ${listed(list)} don't multiply up to the size of dim ${d} (${t.shape[d]}) in the `
      + "input tensor";
    error.why = `The new sizes must multiply to ${t.shape[d]}, the size of ${named(t, d)}.`;
    throw error;
  }
  return view(t, [...t.shape.slice(0, d), ...inferred(list, t.shape[d]), ...t.shape.slice(d + 1)], step);
}

function unsqueeze(t, step) {
  const [dim] = bind(step, [["dim"]]), d = wrap(dim, t.shape.length + 1);
  const put = (list, v) => [...list.slice(0, d), v, ...list.slice(d)];
  const stride = d < t.shape.length ? t.shape[d] * t.strides[d] : 1;
  return { ...t, shape: put(t.shape, 1), strides: put(t.strides, stride), axes: put(t.axes, []) };
}

function squeeze(t, step) {
  const all = !step.args.length && !("dim" in step.words), n = t.shape.length;
  const dims = all ? range(n) : integers(step, "dim").map((d) => wrap(d, n));
  return pick(t, range(n).filter((d) => t.shape[d] !== 1 || !dims.includes(d)));
}

function expand(t, step) {
  const sizes = integers(step, "size"), extra = sizes.length - t.shape.length;
  if (extra < 0) {
    fail("RuntimeError", `expand(torch.LongTensor{${listed(t.shape)}}, size=${listed(sizes)}): the number of sizes provided `
      + `(${sizes.length}) must be greater or equal to the number of dimensions in the tensor (${t.shape.length})`,
        "expand adds axes on the left; it never drops one.");
  }
  const shape = [], strides = [], axes = [];
  for (let i = sizes.length - 1; i >= 0; i--) {
    const d = i - extra, own = d >= 0 ? t.shape[d] : 1;
    let stride = d >= 0 ? t.strides[d] : i + 1 < sizes.length ? shape[0] * strides[0] : 1;
    if (sizes[i] === -1 && d < 0) fail("RuntimeError",
      `The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension ${i}`);
    const size = sizes[i] === -1 ? own : sizes[i];
    if (size < 0) fail("RuntimeError", `The expanded size of the tensor (${size}) isn't allowed`);
    if (size !== own) {
      if (own !== 1) {
        fail("RuntimeError", `The expanded size of the tensor (${size}) must match the existing size (${own}) at `
          + `non-singleton dimension ${i}.  Target sizes: ${listed(sizes)}.  Tensor sizes: ${listed(t.shape)}`,
            "Only an axis of size 1 can be expanded: its one element is then read again and again (stride 0).");
      }
      stride = 0;
    }
    shape.unshift(size); strides.unshift(stride);
    const names = d >= 0 ? t.axes[d] : [];
    axes.unshift(size === own ? names : [factor(names.length === 1 ? names[0].name : UNKNOWN, size)]);
  }
  return { ...t, shape, strides, axes };
}

/** x[...] with slices, integers, None and "..." only: always a view. */
function index(t, items) {
  if (items.length === 0) fail("SyntaxError", "invalid syntax", "Put a slice between the brackets, such as [:, ::2].");
  const isNone = (item) => item !== null && item.none, n = t.shape.length;
  const used = items.filter((item) => !isNone(item) && !item.dots).length;
  if (items.filter((item) => item.dots).length > 1) fail("IndexError", "an index can only have a single ellipsis ('...')");
  if (used > n) fail("IndexError", `too many indices for tensor of dimension ${n}`,
    `The tensor has ${n} axes; the brackets hold ${used} indices.`);
  const elsewhere = () => fail("Not here", "indexing with lists, masks or tensors",
    "In PyTorch that is advanced indexing: it always copies. This widget knows slices, numbers, None and ….");
  const out = { shape: [], strides: [], axes: [] };
  let { offset } = t, d = 0;
  const keep = (size, stride, axis) => { out.shape.push(size); out.strides.push(stride); out.axes.push(axis); };
  const through = () => { keep(t.shape[d], t.strides[d], t.axes[d]); d++; };
  for (const item of items) {
    const size = t.shape[d];
    if (Array.isArray(item)) elsewhere();
    if (isNone(item)) keep(1, d < n ? t.shape[d] * t.strides[d] : 1, []);
    else if (item.dots) for (let k = n - used; k > 0; k--) through();
    else if (item.slice) {
      const [from, to, by] = item.slice, step = by ?? 1;
      if (![from ?? 0, to ?? 0, step].every(Number.isInteger)) fail("TypeError",
        "slice indices must be integers or None or have an __index__ method");
      if (step === 0) fail("ValueError", "slice step cannot be zero");
      if (step < 0) fail("ValueError", "step must be greater than zero",
        "PyTorch cannot walk backwards: a stride is never negative. Use flip, which copies.");
      const clamp = (v) => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
      const lo = clamp(from ?? 0), count = Math.max(0, Math.ceil((clamp(to ?? size) - lo) / step));
      offset += lo * t.strides[d];
      const shorter = factor(t.axes[d].length === 1 ? t.axes[d][0].name : UNKNOWN, count);
      keep(count, t.strides[d] * step, count === size ? t.axes[d] : [shorter]);
      d++;
    } else if (Number.isInteger(item)) {
      if (item < -size || item >= size) {
        fail("IndexError", `index ${item} is out of bounds for dimension ${d} with size ${size}`,
          `${named(t, d)} counts from 0 to ${size - 1}.`);
      }
      offset += (item < 0 ? item + size : item) * t.strides[d++];
    } else elsewhere();
  }
  while (d < n) through();
  return { ...t, ...out, offset };
}

// ---- einops -----------------------------------------------------------------------------------------------------------

const DOTS = "…";
const einops = (message, why, fixes) => fail("EinopsError", message, why, fixes);

/** One side of a pattern as groups of axis names; "1" and "()" are empty groups, a bare ellipsis is the string "…". */
function side(expression) {
  const names = new Set(), groups = [];
  let dotted = null, numbers = false, group = null;
  if (expression.includes(".")) {
    if (!expression.includes("...")) einops("Expression may contain dots only inside ellipsis (...)");
    if (expression.split(".").length !== 4) einops("Expression may contain dots only inside ellipsis (...); only one ellipsis for tensor ");
  }
  const add = (name) => {
    if (names.has(name)) einops(`Indexing expression contains duplicate dimension "${name}"`,
      "One name stands for one axis; use it once on each side.");
    if (name === DOTS) dotted = group ? "inside" : "bare";
    else if (name === "1") { if (!group) groups.push([]); return; } else if (/^\d+$/.test(name)) {
      if (+name < 1) einops(`Anonymous axis should have positive length, not ${+name}`);
      numbers = true;
    } else if (!/^[A-Za-z]\w*$/.test(name)) einops(`Invalid axis identifier: ${name}\nnot a valid python identifier`);
    else if (name.endsWith("_")) einops(`Invalid axis identifier: ${name}\naxis name should should not start or end with underscore`);
    if (!/^\d+$/.test(name)) names.add(name);
    if (group) group.push(name);
    else groups.push(name === DOTS ? DOTS : [name]);
  };
  for (const [word] of expression.replace("...", DOTS).matchAll(/[A-Za-z0-9_…]+|[^A-Za-z0-9_… ]/g)) {
    if (word === "(") {
      if (group) einops("Axis composition is one-level (brackets inside brackets not allowed)");
      group = [];
    } else if (word === ")") {
      if (!group) einops("Brackets are not balanced");
      groups.push(group);
      group = null;
    } else if (/^[A-Za-z0-9_…]/.test(word)) add(word);
    else einops(`Unknown character '${word}'`, "A pattern holds axis names, parentheses, 1 and … only.");
  }
  if (group) einops(`Imbalanced parentheses in expression: "${expression}"`, "A parenthesis is opened and never closed.");
  return { groups, names, dotted, numbers };
}

const setText = (names) => `{${[...names].sort().map((n) => `'${n}'`).join(", ")}}`;

/** rearrange(t, pattern, sizes): reshape, permute, reshape, exactly as einops does it, hence a view or a copy as there. */
function rearrange(t, pattern, sizes = {}) {
  const halves = pattern.split("->");
  if (halves.length !== 2) {
    fail("ValueError", halves.length < 2
      ? "not enough values to unpack (expected 2, got 1)" : "too many values to unpack (expected 2)",
      "A pattern has two sides: “before -> after”.");
  }
  const [left, right] = halves.map(side), n = t.shape.length;
  if (right.dotted && !left.dotted) einops(`Ellipsis found in right side, but not left side of a pattern ${pattern}`);
  if (left.dotted === "inside") einops(`Ellipsis inside parenthesis in the left side is not allowed: ${pattern}`);
  if (left.numbers || right.numbers) {
    einops("Non-unitary anonymous axes are not supported in rearrange (exception is length 1)",
      "Give the axis a name and its size as a word: p=2.");
  }
  const single = [...[...left.names].filter((v) => !right.names.has(v)),
    ...[...right.names].filter((v) => !left.names.has(v))];
  if (single.length) {
    einops(`Identifiers only on one side of expression (should be on both): ${setText(single)}`,
      `rearrange keeps every element, so every axis must arrive: ${single.join(", ")} stands on one side only.`);
  }
  const bare = left.groups.filter((g) => g !== DOTS).length;
  if (left.dotted ? n < bare : n !== bare) {
    einops(`Wrong shape: expected ${left.dotted ? ">=" : ""}${bare} dims. Received ${n}-dim tensor.`,
      `The left side names ${bare} axes, the tensor has ${n}: ${tuple(t.axes.map(label))}.`);
  }
  const rest = left.dotted ? range(n - bare).map((i) => `${DOTS}${i}`) : [];
  const open = (groups) => groups.flatMap((g) => (
    g === DOTS ? rest.map((v) => [v]) : [g.flatMap((v) => (v === DOTS ? rest : [v]))]));
  const from = open(left.groups), to = open(right.groups), order = from.flat(), length = Object.create(null);
  for (const [name, size] of Object.entries(sizes)) {
    if (!order.includes(name)) einops(`Axis ${name} is not used in transform`,
      `You gave ${name}=${size}, but the pattern has no axis ${name}.`);
    if (!Number.isInteger(size)) fail("TypeError", `axis size ${name} must be int`);
    length[name] = size;
  }
  from.forEach((group) => {
    const unknown = group.filter((v) => !(v in length));
    if (unknown.length > 1) {
      einops(`Could not infer sizes for ${setText(unknown)}`,
        `Several splits fit. Give all but one size, for example ${unknown[1]}=2.`);
    }
  });
  from.forEach((group, d) => {
    const unknown = group.find((v) => !(v in length)), known = prod(group.filter((v) => v in length).map((v) => length[v]));
    if (unknown === undefined) {
      if (t.shape[d] !== known) einops(`Shape mismatch, ${t.shape[d]} != ${known}`,
        `${named(t, d)} has size ${t.shape[d]}, the pattern makes it ${known}.`);
      return;
    }
    if (group.length > 1 && (known < 1 || t.shape[d] % known)) {
      einops(`Shape mismatch, can't divide axis of length ${t.shape[d]} in chunks of ${known}`,
        `${named(t, d)} has size ${t.shape[d]}. Divisors: ${divisors(t.shape[d]).join(", ")}.`);
    }
    length[unknown] = t.shape[d] / known;
  });
  let y = t;
  if (from.some((g) => g.length !== 1)) y = reshape(y, order.map((v) => length[v]));
  const kept = new Map(rest.map((v) => [v, t.axes[from.findIndex((g) => g[0] === v)]]));
  y = { ...y, axes: order.map((v) => kept.get(v) || [factor(v, length[v])]) };
  const target = to.flat();
  if (target.some((v, i) => v !== order[i])) y = pick(y, target.map((v) => order.indexOf(v)));
  if (to.some((g) => g.length !== 1)) y = reshape(y, to.map((g) => prod(g.map((v) => length[v]))));
  return { ...y, axes: to.map((g) => g.flatMap((v) => kept.get(v) || [factor(v, length[v])])) };
}

// ---- dlnotes.shapes ---------------------------------------------------------------------------------------------------

/** The same checks, in the same words, as dlnotes.shapes. */
function layout(t, name, axes) {
  const names = axes.split(" ");
  if (t.shape.length !== names.length) {
    fail("ValueError", `${name}: expected ${names.length} axes (${names.join(", ")}), got shape ${tuple(t.shape)}; `
      + "add a missing batch axis with x.unsqueeze(0)");
  }
  return Object.fromEntries(names.map((v, i) => [v, t.shape[i]]));
}
function counts(step, ...words) {
  const values = bind(step, words.map((w) => [w]));
  words.forEach((w, i) => {
    if (values[i] < 1) fail("ValueError",
      `${step.name}: expected ${w} to be an integer of at least 1, got ${values[i]}; sizes are whole numbers`);
  });
  return values;
}
function fitting(name, size, by, called) {
  if (size.h % by || size.w % by) {
    const up = (v) => Math.ceil(v / by) * by;
    const sizes = Object.entries(size).map(([k, v]) => `${k}=${v}`).join(", ");
    fail("ValueError", `${name}: expected height and width divisible by ${called}, got (${sizes})`,
      `${by} does not divide both ${size.h} and ${size.w}. Pad to (${up(size.h)}, ${up(size.w)}), or choose another size.`);
  }
}

/** Functions that are one rearrange behind one check: [axes, words, pattern, sizes(given), check(name, size, given)]. */
const whole = (called) => (name, size, [p]) => fitting(name, size, p, `${called}=${p}`);
const PATTERNS = {
  to_tokens: ["b c h w", [], "b c h w -> b (h w) c"],
  to_map: ["b n c", ["h", "w"], "b (h w) c -> b c h w", ([h, w]) => ({ h, w }), (name, { n }, [h, w]) => {
    if (h * w === n) return;
    fail("ValueError", `to_map: expected n = h * w tokens, got n=${n} and h=${h}, w=${w} (h * w = ${h * w})`,
      "H and W cannot be recovered from N: carry them along.");
  }],
  patchify: ["b c h w", ["p"], "b c (h p) (w q) -> b (h w) (c p q)", ([p]) => ({ p, q: p }), whole("p")],
  unpatchify: ["b n d", ["p", "h", "w"], "b (h w) (c p q) -> b c (h p) (w q)",
    ([p, h, w]) => ({ h: h / p, w: w / p, p, q: p }), (name, { b, n, d }, [p, h, w]) => {
      if (h % p === 0 && w % p === 0 && (h * w) / (p * p) === n && d % (p * p) === 0) return;
      fail("ValueError", `unpatchify: expected n = (h/p)*(w/p) tokens of width c*p*p, got ${tuple([b, n, d])} with p=${p}, `
        + `h=${h}, w=${w}`, "Pass the height and width in pixels of the picture that was cut.");
    }],
  window_partition: ["b h w c", ["window_size"], "b (nh i) (nw j) c -> (b nh nw) i j c", ([i]) => ({ i, j: i }),
    whole("window_size")],
  window_reverse: ["windows i j c", ["window_size", "h", "w"], "(b nh nw) i j c -> b (nh i) (nw j) c",
    ([ws, h, w]) => ({ nh: h / ws, nw: w / ws }), (name, { windows, i, j, c }, [ws, h, w]) => {
      if (i !== ws || j !== ws) {
        fail("ValueError", `window_reverse: expected windows of ${ws} by ${ws}, got ${tuple([windows, i, j, c])}; `
          + "pass the window_size that cut them, channels last");
      }
      if (h % ws || w % ws || windows % ((h * w) / (ws * ws))) {
        fail("ValueError", `window_reverse: expected h and w divisible by window_size=${ws} and b * (h/ws) * (w/ws) windows, `
          + `got ${windows} windows with h=${h}, w=${w}`);
      }
    }],
  pixel_shuffle: ["b c h w", ["factor"], "b (c p q) h w -> b c (h p) (w q)", ([p]) => ({ p, q: p }), (name, size, [r]) => {
    if (size.c % (r * r) === 0) return;
    fail("ValueError", `pixel_shuffle: expected channels divisible by factor**2 = ${r * r}, got shape `
      + tuple(Object.values(size)), `Each new channel is made of ${r} × ${r} old ones, and ${r * r} does not divide ${size.c}.`);
  }],
  pixel_unshuffle: ["b c h w", ["factor"], "b c (h p) (w q) -> b (c p q) h w", ([p]) => ({ p, q: p }), whole("factor")],
  channel_shuffle: ["b c h w", ["groups"], "b (g c) h w -> b (c g) h w", ([g]) => ({ g }), (name, { c }, [g]) => {
    if (c % g === 0) return;
    fail("ValueError", `channel_shuffle: expected channels divisible by groups, got ${c} channels and groups=${g}; `
      + "choose a divisor of the channel count");
  }],
};

const SHAPES = {
  __proto__: null, // a reader may type any word, "constructor" too
  ...Object.fromEntries(Object.entries(PATTERNS).map(([name, [axes, words, pattern, sizes, check]]) => [name, (t, step) => {
    const values = counts(step, ...words), size = layout(t, name, axes);
    if (check) check(name, size, values);
    return rearrange(t, pattern, sizes ? sizes(values) : {});
  }])),
  patch_merging(t, step) {
    bind(step, []);
    fitting(step.name, layout(t, step.name, "b h w c"), 2, "2");
    // torch.cat of the four parities 00, 10, 01, 11 on the last axis; `cat` always copies
    const [b, h, w, c] = t.shape, all = { slice: [null, null, null] }, every = (from) => ({ slice: [from, null, 2] });
    const parts = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([r, s]) => index(t, [all, every(r), every(s)]));
    const rows = parts.map((part) => slots(part).map((slot) => t.store.cells[slot]));
    const cells = range((b * h * w) / 4).flatMap((i) => rows.flatMap((row) => row.slice(i * c, (i + 1) * c)));
    const shape = [b, h / 2, w / 2, 4 * c];
    const axes = [[factor("b", b)], [factor("h", h / 2)], [factor("w", w / 2)],
      [factor("q", 2), factor("p", 2), factor("c", c)]];
    const y = { shape, strides: contiguousStrides(shape), offset: 0, store: { id: ++stores, cells }, axes };
    return parts.every(looksChannelsLast) ? copy(y, shape, channelsLastStrides(shape)) : y;
  },
};
SHAPES.rearrange = (t, step) => {
  const [pattern] = step.args;
  if (step.args.length !== 1 || !pattern || pattern.text === undefined) {
    fail("TypeError", "rearrange() expects a pattern in quotation marks", 'Write rearrange("b h w -> b (h w)").');
  }
  return rearrange(t, pattern.text, step.words);
};

const METHODS = {
  __proto__: null,
  view: (t, step) => (step.args.length || "size" in step.words ? view(t, integers(step, "size"), step)
    : fail("TypeError", "view() received an invalid combination of arguments - got ()",
      "Write the new shape: view(2, -1).")),
  reshape: (t, step) => (step.args.length || "shape" in step.words ? reshape(t, integers(step, "shape"))
    : fail("TypeError", "reshape() missing 1 required positional arguments: \"shape\"",
      "Write the new shape: reshape(2, -1).")),
  permute, transpose, swapaxes: transpose, flatten, unflatten, unsqueeze, squeeze, expand,
  contiguous: (t, step) => contiguous(t, step, false),
  to: (t, step) => contiguous(t, step, true),
  t(t, step) {
    bind(step, []);
    if (t.shape.length > 2) fail("RuntimeError", `t() expects a tensor with <= 2 dimensions, but self is ${t.shape.length}D`,
      "Say which axes to swap: transpose(1, 2).");
    return t.shape.length === 2 ? swapped(t, 0, 1) : t;
  },
};
const ATTRIBUTES = {
  __proto__: null,
  T: (t) => pick(t, range(t.shape.length).reverse()),
  mT: (t) => (t.shape.length > 1 ? swapped(t, t.shape.length - 2, t.shape.length - 1)
    : fail("RuntimeError", `tensor.mT is only supported on matrices or batches of matrices. Got ${t.shape.length}-D tensor.`)),
};

function apply(t, step) {
  if (step.index) return index(t, step.index);
  const { name } = step;
  if (!step.called) {
    if (ATTRIBUTES[name]) return ATTRIBUTES[name](t);
    if (METHODS[name] || SHAPES[name]) fail("Not called", `${name} is the operation itself, not its result`,
      "Add parentheses with its arguments.");
  } else if (step.own ? METHODS[name] : METHODS[name] || SHAPES[name]) return (METHODS[name] || SHAPES[name])(t, step);
  else if (ATTRIBUTES[name]) fail("TypeError", "'Tensor' object is not callable", `${name} stands without parentheses.`,
    [{ label: `Use ${name}`, steps: [name] }]);
  if (SHAPES[name]) {
    fail("AttributeError", `'Tensor' object has no attribute '${name}'`, `${name} is a function, not a method of tensors.`,
      [{ label: `Use ${name}(…)`, steps: [step.body] }]);
  }
  return fail(step.own ? "AttributeError" : "NameError", step.own
    ? `'Tensor' object has no attribute '${name}'` : `name '${name}' is not defined`,
    `This widget knows ${Object.keys(METHODS).join(", ")}, T, mT, slices, ${Object.keys(SHAPES).join(", ")}.`);
}

// ---- a whole chain ----------------------------------------------------------------------------------------------------

function first(shape, names) {
  const cells = range(prod(shape));
  stores = 0;
  return { shape, strides: contiguousStrides(shape), offset: 0, store: { id: 0, cells },
    axes: shape.map((size, i) => [factor(names[i], size)]) };
}

function described(t, before) {
  const where = slots(t);
  const kind = !before ? "input" : t.store !== before.store ? "copy" : t === before ? "self" : "view";
  return {
    shape: t.shape, strides: t.strides, offset: t.offset, names: t.axes.map(label), kind,
    note: t.note && kind === "copy" ? t.note : "",
    contiguous: isContiguous(t), channelsLast: isChannelsLast(t), storage: t.store.id, memory: t.store.cells, slots: where,
    values: where.map((slot) => t.store.cells[slot]),
  };
}

/** Run steps on arange(prod(shape)).reshape(shape). One stage for the input and one per step: a tensor,
    an error, or, after an error, neither. */
function run(shape, names, steps) {
  let t = first(shape, names), broken = false;
  const stages = [described(t)];
  for (const text of steps) {
    if (broken) { stages.push({ skipped: true }); continue; }
    try {
      const step = parse(text, t), y = apply(t, step);
      delete t.note;
      const n = prod(y.shape);
      if (n === 0) fail("Nothing left", `the result has shape ${tuple(y.shape)} and no elements`,
        "PyTorch allows that; there would be nothing to see here.");
      if (n > LIMIT) fail("Too large here", `${n} elements`,
        `This page draws up to ${LIMIT} elements. PyTorch would go on.`);
      if (y.shape.length > 8) fail("Too many axes here", `${y.shape.length} axes`, "This page draws up to 8 axes.");
      stages.push({ ...described(y, t), call: written(step) });
      t = y;
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      stages.push({ error: { kind: error.kind, message: error.message, why: error.why, fixes: error.fixes } });
      broken = true;
    }
  }
  return stages;
}

/** The Python expression on x that a parsed step stands for. */
function written(step) {
  if (step.index) return `x${step.body}`;
  if (SHAPES[step.name] && !step.own) return `${step.name}(${step.first ? "" : step.inside ? "x, " : "x"}${step.inside})`;
  return step.first ? `torch.${step.body}` : `x.${step.body}`;
}

/** Python that repeats the chain and prints where one element went. */
function code(shape, names, steps, element) {
  const stages = run(shape, names, steps);
  const calls = stages.slice(1).filter((s) => s.call).map((s) => s.call);
  const functions = Object.keys(SHAPES).filter((name) => name !== "rearrange"
    && calls.some((c) => c.startsWith(`${name}(`)));
  const head = ["import torch"];
  if (calls.some((c) => c.startsWith("rearrange("))) head.push("from einops import rearrange");
  if (functions.length) head.push(`from dlnotes.shapes import ${functions.join(", ")}`);
  const lines = [`x = torch.arange(${prod(shape)}).reshape(${shape.join(", ")})`], notes = [names.join(" ")];
  stages.slice(1).forEach((s, i) => {
    if (s.call) {
      lines.push(`x = ${s.call}`);
      notes.push(`${s.names.join(" ")}: ${tuple(s.shape)}, strides ${tuple(s.strides)}, ${s.kind === "copy" ? "copy" : "view"}`);
    } else {
      lines.push(`# ${steps[i].replace(/\n/g, " ")}`);
      notes.push(s.error ? `${s.error.kind}: ${s.error.message.replace(/\s+/g, " ")}` : "not reached");
    }
  });
  const width = Math.min(44, Math.max(...lines.map((line) => line.length)));
  const body = lines.map((line, i) => `${line.padEnd(width)}  # ${notes[i]}`);
  return [...head, "", ...body, "print(tuple(x.shape), x.stride(), x.storage_offset(), x.is_contiguous())",
    `print((x == ${element}).nonzero())  # where element ${element} is now`].join("\n");
}
