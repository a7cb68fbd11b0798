// A picture under a threshold, the scores of both kinds of pixel, and the ROC and precision-recall curves with the present point.

const HIT = "#f0d442", ALARM = "#d55e00", MISS = "#3f9fe8"; // on photographs; far apart in grey as well
const POINT = "#0b5fc0"; // on pictures: always on white casing
const BINS = 32;
const words = (hex) => (255 << 24) | (parseInt(hex.slice(5, 7), 16) << 16) | (parseInt(hex.slice(3, 5), 16) << 8) | parseInt(hex.slice(1, 3), 16);
const clamp = (x, lo, hi) => Math.min(Math.max(x, lo), hi);

function render({ model, el }) {
  const frame = kit.frame(el, { model, title: "Threshold explorer",
    hint: "Drag on the histogram or along a curve to move the threshold; arrow keys do it too. Point at the picture to read a pixel." });
  frame.root.classList.add("dln-threshold");
  const KEYS = ["scene", "level", "view"];
  const s = Object.fromEntries(KEYS.map((key) => [key, model.get(key)]));
  let scenes, parts, counts, curve, targets, bitmap, ink, cw = 0, pw = 0, probe = null;

  // -- parts
  const slider = (label) => kit.el("canvas", { tabindex: "0", role: "slider", "aria-label": label,
    "aria-valuemin": 0, "aria-valuemax": 256 });
  const main = slider("Threshold, on the picture"), bars = slider("Threshold, on the histogram of scores");
  const roc = slider("Threshold, along the ROC curve"), pr = slider("Threshold, along the precision-recall curve");
  const cursor = kit.el("div", { class: "dln-threshold-probe", tabindex: "0", role: "slider", "aria-label": "Pixel to read out; arrow keys move it" });
  const stage = kit.el("div", { class: "dln-threshold-stage" }, main, cursor);
  const caption = (text) => kit.el("div", { class: "dln-threshold-caption", text });
  const title = caption(""), rocTitle = caption(""), prTitle = caption("");
  const key = (name, text) => {
    const label = kit.el("span");
    return { node: kit.el("span", { class: "dln-threshold-key" }, kit.el("span", { class: `dln-threshold-swatch dln-threshold-${name}` }), label),
      set: (value) => { const next = `${text}${value}`; if (label.textContent !== next) label.textContent = next; } };
  };
  const keys = { hit: key("hit", "found, TP "), alarm: key("alarm", "false alarm, FP "), miss: key("miss", "missed, FN ") };
  const legend = kit.el("div", { class: "dln-threshold-legend" }, ...Object.values(keys).map((k) => k.node));
  const scale = kit.el("div", { class: "dln-threshold-legend" }, kit.el("span", { text: "score, 0" }),
    kit.el("span", { class: "dln-threshold-bar" }), kit.el("span", { text: "1" }));
  const barKeys = [key("background", "background"), key("foreground", "foreground")];
  barKeys.forEach((k) => k.set(""));
  const barLegend = kit.el("div", { class: "dln-threshold-legend" }, ...barKeys.map((k) => k.node));
  const left = kit.el("div", { class: "dln-threshold-panel" }, title, stage, legend, scale, barLegend, bars);
  const right = kit.el("div", { class: "dln-threshold-panel dln-threshold-curves" },
    kit.el("div", { class: "dln-threshold-plot" }, rocTitle, roc), kit.el("div", { class: "dln-threshold-plot" }, prTitle, pr));
  frame.picture.append(kit.el("div", { class: "dln-threshold-grid" }, left, right));

  // -- state
  let saving, telling = false;
  function change(next) {
    Object.assign(s, next);
    s.level = clamp(Math.round(s.level), 0, 256);
    if ("scene" in next) choose();
    sync();
    telling = true;
    for (const name of KEYS) if (model.get(name) !== s[name]) model.set(name, s[name]);
    telling = false;
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 150);
    paint();
  }
  function pull() {
    if (telling) return;
    const next = {};
    for (const name of KEYS) if (model.get(name) !== s[name]) next[name] = model.get(name);
    if (Object.keys(next).length) change(next);
  }
  function load() {
    scenes = model.get("scenes");
    const raw = kit.bytes(model, "data");
    let start = 0;
    parts = scenes.map(({ h, w }) => {
      const n = h * w, [image, score, mask] = [0, 1, 2].map((i) => raw.subarray(start + i * n, start + (i + 1) * n));
      start += 3 * n;
      return { image, score, mask };
    });
    choose();
  }
  function choose() {
    s.scene = clamp(s.scene, 0, scenes.length - 1);
    const { h, w } = scenes[s.scene], { score, mask } = parts[s.scene];
    counts = tally(score, mask);
    curve = curves(counts);
    targets = regions(mask, h, w);
    const canvas = document.createElement("canvas");
    canvas.width = w; canvas.height = h;
    const context = canvas.getContext("2d"), image = context.createImageData(w, h);
    bitmap = { canvas, pixels: new Uint32Array(image.data.buffer), show: () => context.putImageData(image, 0, 0) };
    if (probe) probe = [clamp(probe[0], 0, h - 1), clamp(probe[1], 0, w - 1)];
  }

  // -- controls
  const scene = kit.select({ label: "Picture", options: [], value: "", onchange: (v) => change({ scene: +v }) });
  const level = kit.slider({ label: "Threshold", min: 0, max: 256, value: s.level, format: thresholdText, oninput: (v) => change({ level: v }) });
  const view = kit.choice({ label: "Show", value: s.view, onchange: (v) => change({ view: v }),
    options: [["verdicts", "verdicts"], ["score", "score"], ["picture", "picture"]] });
  const best = kit.button({ label: "Best IoU", onclick: () => {
    let top = 0, at = s.level;
    for (let l = 0; l <= 256; l++) { const { iou } = measures(curve, l); if (iou > top) { top = iou; at = l; } }
    change({ level: at });
  } });
  frame.controls.append(scene.node, level.node, view.node, best);
  function offer() {
    scene.input.replaceChildren(...scenes.map(({ name }, i) => kit.el("option", { value: String(i), text: name })));
    scene.set(String(s.scene));
  }
  function sync() { scene.set(String(s.scene)); level.set(s.level); view.set(s.view); }

  // -- drawing
  const M = { left: 46, right: 12, top: 8, bottom: 40 };
  const FONT = getComputedStyle(frame.root).getPropertyValue("--dln-sans") || "sans-serif";
  function inks() {
    const roles = ["ink", "muted", "line", "paper", "reader", "network"];
    ink = Object.fromEntries(roles.map((role) => [role, kit.color(frame.root, role)]));
  }
  function sheet(canvas, width, height) {
    const g = kit.fit(canvas, width, height);
    canvas.style.width = `${width}px`;
    g.clearRect(0, 0, width, height);
    return g;
  }
  function axes(g, x0, y0, w, h, { xs, ys, X, Y, xlabel, ylabel }) {
    g.fillStyle = ink.paper; g.fillRect(x0, y0, w, h);
    g.strokeStyle = ink.line; g.lineWidth = 1; g.beginPath();
    for (const [, t] of ys) { const p = Math.round(Y(t)) + 0.5; g.moveTo(x0, p); g.lineTo(x0 + w, p); }
    for (const [, t] of xs) { const p = Math.round(X(t)) + 0.5; g.moveTo(p, y0); g.lineTo(p, y0 + h); }
    g.stroke();
    g.fillStyle = ink.muted; g.font = `12px ${FONT}`;
    g.textAlign = "center"; g.textBaseline = "top";
    for (const [text, t] of xs) g.fillText(text, X(t), y0 + h + 5);
    g.fillText(xlabel, x0 + w / 2, y0 + h + 21);
    g.textAlign = "right"; g.textBaseline = "middle";
    for (const [text, t] of ys) g.fillText(text, x0 - 5, Y(t));
    g.save(); g.translate(8, y0 + h / 2); g.rotate(-Math.PI / 2); g.textAlign = "center"; g.fillText(ylabel, 0, 0); g.restore();
  }
  const dot = (g, x, y) => {
    g.beginPath(); g.arc(x, y, 6.5, 0, 2 * Math.PI); g.fillStyle = POINT; g.fill();
    g.strokeStyle = "#fff"; g.lineWidth = 2; g.stroke();
  };

  function drawPicture() {
    const { h, w } = scenes[s.scene], { image, score, mask } = parts[s.scene];
    const grey = kit.lut("grey"), viridis = kit.lut("viridis"), to = bitmap.pixels;
    const hit = words(HIT), alarm = words(ALARM), miss = words(MISS);
    for (let i = 0; i < h * w; i++) {
      const table = s.view === "score" ? viridis : grey, k = 3 * (s.view === "score" ? score[i] : image[i]);
      to[i] = (255 << 24) | (table[k + 2] << 16) | (table[k + 1] << 8) | table[k];
      if (s.view !== "verdicts") continue;
      if (score[i] >= s.level) to[i] = mask[i] ? hit : alarm;
      else if (mask[i]) to[i] = miss;
    }
    bitmap.show();
    const width = Math.min(cw, w >= h ? 420 : (420 * w) / h), height = (width * h) / w, g = sheet(main, width, height);
    g.imageSmoothingEnabled = false;
    g.drawImage(bitmap.canvas, 0, 0, width, height);
    if (probe) {
      const cell = width / w;
      g.strokeStyle = "#fff"; g.lineWidth = 3; g.strokeRect(probe[1] * cell - 2, probe[0] * cell - 2, cell + 4, cell + 4);
      g.strokeStyle = "#14181e"; g.lineWidth = 1.4; g.strokeRect(probe[1] * cell - 2, probe[0] * cell - 2, cell + 4, cell + 4);
    }
    const [py, px] = probe || [0, 0];
    cursor.style.left = `${((px + 0.5) * width) / w - 12}px`; cursor.style.top = `${((py + 0.5) * height) / h - 12}px`;
  }

  const BARS = 96;
  function drawBars() {
    const width = Math.min(cw, 420), g = sheet(bars, width, M.top + BARS + M.bottom), w = width - M.left - M.right;
    const most = Math.max(10, ...counts.positive, curve.N / 2), decades = Math.ceil(Math.log10(most + 1));
    const X = (v) => M.left + v * w, Y = (n) => M.top + BARS * (1 - Math.log10(n + 1) / decades);
    axes(g, M.left, M.top, w, BARS, { xs: [["0", 0], ["0.5", 0.5], ["1", 1]], X, Y, xlabel: "score", ylabel: "pixels",
      ys: Array.from({ length: decades + 1 }, (_, i) => [i ? `1${"0".repeat(i)}` : "0", i ? 10 ** i : 0]).filter((_, i) => i < 5 && (decades < 4 || i !== 3)) });
    const per = 256 / BINS, step = w / BINS;
    const heights = (of) => Array.from({ length: BINS }, (_, b) => of.subarray(b * per, (b + 1) * per).reduce((a, n) => a + n, 0));
    g.fillStyle = ink.muted;
    heights(counts.negative).forEach((n, b) => g.fillRect(X(0) + b * step + 1, Y(n), step - 2, M.top + BARS - Y(n)));
    g.strokeStyle = ink.network; g.lineWidth = 2; g.beginPath();
    heights(counts.positive).forEach((n, b) => { g.lineTo(X(0) + b * step, Y(n)); g.lineTo(X(0) + (b + 1) * step, Y(n)); });
    g.stroke();
    const x = X(s.level / 256);
    g.strokeStyle = ink.reader; g.lineWidth = 2; g.beginPath(); g.moveTo(x, M.top); g.lineTo(x, M.top + BARS); g.stroke();
    dot(g, x, M.top + 7);
  }

  const unit = [["0", 0], ["0.5", 0.5], ["1", 1]];
  /** The points of a plot, index 256 - level: [x, y] from 0 to 1. */
  const rocAt = (k) => [curve.fp[k] / curve.N, curve.tp[k] / curve.P];
  const prAt = (k) => [curve.tp[k] / curve.P, curve.tp[k] + curve.fp[k] ? curve.tp[k] / (curve.tp[k] + curve.fp[k]) : 1];
  function drawCurve(canvas, at, xlabel, ylabel, stepped) {
    const side = pw, g = sheet(canvas, side, M.top + side * 0.62 + M.bottom), w = side - M.left - M.right, h = side * 0.62;
    const X = (v) => M.left + v * w, Y = (v) => M.top + h * (1 - v);
    axes(g, M.left, M.top, w, h, { xs: unit, ys: unit, X, Y, xlabel, ylabel });
    const base = curve.P / (curve.P + curve.N);
    g.setLineDash([4, 4]); g.strokeStyle = ink.muted; g.lineWidth = 1.2; g.beginPath();
    g.moveTo(X(0), Y(stepped ? base : 0)); g.lineTo(X(1), Y(stepped ? base : 1)); g.stroke(); g.setLineDash([]);
    g.strokeStyle = ink.network; g.lineWidth = 2; g.lineJoin = "round"; g.beginPath();
    let before = null;
    for (let k = 0; k <= 256; k++) {
      const [x, y] = at(k);
      if (stepped && before && x !== before[0]) g.lineTo(X(before[0]), Y(y)); // the sum of steps that average precision is
      g.lineTo(X(x), Y(y));
      before = [x, y];
    }
    g.stroke();
    const [x, y] = at(256 - s.level);
    dot(g, X(x), Y(y));
  }

  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  function write() {
    const { name, h, w } = scenes[s.scene], { score, mask } = parts[s.scene];
    const m = measures(curve, s.level), d = detection(score, s.level, targets, h, w), n = h * w;
    put(title, `${name[0].toUpperCase()}${name.slice(1)}, ${h} × ${w} pixels`);
    put(rocTitle, `ROC, area ${curve.roc.toFixed(4)}`);
    put(prTitle, `Precision-recall, average precision ${curve.ap.toFixed(3)}`);
    keys.hit.set(many(m.TP)); keys.alarm.set(many(m.FP)); keys.miss.set(many(m.FN));
    legend.hidden = s.view !== "verdicts"; scale.hidden = s.view !== "score";
    const lines = [
      `threshold ${thresholdText(s.level)}: ${many(m.TP + m.FP)} of ${many(n)} pixels called foreground, ${many(curve.P)} are`,
      `TP ${many(m.TP)}  FP ${many(m.FP)}  FN ${many(m.FN)}  TN ${many(m.TN)}  accuracy ${three(m.accuracy)}`,
      `IoU ${three(m.iou)}  Dice ${three(m.dice)}  precision ${three(m.precision)}  recall ${three(m.recall)}  false-positive rate ${small(m.fpr)}`,
      `regions: ${d.found} of ${d.targets} targets found, Pd ${three(d.targets ? d.found / d.targets : null)}; `
        + `${many(d.alarms)} pixels in unmatched regions, Fa ${small(d.alarms / n)}`];
    lines.push(probe ? about(score, mask, w) : "Point at the picture to read a pixel.");
    frame.say(lines.join("\n"));
    frame.code(python(scenes[s.scene], s.level, s.scene));
    for (const node of [main, bars, roc, pr]) {
      node.setAttribute("aria-valuenow", s.level);
      node.setAttribute("aria-valuetext", `threshold ${thresholdText(s.level)}, IoU ${three(m.iou)}, precision ${three(m.precision)}, recall ${three(m.recall)}`);
    }
    const values = { min: 0, max: n - 1, now: probe ? probe[0] * w + probe[1] : 0, text: about(score, mask, w) };
    for (const [what, value] of Object.entries(values)) cursor.setAttribute(`aria-value${what}`, value);
  }
  function about(score, mask, w) {
    const [y, x] = probe || [0, 0], i = y * w + x, said = score[i] >= s.level;
    const verdict = mask[i] ? (said ? "found" : "missed") : said ? "false alarm" : "left alone, TN";
    return `x ${x}, y ${y}: score ${(score[i] / 255).toFixed(3)}, ${mask[i] ? "foreground" : "background"}, ${verdict}`;
  }

  const paint = kit.painter(() => {
    if (cw < 100) return; // not laid out yet
    if (!ink) inks();
    drawPicture(); drawBars();
    drawCurve(roc, rocAt, "false-positive rate", "recall", false);
    drawCurve(pr, prAt, "recall", "precision", true);
    write();
  });

  // -- input
  const move = (dx, dy, event) => change({ level: s.level + (dx - dy) * (event.shiftKey ? 10 : 1) });
  for (const node of [main, bars, roc, pr]) kit.arrows(node, move);
  kit.drag(bars, (x) => {
    const width = parseFloat(bars.style.width);
    change({ level: ((x * width - M.left) / (width - M.left - M.right)) * 256 });
  });
  /** The level whose point lies nearest to the pointer, in pixels; among equal points the one nearest to the present level. */
  const along = (canvas, at) => kit.drag(canvas, (x, y) => {
    const side = parseFloat(canvas.style.width), h = side * 0.62, w = side - M.left - M.right;
    const px = (x * side - M.left) / w, py = 1 - (y * parseFloat(canvas.style.height) - M.top) / h;
    let top = Infinity, next = s.level;
    for (let k = 0; k <= 256; k++) {
      const [cx, cy] = at(k), far = Math.hypot((cx - px) * w, (cy - py) * h);
      if (far < top - 1e-9 || (far < top + 1e-9 && Math.abs(256 - k - s.level) < Math.abs(next - s.level))) { top = far; next = 256 - k; }
    }
    change({ level: next });
  });
  along(roc, rocAt); along(pr, prAt);
  const pixel = (x, y) => {
    const { h, w } = scenes[s.scene];
    return [clamp(Math.floor(y * h), 0, h - 1), clamp(Math.floor(x * w), 0, w - 1)];
  };
  kit.drag(main, (x, y) => { probe = pixel(x, y); paint(); });
  main.addEventListener("pointermove", (event) => {
    const box = main.getBoundingClientRect();
    probe = pixel((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    paint();
  });
  main.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") { probe = null; paint(); } });
  kit.arrows(cursor, (dx, dy, event) => {
    const by = event.shiftKey ? 10 : 1, { h, w } = scenes[s.scene], [y, x] = probe || [0, 0];
    probe = [clamp(y + dy * by, 0, h - 1), clamp(x + dx * by, 0, w - 1)];
    paint();
  });
  cursor.addEventListener("focus", () => { probe ||= [Math.floor(scenes[s.scene].h / 2), Math.floor(scenes[s.scene].w / 2)]; paint(); });
  cursor.addEventListener("blur", () => { probe = null; paint(); });

  // -- start
  load(); offer(); sync();
  scale.querySelector(".dln-threshold-bar").style.background = `linear-gradient(90deg, ${Array.from({ length: 9 }, (_, i) => {
    const k = 3 * Math.min(255, i * 32), table = kit.lut("viridis");
    return `rgb(${table[k]} ${table[k + 1]} ${table[k + 2]})`;
  }).join(", ")})`;
  const resize = new ResizeObserver(() => {
    const next = Math.floor(left.clientWidth), plot = Math.floor(Math.min(right.firstChild.clientWidth, 440));
    if (next && (next !== cw || plot !== pw)) { cw = next; pw = plot; paint(); }
  });
  resize.observe(frame.picture);
  const stop = kit.onTheme(() => { ink = null; paint(); });
  const reload = () => { load(); offer(); sync(); paint(); };
  for (const name of KEYS) model.on(`change:${name}`, pull);
  model.on("change:data", reload);

  kit.live(model, () => {
    if (!model.get("offers")) return;
    let index = 20;
    const live = kit.el("div", { class: "dln-live" });
    live.append(kit.button({ label: "Another digit", onclick: () => {
      index = (index + 1) % model.get("offers");
      model.send({ type: "digit", index });
    } }));
    frame.controls.append(live);
  });
  return () => {
    resize.disconnect(); stop(); clearTimeout(saving);
    for (const name of KEYS) model.off(`change:${name}`, pull);
    model.off("change:data", reload);
  };
}

export const kernels = {
  /** Both areas and every point, from the strictest threshold (nothing) to the mildest (everything). */
  curves: (score, mask) => curves(tally(score, mask)),
  measures: (score, mask, level) => measures(curves(tally(score, mask)), level),
  detection: (score, mask, level, h, w, distance) => detection(score, level, regions(mask, h, w), h, w, distance),
  regions,
  assign,
  python,
};

export default { render };
