// TensorShapes, second part: reading what the reader typed, and the checks that several operations share.

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
    fail("TypeError", `${step.name}() takes ${params.length} positional argument${params.length === 1 ? "" : "s"} but `
      + `${step.args.length} were given`);
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
      : open ? `${n} ${of} cannot be dealt into groups of ${rest}: ${n} = ${Math.floor(n / rest)} × ${rest} + ${n % rest}. `
        + `Divisors of ${n}: ${divisors(n).join(", ")}.`
        : `The new shape has ${shape.join(" × ")} = ${rest} places, the tensor has ${n} ${of}. No element may be lost or invented.`;
    fail("RuntimeError", `shape '${listed(shape)}' is invalid for input of size ${n}`, why);
  }
  return shape.map((s) => (s === -1 ? n / rest : s));
}
