// TensorShapes: follow every element of a small tensor through a chain of operations.
// The first three parts are PyTorch's rules as pure functions; this one: shapes, strides, storage, and names of axes.
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

/** Carry names through a view or reshape: axes that join become "(h w)", an axis that is cut becomes h₁ and h₂, and
    where the new borders cross the old ones no name fits and the axis is called "?". */
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
