// TensorShapes: follow every element of a small tensor through a chain of operations.
// First half: PyTorch's rules for shapes, strides and storage as pure functions. Second half: the page.
// A tensor here is { shape, strides, offset, store, axes }. `store.cells[slot]` says which element of the first tensor lies
// in that slot; `axes[i]` lists the named factors that axis i is made of, so that "(h w)" can be split into h and w again.

const LIMIT = 96; // more elements than this cannot be followed by eye

const prod = (sizes) => sizes.reduce((a, b) => a * b, 1);
const tuple = (list) => (list.length === 1 ? `(${list[0]},)` : `(${list.join(", ")})`);
const listed = (list) => `[${list.join(", ")}]`;
const divisors = (n) => Array.from({ length: n }, (_, i) => i + 1).filter((d) => n % d === 0);

/** What PyTorch or einops would raise: its type and message, then why in plain words, and edits that would help. */
class StepError extends Error {
  constructor(kind, message, why = "", fixes = []) {
    super(message);
    Object.assign(this, { kind, why, fixes });
  }
}
const fail = (...parts) => { throw new StepError(...parts); };

// ---- strides and storage ---------------------------------------------------------------------------------------------

function contiguousStrides(shape) {
  const strides = new Array(shape.length).fill(1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1] * Math.max(shape[d + 1], 1);
  return strides;
}

/** Dense in the given order of axes, last axis of the order slowest. Axes of size 1 do not count. */
function dense(shape, strides, order) {
  let expected = 1;
  for (const d of order) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d];
  }
  return true;
}
const isContiguous = ({ shape, strides }) => dense(shape, strides, shape.map((_, d) => d).reverse());
const isChannelsLast = ({ shape, strides }) => shape.length === 4 && dense(shape, strides, [1, 3, 2, 0]);
const channelsLastStrides = ([, c, h, w]) => [h * w * c, 1, w * c, c];

/** PyTorch's guess of the memory format from strides alone; `cat` keeps channels_last when all its inputs look like it. */
function looksChannelsLast({ shape, strides }) {
  if (shape.length !== 4 || strides[1] === 0) return false;
  let least = 0;
  for (const d of [1, 3, 2, 0]) {
    if (strides[d] < least || (d === 0 && least === strides[1])) return false;
    least = strides[d] * Math.max(shape[d], 1);
  }
  return true;
}

/** Slots of all elements, in logical (row-major) order. */
function slots({ shape, strides, offset }) {
  let found = [offset];
  shape.forEach((size, d) => {
    found = found.flatMap((slot) => Array.from({ length: size }, (_, i) => slot + i * strides[d]));
  });
  return found;
}

/** The strides that let `shape` be read from the same storage without moving anything, or null: the rule of Tensor.view. */
function viewStrides(oldShape, oldStrides, shape) {
  const strides = new Array(shape.length).fill(1);
  if (!oldShape.length) return strides;
  let v = shape.length - 1, base = oldStrides[oldShape.length - 1], chunk = 1, seen = 1;
  for (let d = oldShape.length - 1; d >= 0; d--) {
    chunk *= oldShape[d];
    // the chunk ends where one step of the axis to the left is not one whole run of what was collected so far
    if (d && (oldShape[d - 1] === 1 || oldStrides[d - 1] === chunk * base)) continue;
    while (v >= 0 && (seen < chunk || shape[v] === 1)) {
      strides[v] = seen * base;
      seen *= shape[v--];
    }
    if (seen !== chunk) return null;
    if (d) { base = oldStrides[d - 1]; chunk = seen = 1; }
  }
  return v === -1 ? strides : null;
}

/** The pair of old axes that one new axis would have to run across although their strides do not join, or null. */
function viewObstacle(oldShape, oldStrides, shape) {
  const borders = new Set(shape.map((_, i) => prod(shape.slice(0, i + 1))));
  const axes = oldShape.map((_, d) => d).filter((d) => oldShape[d] !== 1);
  for (let k = 0; k + 1 < axes.length; k++) {
    const [left, right] = [axes[k], axes[k + 1]];
    if (!borders.has(prod(oldShape.slice(0, left + 1))) && oldStrides[left] !== oldShape[right] * oldStrides[right]) {
      return { left, right, step: oldStrides[left], size: oldShape[right], stride: oldStrides[right] };
    }
  }
  return null;
}

let stores = 0;
/** A new tensor in its own memory with the elements of `t` in logical order, laid out by `strides`. */
function copy(t, shape = t.shape, strides = contiguousStrides(shape), axes = t.axes) {
  const cells = [], source = slots(t);
  slots({ shape, strides, offset: 0 }).forEach((slot, i) => { cells[slot] = t.store.cells[source[i]]; });
  return { shape, strides, offset: 0, store: { id: ++stores, cells }, axes };
}

// ---- names of axes ---------------------------------------------------------------------------------------------------

const factor = (name, size, whole = null, part = 0, parts = 0) => ({ name, size, whole, part, parts });
const UNKNOWN = "?";

/** Pieces of one axis that stand together again, in order, become that axis again. */
function rejoin(factors) {
  for (let i = 0; i < factors.length; i++) {
    const { whole, parts } = factors[i];
    const run = factors.slice(i, i + parts);
    if (whole && run.length === parts && run.every((f, k) => f.whole === whole && f.part === k)) {
      return rejoin([...factors.slice(0, i), whole, ...factors.slice(i + parts)]);
    }
  }
  return factors;
}

/** Carry names through a view or reshape: axes that join become "(h w)", an axis that is cut becomes h₁ and h₂, and where
    the new borders cross the old ones no name fits and the axis is called "?". */
function regroup(axes, shape) {
  const result = shape.map(() => []);
  const all = axes.flat(), big = all.filter((f) => f.size > 1);
  const targets = shape.map((_, i) => i).filter((i) => shape[i] > 1);
  for (let i = 0, j = 0; i < big.length;) {
    const group = [big[i++]], into = [targets[j++]];
    let a = group[0].size, b = shape[into[0]];
    while (a !== b) {
      if (a < b) { group.push(big[i]); a *= big[i++].size; }
      else { into.push(targets[j]); b *= shape[targets[j++]]; }
    }
    const pieces = group.map(() => []);
    let fits = true;
    for (let g = 0, k = 0, left = group[0].size, room = shape[into[0]]; g < group.length;) {
      const size = Math.min(left, room);
      if (Math.max(left, room) % size) { fits = false; break; }
      pieces[g].push([size, into[k]]);
      left /= size;
      room /= size;
      if (left === 1 && ++g < group.length) left = group[g].size;
      if (room === 1 && ++k < into.length) room = shape[into[k]];
    }
    if (fits) {
      pieces.forEach((cut, g) => cut.forEach(([size, axis], part) => result[axis].push(cut.length === 1 ? group[g]
        : factor(`${group[g].name}${"₁₂₃₄₅₆₇₈₉"[part]}`, size, group[g], part, cut.length))));
    } else for (const axis of into) result[axis].push(factor(UNKNOWN, shape[axis]));
  }
  // an axis of size 1 keeps its name where it stays between the same neighbours
  const before = (sizes, i) => prod(sizes.slice(0, i));
  const ones = all.flatMap((f, i) => (f.size === 1 ? [[f, before(all.map((g) => g.size), i)]] : []));
  shape.forEach((size, i) => {
    if (size !== 1) return;
    const k = ones.findIndex(([, at]) => at === before(shape, i));
    if (k >= 0) result[i].push(ones.splice(k, 1)[0][0]);
  });
  return result.map(rejoin);
}

const label = (factors) => (factors.length === 0 ? "1" : factors.length === 1 ? factors[0].name
  : `(${factors.map((f) => f.name).join(" ")})`);
const named = (t, d) => `axis ${d} (${label(t.axes[d])})`;

// ---- reading a step --------------------------------------------------------------------------------------------------

const TOKEN = /\s*(?:(\d+\.\d*|\d+)|([A-Za-z_]\w*)|("[^"]*"|'[^']*')|(\.\.\.|\/\/|[()[\],:.=*+-]))/y;
const MODULES = ["torch", "F", "einops", "nn", "functional", "shapes", "dlnotes"];
const ITSELF = { itself: true };

/** Parse "permute(0, 2, 1)", "x.T", "x[:, ::2]", "rearrange(x, '...')" for tensor `t`. Sizes may use x.size(0), * and //. */
function parse(text, t) {
  const source = text.trim().replace(/^x\s*=(?!=)\s*/, "");
  const tokens = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const start = TOKEN.lastIndex, m = TOKEN.exec(source);
    if (!m) {
      const rest = source.slice(start).trim();
      const open = /^["']/.test(rest);
      fail("SyntaxError", open ? "unterminated string literal" : "invalid syntax",
        open ? "The quotation mark is not closed." : `The sign ${JSON.stringify(rest[0])} has no place in a step.`);
    }
    tokens.push({ number: m[1], name: m[2], string: m[3], sign: m[4], end: TOKEN.lastIndex,
      start: TOKEN.lastIndex - m[0].trimStart().length });
  }
  let at = 0;
  const peek = (sign) => tokens[at] && tokens[at].sign === sign;
  const accept = (sign) => (peek(sign) ? tokens[at++] : null);
  const syntax = (why) => fail("SyntaxError", "invalid syntax", why);
  const expect = (sign) => accept(sign) || syntax(at < tokens.length
    ? `Expected ${sign} before “${source.slice(tokens[at].start)}”.` : `A ${sign} is missing at the end.`);

  function items(close, one) {
    const found = [];
    while (!peek(close)) {
      found.push(one());
      if (!accept(",")) break;
    }
    expect(close);
    return found;
  }
  function value() {
    let left = term();
    for (;;) {
      if (accept("+")) left = whole(left) + whole(term());
      else if (accept("-")) left = whole(left) - whole(term());
      else return left;
    }
  }
  function term() {
    let left = atom();
    for (;;) {
      if (accept("*")) left = whole(left) * whole(atom());
      else if (accept("//")) {
        const by = whole(atom());
        if (by === 0) fail("ZeroDivisionError", "integer division or modulo by zero");
        left = Math.floor(whole(left) / by);
      } else return left;
    }
  }
  const whole = (v) => (Number.isInteger(v) ? v : syntax("Only whole numbers can be added or multiplied here."));
  function atom() {
    if (accept("-")) return -whole(atom());
    if (accept("(")) {
      const from = at, inside = items(")", value);
      return inside.length === 1 && tokens[at - 2].sign !== "," && at - 1 > from ? inside[0] : inside;
    }
    if (accept("[")) return items("]", value);
    const token = tokens[at++];
    if (!token) return syntax("Something is missing at the end.");
    if (token.number) return token.number.includes(".") ? { float: token.number } : +token.number;
    if (token.string) return { text: token.string.slice(1, -1) };
    if (token.name === "x") return member();
    if (token.name === "None") return null;
    if (token.name === "torch") {
      expect(".");
      return { torch: (tokens[at++] || {}).name };
    }
    if (token.name) {
      const d = t.axes.findIndex((axis) => label(axis) === token.name);
      return fail("NameError", `name '${token.name}' is not defined`, d < 0
        ? "Sizes and axes are given as numbers here." : `Axes go by number: ${token.name} is axis ${d} and has size ${t.shape[d]}.`);
    }
    return syntax(`Unexpected “${token.sign}”.`);
  }
  function member() {
    if (!accept(".")) return ITSELF;
    const { name } = tokens[at++] || {};
    if (name === "ndim") return t.shape.length;
    if (name === "numel") { expect("("); expect(")"); return prod(t.shape); }
    if (name === "size" && accept("(")) return accept(")") ? [...t.shape] : sizeAt(")");
    if (name === "shape") return accept("[") ? sizeAt("]") : [...t.shape];
    return syntax("Of x, a size may use x.size(0), x.shape[0], x.ndim and x.numel().");
  }
  function sizeAt(close) {
    const d = whole(value());
    expect(close);
    return t.shape[wrap(d, t.shape.length)];
  }
  function slice() {
    if (accept("...")) return { dots: true };
    const parts = [null, null, null];
    let k = 0;
    for (;;) {
      if (!peek(":") && !peek(",") && !peek("]")) parts[k] = value();
      if (k < 2 && accept(":")) k++;
      else break;
    }
    if (k === 0 && peek(",") && parts[0] === null) return { none: true };
    return k ? { slice: parts } : parts[0] === null ? { none: true } : parts[0];
  }
  function argument() {
    const next = tokens[at + 1];
    if (tokens[at].name && next && next.sign === "=") {
      at += 2;
      return { keyword: tokens[at - 2].name, value: value() };
    }
    return { value: value() };
  }

  if (!tokens.length) fail("Empty", "this step is empty",
    "Type an operation, such as permute(0, 2, 1), or remove the step.");
  let own = false; // written as a method of x
  if (tokens[0].name === "x" && tokens.length > 1) { at++; own = true; }
  if (own && !peek("[")) expect(".");
  else if (accept(".")) own = true;
  while (!own && tokens[at + 1] && tokens[at + 1].sign === "." && MODULES.includes(tokens[at].name)) at += 2;
  const begin = at < tokens.length ? tokens[at].start : source.length;
  let step;
  if (accept("[")) step = { index: items("]", slice) };
  else {
    const head = tokens[at++];
    if (!head || !head.name) syntax("A step starts with the name of an operation, or with [ for a slice.");
    if (!accept("(")) step = { name: head.name, own };
    else {
      const open = tokens[at - 1].end, given = items(")", argument);
      const first = given.length > 0 && given[0].value === ITSELF;
      if (first) given.shift();
      step = {
        name: head.name, own, called: true, inside: source.slice(open, tokens[at - 1].start).trim(), first,
        args: given.filter((a) => !a.keyword).map((a) => a.value),
        words: Object.fromEntries(given.filter((a) => a.keyword).map((a) => [a.keyword, a.value])),
      };
    }
  }
  step.body = source.slice(begin, tokens[at - 1].end);
  if (at < tokens.length) {
    const rest = source.slice(tokens[at].start);
    if (!/^[.[]/.test(rest)) syntax(`Nothing may follow ${step.body}, but “${rest}” does.`);
    fail("One at a time", "two operations in one step",
      "Python allows it; here every operation has its own step, so that you see the tensor in between.",
      [{ label: "Split into two steps", steps: [step.body, rest.replace(/^\./, "")] }]);
  }
  return step;
}

// ---- checks that several operations share ----------------------------------------------------------------------------

function wrap(d, ndim) {
  if (!Number.isInteger(d)) fail("TypeError", "dimensions must be int", "An axis is given by its number.");
  const n = Math.max(ndim, 1);
  if (d < -n || d >= n) {
    fail("IndexError", `Dimension out of range (expected to be in range of [${-n}, ${n - 1}], but got ${d})`,
      `There ${n === 1 ? "is 1 axis" : `are ${n} axes`}, numbered 0 to ${n - 1} from the left, or -1 to ${-n} from the right.`);
  }
  return d < 0 ? d + n : d;
}

/** Python's rules for arguments: [[name, default], ...]; no default means required. */
function bind(step, params, unit = "int") {
  const values = {};
  if (step.args.length > params.length) {
    fail("TypeError", `${step.name}() takes ${params.length} positional argument${params.length === 1 ? "" : "s"} but ${step.args.length} were given`);
  }
  step.args.forEach((v, i) => { values[params[i][0]] = v; });
  for (const [word, v] of Object.entries(step.words)) {
    if (!params.some(([name]) => name === word)) fail("TypeError",
      `${step.name}() got an unexpected keyword argument '${word}'`);
    values[word] = v;
  }
  return params.map(([name, preset]) => {
    const v = name in values ? values[name] : preset;
    if (v === undefined) {
      fail("TypeError", `${step.name}() missing 1 required positional argument: '${name}'`,
        `Write ${step.name}(${params.map(([n]) => n).join(", ")}).`);
    }
    if (unit === "int" && !Number.isInteger(v)) fail("TypeError", `${step.name}(): argument '${name}' must be int`);
    return v;
  });
}

/** Sizes or axes given as f(2, 3), f((2, 3)) or f([2, 3]). */
function integers(step, word) {
  let list = word in step.words ? step.words[word] : step.args;
  if (Array.isArray(list) && list.length === 1 && Array.isArray(list[0])) list = list[0];
  if (!Array.isArray(list)) list = [list];
  if (!list.every(Number.isInteger)) {
    fail("TypeError", `${step.name}() received an invalid combination of arguments`, "It takes whole numbers only.");
  }
  return list;
}

/** Replace one -1 by the size that is left over. */
function inferred(shape, n, of = "elements") {
  const open = shape.filter((s) => s === -1).length;
  const bad = shape.findIndex((s) => s < -1);
  if (bad >= 0) fail("RuntimeError", `invalid shape dimension ${shape[bad]} at index ${bad} of shape ${listed(shape)}`,
    "A size is 1 or more; -1 means “whatever is left”.");
  if (open > 1) fail("RuntimeError", "only one dimension can be inferred",
    "With two sizes left open there is more than one answer.");
  const rest = prod(shape.filter((s) => s !== -1));
  if (open ? rest === 0 || n % rest : rest !== n) {
    const why = rest === 0 ? "A size of 0 leaves no elements."
      : open ? `${n} ${of} cannot be dealt into groups of ${rest}: ${n} = ${Math.floor(n / rest)} × ${rest} + ${n % rest}. Divisors of ${n}: ${divisors(n).join(", ")}.`
        : `The new shape has ${shape.join(" × ")} = ${rest} places, the tensor has ${n} ${of}. No element may be lost or invented.`;
    fail("RuntimeError", `shape '${listed(shape)}' is invalid for input of size ${n}`, why);
  }
  return shape.map((s) => (s === -1 ? n / rest : s));
}

// ---- operations: each takes (tensor, step) and returns a tensor --------------------------------------------------------

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
  return `${named(t, o.left)} and ${named(t, o.right)} cannot be merged: one step along ${label(t.axes[o.left])} moves ${o.step} in memory, `
    + `but a whole run of ${label(t.axes[o.right])} moves ${o.size} × ${o.stride} = ${o.size * o.stride}. One axis has only one stride.`;
}

function view(t, sizes, step) {
  const shape = inferred(sizes, prod(t.shape));
  const strides = viewStrides(t.shape, t.strides, shape);
  if (!strides) {
    fail("RuntimeError", "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
      + "contiguous subspaces). Use .reshape(...) instead.", obstacleText(t, shape), step.name === "view" ? [
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
    fail("RuntimeError", "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of "
      + `dimensions i.e. input.dim() = ${n} is not equal to len(dims) = ${given.length}`,
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
    error.message = `unflatten: Provided sizes ${listed(list)} don't multiply up to the size of dim ${d} (${t.shape[d]}) in the input tensor`;
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
    fail("RuntimeError", `expand(torch.LongTensor{${listed(t.shape)}}, size=${listed(sizes)}): the number of sizes provided (${sizes.length}) must be `
      + `greater or equal to the number of dimensions in the tensor (${t.shape.length})`,
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
        fail("RuntimeError", `The expanded size of the tensor (${size}) must match the existing size (${own}) at non-singleton dimension ${i}.  `
          + `Target sizes: ${listed(sizes)}.  Tensor sizes: ${listed(t.shape)}`,
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
      keep(count, t.strides[d] * step, count === size ? t.axes[d] : [factor(t.axes[d].length === 1
        ? t.axes[d][0].name : UNKNOWN, count)]);
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

// ---- einops ------------------------------------------------------------------------------------------------------------

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
  const open = (groups) => groups.flatMap((g) => (g === DOTS ? rest.map((v) => [v]) : [g.flatMap((v) => (v === DOTS
    ? rest : [v]))]));
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

// ---- dlnotes.shapes ------------------------------------------------------------------------------------------------------

/** The same checks, in the same words, as dlnotes.shapes. */
function layout(t, name, axes) {
  const names = axes.split(" ");
  if (t.shape.length !== names.length) {
    fail("ValueError", `${name}: expected ${names.length} axes (${names.join(", ")}), got shape ${tuple(t.shape)}; add a missing batch axis with x.unsqueeze(0)`);
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
    fail("ValueError", `${name}: expected height and width divisible by ${called}, got (${Object.entries(size).map(([k, v]) => `${k}=${v}`).join(", ")})`,
      `${by} does not divide both ${size.h} and ${size.w}. Pad to (${up(size.h)}, ${up(size.w)}), or choose another size.`);
  }
}

/** Functions that are one rearrange behind one check: [axes, words, pattern, sizes(arguments), check(name, size,
  arguments)]. */
const map = "b c h w", tokens = "b n c";
const whole = (called) => (name, size, [p]) => fitting(name, size, p, `${called}=${p}`);
const PATTERNS = {
  to_tokens: [map, [], "b c h w -> b (h w) c"],
  to_map: [tokens, ["h", "w"], "b (h w) c -> b c h w", ([h, w]) => ({ h, w }), (name, { n }, [h, w]) => h * w === n
    || fail("ValueError",
    `to_map: expected n = h * w tokens, got n=${n} and h=${h}, w=${w} (h * w = ${h * w})`,
      "H and W cannot be recovered from N: carry them along.")],
  patchify: [map, ["p"], "b c (h p) (w q) -> b (h w) (c p q)", ([p]) => ({ p, q: p }), whole("p")],
  unpatchify: ["b n d", ["p", "h", "w"], "b (h w) (c p q) -> b c (h p) (w q)",
    ([p, h, w]) => ({ h: h / p, w: w / p, p, q: p }),
    (name, { b, n, d }, [p, h, w]) => (h % p === 0 && w % p === 0 && (h * w) / (p * p) === n
      && d % (p * p) === 0) || fail("ValueError",
      `unpatchify: expected n = (h/p)*(w/p) tokens of width c*p*p, got ${tuple([b, n, d])} with p=${p}, h=${h}, w=${w}`,
      "Pass the height and width in pixels of the picture that was cut.")],
  window_partition: ["b h w c", ["window_size"], "b (nh i) (nw j) c -> (b nh nw) i j c", ([i]) => ({ i, j: i }),
    whole("window_size")],
  window_reverse: ["windows i j c", ["window_size", "h", "w"], "(b nh nw) i j c -> b (nh i) (nw j) c",
    ([ws, h, w]) => ({ nh: h / ws, nw: w / ws }), (name, { windows, i, j, c }, [ws, h, w]) => {
      if (i !== ws || j !== ws) {
        fail("ValueError", `window_reverse: expected windows of ${ws} by ${ws}, got ${tuple([windows, i, j, c])}; pass the window_size that `
          + "cut them, channels last");
      }
      if (h % ws || w % ws || windows % ((h * w) / (ws * ws))) {
        fail("ValueError", `window_reverse: expected h and w divisible by window_size=${ws} and b * (h/ws) * (w/ws) windows, got ${windows} `
          + `windows with h=${h}, w=${w}`);
      }
    }],
  pixel_shuffle: [map, ["factor"], "b (c p q) h w -> b c (h p) (w q)", ([p]) => ({ p, q: p }), (name, size,
    [r]) => size.c % (r * r) === 0
    || fail("ValueError", `pixel_shuffle: expected channels divisible by factor**2 = ${r * r}, got shape ${tuple(Object.values(size))}`,
      `Each new channel is made of ${r} × ${r} old ones, and ${r * r} does not divide ${size.c}.`)],
  pixel_unshuffle: [map, ["factor"], "b c (h p) (w q) -> b (c p q) h w", ([p]) => ({ p, q: p }), whole("factor")],
  channel_shuffle: [map, ["groups"], "b (g c) h w -> b (c g) h w", ([g]) => ({ g }), (name, { c }, [g]) => c % g === 0
    || fail("ValueError",
    `channel_shuffle: expected channels divisible by groups, got ${c} channels and groups=${g}; choose a divisor of the channel count`)],
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
    const axes = [[factor("b", b)], [factor("h", h / 2)], [factor("w", w / 2)], [factor("q", 2), factor("p", 2),
      factor("c", c)]];
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

// ---- a whole chain ---------------------------------------------------------------------------------------------------------

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

/** Run steps on arange(prod(shape)).reshape(shape). One stage for the input and one per step: a tensor, an error, or,
  after an
    error, neither. */
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

// ---- the page ----------------------------------------------------------------------------------------------------------------

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
  const n = s.length, letters = names.every((v) => /^[a-z]\w*$/i.test(v)) ? names : DEFAULT_NAMES[n]?.split(" ") || range(n).map((i) => `a${i}`);
  const last = [...range(n - 2), n - 1, n - 2];
  return [
    ["view", `view(${s[0] ?? 1}, -1)`], ["reshape", "reshape(-1)"],
    ["permute", `permute(${(n > 1 ? last : range(n)).join(", ")})`], ["transpose",
      `transpose(${Math.max(n - 2, 0)}, ${Math.max(n - 1, 0)})`],
    ["flatten", `flatten(${n > 1 ? 1 : 0})`], ["contiguous", "contiguous()"], ["unsqueeze", "unsqueeze(0)"], ["squeeze",
      "squeeze()"],
    ["unflatten", `unflatten(-1, (2, -1))`], ["expand", `expand(${[2, ...s].join(", ")})`], ["slice", "x[..., ::2]"],
    ["rearrange (einops)", `rearrange("${letters.join(" ")} -> ${n > 1 ? `${letters.slice(0, -2).concat(`(${letters[n - 1]} ${letters[n - 2]})`).join(" ")}` : letters.join(" ")}")`],
    ["patchify (b c h w)", "patchify(2)"], ["patch merging (b h w c)", "patch_merging()"], ["window partition (b h w c)",
      "window_partition(2)"],
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
  if (names.length !== shape.length) return { error: `${shape.length} axes need ${shape.length} names, for example ${DEFAULT_NAMES[shape.length]}.` };
  if (new Set(names).size < names.length
    || !names.every((v) => /^[A-Za-z][A-Za-z0-9]*$/.test(v))) return { error: "Names are different words of letters and digits." };
  return { shape, names };
}

function render({ model, el }) {
  const { el: h } = kit;
  const f = kit.frame(el, {
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
      const to = dx === -Infinity ? row : dx === Infinity ? row + cols - 1 : Math.min(n - 1, Math.max(0, from + dx
        + dy * cols));
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
    columns w,
      and the channels of one pixel side by side. */
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
    const each = range(Math.ceil(perLine / 2)
      + 1).map((k) => perLine - k).find((k) => n % k === 0) || perLine; // equal lines if possible
    c.strip = [];
    for (let start = 0; start < n; start += each) {
      const line = h("div", { class: "dln-tensors-row" }, h("span", { class: "dln-tensors-slot", text: start }));
      for (let k = start; k < Math.min(start + each, n); k++) {
        const cell = h("span", { class: `dln-tensors-cell${read.has(k) ? "" : " dln-tensors-unread"}`, "data-slot": k,
          "data-element": s.memory[k],
          style: read.has(k) ? tint(s.memory[k]) : null, text: s.memory[k] });
        c.strip.push(cell);
        line.append(cell);
      }
      lines.push(line);
    }
    c.memory.replaceChildren(...lines);
    const unread = n - read.size;
    const name = i === 0 ? "memory" : s.kind === "copy" ? "new memory" : "the same memory";
    c.memoryName.textContent = `${name}: ${n} slots${s.offset ? `, starts at slot ${s.offset}` : ""}${unread ? `, ${unread} not read` : ""}`;
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
    const order = s.contiguous ? "contiguous" : s.channelsLast ? "not contiguous (dense in channels_last order)" : "not contiguous";
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
        if (s.shape) { drawVerdict(c, s); drawAxes(c, s, i); drawGrid(c, s); drawMemory(c, s, i); c.sum.title = s.note
          || ""; }
        else c.verdict.textContent = s.skipped ? "waits: a step above it fails" : "";
        if (s.names?.includes(UNKNOWN) && !stages[i - 1].names.includes(UNKNOWN)) {
          c.problem.append(h("div", { text: "“?”: the new axes run across the old ones, so no old name fits. Each mixes elements of several old axes." }));
        }
        if (s.note) c.problem.append(h("div", { text: s.note }));
      }
    });
    adder.input.disabled = wanted.length >= MOST_STEPS;
    shade.input.replaceChildren(...[["element", "number"], ...names().map((v) => [v, `axis ${v}`])].map(([value,
      text]) => h("option", { value, text })));
    shade.set(names().includes(model.get("shade")) ? model.get("shade") : "element");
    paint();
  }

  /** Light up the chosen element everywhere and say where it is. Changes classes and a few texts only. */
  function paint() {
    const e = element();
    for (const [node, ...classes] of lit) { node.classList.remove(...classes); if (node.hasAttribute("aria-selected")) node.setAttribute("aria-selected", "false"); }
    lit = [];
    const light = (node, name) => { node.classList.add(name); lit.push([node, name]); };
    const told = [];
    stages.forEach((s, i) => {
      if (!s.shape) return;
      const c = cards[i], at = place(i);
      s.values.forEach((v, k) => { if (v === e) { light(c.cells[k],
        "dln-tensors-on"); c.cells[k].setAttribute("aria-selected", "true"); } });
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
      c.sum.textContent = `slot = ${s.offset || !where.length ? `${s.offset}${where.length ? " + " : ""}` : ""}${where.map((v, d) => `${v}×${s.strides[d]}`).join(" + ")} = ${slot}`;
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
      const next = [at % row ? s.values[at - 1] : undefined, (at + 1) % row ? s.values[at
        + 1] : undefined].filter((v) => v !== undefined);
      more = `\nin ${which}: slot ${slot}, neighbours in memory ${beside.join(" and ") || "none"}, neighbours in its row ${next.join(" and ") || "none"}`;
    }
    const broken = stages.findIndex((stage) => stage.error);
    f.say(`element ${e}: ${told.join(" → ")}${broken < 0 ? "" : ` → step ${broken} fails`}${more}`);
    f.code(code(model.get("shape"), names(), steps(), e));
  }

  // ---- pointer: hovering looks, pressing chooses
  const found = (event) => {
    const cell = event.target.closest?.(".dln-tensors-cell");
    const i = cell ? cards.findIndex((c) => c.root.contains(cell)) : -1;
    return i < 0 ? null : { i, at: cell.dataset.at === undefined
      ? stages[i].slots.indexOf(+cell.dataset.slot) : +cell.dataset.at, e: +cell.textContent };
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
      put({ shape: [...shape], names: axes, steps: [...chain], shade: colour, element: Math.min(model.get("element"),
        prod(shape) - 1) });
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
    adder.input.replaceChildren(...[["choose…", ""], ...suggestions(s.shape, s.names)].map(([text, value]) => h("option",
      { value, text: value ? `${text}: ${value}` : text })));
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
