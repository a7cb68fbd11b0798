// The parts that every widget is made of: one frame, native controls, theme colours, colour maps, keyboard and pointer.
// No dependencies. Each widget's module is this text followed by its own, so `kit` is in scope there.
const kit = (() => {
  /** Create an element. `props` sets properties (class, text, on: {event: handler}) and, for all other names, attributes. */
  function el(tag, props = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name === "class") node.className = value;
      else if (name === "text") node.textContent = value;
      else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }

  /**
   * The frame of a widget: title and hint, picture, controls, readout, code; always in this order.
   * Returns its parts and `say(text)`, which shows a readout at once and announces it to screen readers when it settles,
   * and `code(text)`, which sets the PyTorch that reproduces the present state. What Python reports as wrong stands below.
   */
  function frame(host, { model, title, hint }) {
    const picture = el("div", { class: "dln-picture" });
    const controls = el("div", { class: "dln-controls" });
    const readout = el("div", { class: "dln-readout" });
    const announcer = el("div", { class: "dln-sr", "aria-live": "polite" });
    const notice = el("div", { class: "dln-notice", role: "status" });
    const notify = () => { notice.textContent = model.get("_notice") || ""; };
    model.on("change:_notice", notify);
    notify();
    const code = el("code", { class: "dln-code-text" });
    const copied = el("span", { class: "dln-sr", "aria-live": "polite" });
    const copy = el("button", { type: "button", class: "dln-button", text: "Copy" });
    copy.addEventListener("click", async () => {
      const ok = await copyText(code.textContent, code);
      copy.textContent = ok ? "Copied" : "Selected: press Ctrl+C";
      copied.textContent = copy.textContent;
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    const pre = el("pre", { class: "dln-pre", tabindex: "0", "aria-label": "PyTorch code" }, code);
    const details = el("details", { class: "dln-code" }, el("summary", { text: "Show me the PyTorch" }), pre, copy, copied);
    const root = el("div", { class: "dln dln-widget", role: "region", "aria-label": title, "data-lm-suppress-shortcuts": "true" },
      el("div", { class: "dln-head" }, el("div", { class: "dln-title", text: title }), hint ? el("div", { class: "dln-hint", text: hint }) : null),
      picture, controls, readout, announcer, notice, details);
    for (const event of ["keydown", "keyup", "keypress"]) root.addEventListener(event, (e) => e.stopPropagation());
    const shell = el("div", { class: "dln dln-shell" }, root);
    root.append(projector(shell, root)); // last, so that Tab reaches the picture first
    host.replaceChildren(shell);
    let pending;
    return {
      root, picture, controls, readout,
      say(text) {
        if (readout.textContent !== text) readout.textContent = text;
        clearTimeout(pending);
        pending = setTimeout(() => { if (announcer.textContent !== text) announcer.textContent = text; }, 500);
      },
      code(text) { if (code.textContent !== text) code.textContent = text; },
    };
  }

  const TYPES = [1, 1.12, 1.25, 1.4, 1.6, 1.8], LAYOUTS = { side: 0.9, wide: 0.93, half: 0.86, stack: 0.85 }; // how good each is
  const frames = (n) => new Promise((done) => { const next = () => (n-- ? requestAnimationFrame(next) : done()); next(); });

  /**
   * Projector mode: the widget fills the screen (the frame, where that is not allowed) in large type and high contrast. The key f
   * and a button turn it on and off, Escape off. Of a few layouts and sizes of type, the largest that fits is taken; the rest is scaled.
   */
  function projector(shell, root) {
    let on = false, turn = 0, due;
    const button = el("button", { type: "button", class: "dln-full", "aria-label": "Full screen", "aria-pressed": "false", "aria-keyshortcuts": "f",
      title: "Full screen (f)", on: { click: toggle } }, el("span", { "aria-hidden": "true" }));

    function toggle() { if (on) leave(); else enter(); }
    async function enter() {
      on = true;
      button.setAttribute("aria-pressed", "true");
      contrast();
      try { if (document.fullscreenEnabled) await shell.requestFullscreen(); } catch { /* not allowed here: fill the frame */ }
      if (on && document.fullscreenElement !== shell && shell.showPopover) { // above everything, whatever surrounds it
        shell.popover = "manual";
        shell.showPopover();
      }
      arrange();
    }
    function leave() {
      on = false;
      turn++;
      if (document.fullscreenElement === shell) document.exitFullscreen();
      shell.removeAttribute("popover");
      for (const name of Object.keys(shell.dataset)) delete shell.dataset[name];
      root.removeAttribute("style");
      button.setAttribute("aria-pressed", "false");
      contrast();
    }
    /** The tokens of high contrast, dark or light as the page is: what its paper is without them. */
    function contrast() {
      shell.className = "dln dln-shell";
      if (on) {
        const [r, g, b] = color(shell, "paper").match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16));
        shell.className += ` dln-projector dln-${r + g + b < 384 ? "dark" : "light"}`;
      }
      for (const change of themed) change();
    }
    function apply(layout, scale) {
      shell.dataset.layout = layout;
      shell.dataset.scale = scale;
      root.style.width = `${shell.clientWidth / scale}px`;
      root.style.transform = `scale(${scale})`;
    }
    /** Nothing is cut: all of it is on the screen, and no part of it has to be scrolled sideways. */
    const fits = () => shell.scrollHeight <= shell.clientHeight && root.scrollWidth <= root.clientWidth + 1
      && ![...root.querySelectorAll(":not(.dln-code *)")].some((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX === "auto");
    async function arrange() {
      const mine = ++turn, roomy = shell.clientWidth >= 700, base = Math.min(shell.clientWidth / 1280, shell.clientHeight / 720);
      const scales = TYPES.map((size) => Math.max(1, size * base));
      let best = [roomy ? "side" : "stack", scales[1], 0];
      delete shell.dataset.settled;
      root.style.opacity = "0";
      for (const [layout, good] of Object.entries(LAYOUTS)) {
        if (layout !== "stack" && !roomy) continue;
        let low = 0, high = scales.length - 1; // a later layout has to be better than the best so far
        while (low <= high && scales[low] * good <= best[2]) low++;
        while (low <= high) {
          const middle = best[2] ? low : (low + high) >> 1;
          apply(layout, scales[middle]);
          await frames(3); // sizes are seen, canvases drawn, heights known
          if (mine !== turn) return;
          if (fits()) {
            best = [layout, scales[middle], scales[middle] * good];
            low = middle + 1;
          } else high = middle - 1;
        }
      }
      apply(best[0], best[1]);
      for (const change of themed) change();
      await frames(3);
      if (mine !== turn) return;
      root.style.opacity = "";
      shell.dataset.settled = best[2] ? "fits" : "long";
    }
    /** A control may have changed how much there is to show. */
    function again(event) {
      if (!on || !event.target.closest(".dln-controls, .dln-picture :is(button, select, input)")) return;
      clearTimeout(due);
      due = setTimeout(() => { if (on && shell.dataset.settled === "fits" && !fits()) arrange(); }, 200);
    }
    for (const event of ["change", "click"]) root.addEventListener(event, again);
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range], [type=checkbox], [type=radio]), select, textarea")) return;
      if (event.key === "f" || (on && event.key === "Escape")) { event.preventDefault(); toggle(); }
    });
    document.addEventListener("fullscreenchange", () => {
      if (on && shell.popover !== "manual" && document.fullscreenElement !== shell) leave();
    });
    addEventListener("resize", () => { if (on) { clearTimeout(due); due = setTimeout(arrange, 100); } });
    onTheme(() => { if (on) contrast(); }, false);
    return button;
  }

  async function copyText(text, node) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed here: select it instead */ }
    const range = document.createRange();
    range.selectNodeContents(node);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try { return document.execCommand("copy"); } catch { return false; }
  }

  let serial = 0;
  const uid = (stem) => `dln-${stem}-${++serial}`;

  /** A labelled range input. `set(value)` moves it without calling `oninput`. */
  function slider({ label, min, max, step = 1, value, format = String, oninput }) {
    const id = uid("slider");
    const shown = el("output", { class: "dln-value", for: id, text: format(value) });
    const input = el("input", { type: "range", id, min, max, step });
    const show = () => { shown.textContent = format(+input.value); input.setAttribute("aria-valuetext", format(+input.value)); };
    input.value = value;
    show();
    input.addEventListener("input", () => { show(); oninput(+input.value); });
    return {
      node: el("div", { class: "dln-control" }, el("label", { for: id, text: label }), input, shown), input,
      set(next) { input.value = next; show(); },
      range(lo, hi) { input.min = lo; input.max = hi; show(); },
    };
  }

  /** One choice among few: radio buttons that look like a segmented control. `options` is [[value, text], ...]. */
  function choice({ label, options, value, onchange }) {
    const name = uid("choice");
    const inputs = new Map();
    const row = el("div", { class: "dln-segments" });
    for (const [key, text] of options) {
      const id = uid("option");
      const input = el("input", { type: "radio", name, id, value: key });
      input.checked = key === value;
      input.addEventListener("change", () => onchange(key));
      inputs.set(key, input);
      row.append(el("span", { class: "dln-segment" }, input, el("label", { for: id, text })));
    }
    return {
      node: el("fieldset", { class: "dln-control dln-choice" }, el("legend", { text: label }), row), inputs,
      set(next) { if (inputs.has(next)) inputs.get(next).checked = true; },
    };
  }

  /** One choice among many: a native select. */
  function select({ label, options, value, onchange }) {
    const id = uid("select");
    const input = el("select", { id }, ...options.map(([key, text]) => el("option", { value: key, text })));
    input.value = value;
    input.addEventListener("change", () => onchange(input.value));
    return {
      node: el("div", { class: "dln-control" }, el("label", { for: id, text: label }), input), input,
      set(next) { input.value = next; },
    };
  }

  /** A labelled checkbox. */
  function toggle({ label, value, onchange }) {
    const id = uid("toggle");
    const input = el("input", { type: "checkbox", id });
    input.checked = value;
    input.addEventListener("change", () => onchange(input.checked));
    return { node: el("div", { class: "dln-control dln-toggle" }, input, el("label", { for: id, text: label })), input,
      set(next) { input.checked = next; } };
  }

  function button({ label, onclick }) {
    return el("button", { type: "button", class: "dln-button", text: label, on: { click: onclick } });
  }

  /** Coalesce redraws: however often it is called, `draw` runs once in the next animation frame. */
  function painter(draw) {
    let due = false;
    return () => {
      if (due) return;
      due = true;
      requestAnimationFrame(() => { due = false; draw(); });
    };
  }

  const themed = new Set();
  /** Call `change` whenever the page's theme or the widget's contrast may have changed; returns a function that stops it. */
  function onTheme(change, own = true) {
    if (own) themed.add(change);
    const observer = new MutationObserver(change);
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme", "class"] });
    if (document.body) observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", change);
    return () => { themed.delete(change); observer.disconnect(); media.removeEventListener("change", change); };
  }

  /** The present value of a design token, for canvases: color(root, "reader"). */
  const color = (node, role) => getComputedStyle(node).getPropertyValue(`--dln-${role}`).trim();

  const ANCHORS = {
    viridis: "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725",
    diverging: "0b4f9e 7fb2ea ffffff f2ad6b 8f4300",
    grey: "000000 ffffff",
  };
  const LUTS = {};
  /** A colour map as 256 RGB triples: "viridis" for magnitude, "diverging" for signed values, "grey" for photographs. */
  function lut(name) {
    if (LUTS[name]) return LUTS[name];
    const stops = ANCHORS[name].split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    const table = new Uint8ClampedArray(256 * 3);
    for (let i = 0; i < 256; i++) {
      const t = (i / 255) * (stops.length - 1), k = Math.min(Math.floor(t), stops.length - 2);
      for (let c = 0; c < 3; c++) table[3 * i + c] = stops[k][c] + (t - k) * (stops[k + 1][c] - stops[k][c]);
    }
    return (LUTS[name] = table);
  }

  /** Paint an array of h × w values into a canvas of that size, `lo` to `hi` through a colour map. */
  function paint(canvas, values, w, h, { map = "viridis", lo = 0, hi = 1 } = {}) {
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const context = canvas.getContext("2d");
    const image = context.createImageData(w, h);
    const table = lut(map), scale = 255 / (hi - lo || 1), pixels = image.data;
    for (let i = 0, o = 0; i < w * h; i++, o += 4) {
      const v = (values[i] - lo) * scale, k = 3 * (v < 0 ? 0 : v > 255 ? 255 : v | 0);
      pixels[o] = table[k]; pixels[o + 1] = table[k + 1]; pixels[o + 2] = table[k + 2]; pixels[o + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /** Size a canvas for its box and the screen's pixel ratio; returns a context in CSS pixels. */
  function fit(canvas, width, height) {
    const scale = canvas.closest("[data-scale]")?.dataset.scale || 1; // projector mode
    const ratio = Math.min((devicePixelRatio || 1) * scale, 4);
    const w = Math.round(width * ratio), h = Math.round(height * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  /** A trait of bytes, whatever the host made of it (DataView, typed array, base64 text), as a typed array. */
  function bytes(model, name, Type = Uint8Array) {
    const value = model.get(name);
    if (value == null) return new Type(0);
    let raw;
    if (typeof value === "string") raw = Uint8Array.from(atob(value), (c) => c.charCodeAt(0));
    else if (ArrayBuffer.isView(value)) raw = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    else raw = new Uint8Array(value);
    if (raw.byteOffset % Type.BYTES_PER_ELEMENT) raw = raw.slice();
    return new Type(raw.buffer, raw.byteOffset, raw.byteLength / Type.BYTES_PER_ELEMENT);
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  /** Arrow keys on a focusable node: move(dx, dy, event). Home and End go far left and far right. */
  function arrows(node, move) {
    node.addEventListener("keydown", (event) => {
      const step = ARROWS[event.key] || { Home: [-Infinity, 0], End: [Infinity, 0] }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      move(step[0], step[1], event);
    });
  }

  /** Press and drag with mouse, pen or finger: at(x, y, phase) with x and y from 0 to 1 inside the node. */
  function drag(node, at) {
    node.style.touchAction = "none";
    const where = (event, phase) => {
      const box = node.getBoundingClientRect();
      at((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, phase);
    };
    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      try { node.setPointerCapture(event.pointerId); } catch { /* a synthetic event has no active pointer */ }
      node.focus({ preventScroll: true });
      where(event, "start");
    });
    node.addEventListener("pointermove", (event) => { if (event.buttons || event.pressure > 0) where(event, "move"); });
    node.addEventListener("pointerup", (event) => where(event, "end"));
  }

  /** Tell the kernel hello; `ready()` runs only if one answers, so that controls that need Python appear only then. */
  function live(model, ready) {
    if (typeof model.send !== "function") return;
    let answered = false;
    model.on("msg:custom", (message) => {
      if (message && message.type === "hello" && !answered) { answered = true; ready(); }
    });
    try { model.send({ type: "hello" }); } catch { /* no kernel */ }
  }

  return { el, frame, slider, choice, select, toggle, button, painter, onTheme, color, lut, paint, fit, bytes, arrows, drag, live, uid };
})();
