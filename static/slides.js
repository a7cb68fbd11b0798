// A lecture deck: reveal.js turns the pages; here are the timer, the speaker's window, widgets that fit, and keys that stay with them.
window.MathJax = {
  options: { enableMenu: false },
  startup: { ready() { MathJax.startup.defaultReady(); MathJax.startup.promise.then(fitAll); } },
};
const deck = document.querySelector(".reveal"), root = document.documentElement;
const make = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
};

/* ---- size ---- */
// A slide is drawn at 1280 × 720 and scaled: canvases ask how many pixels of the screen one of theirs has, so tell them.
const screenRatio = window.devicePixelRatio || 1;
let scale = 1;
try {
  Object.defineProperty(window, "devicePixelRatio", { configurable: true, get: () => screenRatio * scale });
} catch { /* less crisp */ }

/** Shrink a slide's type until it fits, to three fifths at most; what is longer still can be scrolled. Short code is enlarged. */
function fit(slide) {
  const body = slide.querySelector(".body");
  if (!body || !body.clientHeight) return;
  if (slide.classList.contains("s-widget")) { fitWidget(slide); return; }
  const wide = [...body.querySelectorAll("pre, div.math, table")];
  const over = () => slide.scrollHeight > 721 || body.scrollHeight > body.clientHeight + 1
    || wide.some((node) => node.scrollWidth > node.clientWidth + 1 || node.offsetWidth > body.clientWidth + 1);
  body.classList.remove("scrolls");
  slide.classList.remove("wraps");
  let share = slide.classList.contains("s-run") ? 1.4 : 1;
  const set = () => slide.style.setProperty("--fit", share.toFixed(2));
  for (set(); share > 0.6 && over(); set()) {
    if (share < 0.88 && !slide.classList.contains("wraps")) slide.classList.add("wraps"); // rather long lines in two than small type
    else share -= 0.04;
  }
  const scrolls = body.scrollHeight > body.clientHeight + 1;
  body.classList.toggle("scrolls", scrolls);
  if (scrolls) body.tabIndex = 0; else body.removeAttribute("tabindex");
}

/** Of some layouts and sizes, the best in which a widget fits its slide. Scaled by a transform, which its full screen escapes. */
async function fitWidget(slide) {
  const box = slide.querySelector(".widget"), host = box.querySelector(".dln-host");
  if (!host || !host.dataset.ready || host.dataset.fitted) return;
  host.dataset.fitted = "wait";
  const settle = async () => { // sizes are seen, canvases drawn, heights known
    for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  };
  const set = async ({ size, width, side }) => {
    host.classList.toggle("side", side);
    host.style.width = `${width / size}px`;
    host.style.transform = `scale(${size})`;
    host.style.marginLeft = `${(box.clientWidth - width) / 2}px`;
    await settle();
    return host.offsetHeight * size;
  };
  // Large type is worth a little more than large pictures: in each layout the largest size that fits, and of these the best.
  const full = box.clientWidth, sizes = [0.6, 0.66, 0.72, 0.78, 0.84, 0.91, 0.98, 1.06, 1.14, 1.24, 1.35];
  const drawn = (size) => [...host.querySelectorAll(".dln-picture :is(canvas, svg, img)")]
    .reduce((sum, node) => sum + node.clientWidth * node.clientHeight * size * size, 1);
  const enough = 0.3 * full * box.clientHeight;
  let best = null;
  for (const [part, side] of [1, 0.82, 0.66].flatMap((part) => [[part, false], [part, true]])) {
    let low = 0, high = sizes.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1, way = { size: sizes[middle], width: part * full, side };
      way.high = await set(way);
      const fits = way.high <= box.clientHeight;
      way.worth = fits ? way.size ** 1.5 * Math.sqrt(Math.min(drawn(way.size), enough)) : -way.high;
      if (!best || way.worth > best.worth) best = way;
      if (fits) low = middle + 1; else high = middle - 1;
    }
  }
  if (best.worth < 0) best = { size: 0.91, width: full, side: true }; // too long for one screen: scroll it, the controls beside it
  box.classList.toggle("scrolls", await set(best) > box.clientHeight + 1);
  host.dataset.fitted = "yes";
}

const slides = () => [...deck.querySelectorAll(".slides > section > section")];
function fitAll() { slides().forEach(fit); }

/* ---- the deck ---- */
Reveal.initialize({
  width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true, transition: "none", backgroundTransition: "none",
  viewDistance: 999, mobileViewDistance: 999, slideNumber: "c/t", controlsTutorial: false, help: false, pdfSeparateFragments: false,
  scrollActivationWidth: null, keyboard: { 78: toggleNotes, 80: null, 82: resetTimer, 84: toggleTimer, 68: toggleDark, 83: openDesk },
});
const rescale = () => { scale = Reveal.getScale() || 1; };
Reveal.on("ready", () => {
  rescale();
  fitAll();
  new MutationObserver(fitAll).observe(deck.querySelector(".slides"), { subtree: true, attributeFilter: ["data-ready"] });
});
Reveal.on("resize", rescale);
Reveal.on("slidechanged", ({ currentSlide }) => { startTimer(); fit(currentSlide); show(); });
for (const event of ["fragmentshown", "fragmenthidden"]) Reveal.on(event, startTimer);

function paint(dark) {
  root.dataset.theme = dark ? "dark" : "light";
  desk((page) => { page.documentElement.dataset.theme = root.dataset.theme; });
}
function toggleDark() { paint(root.dataset.theme !== "dark"); }
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (query) => paint(query.matches));

document.addEventListener("keydown", (event) => {
  const help = document.querySelector(".dln-keys");
  if (event.target.closest?.("input, textarea")) return;
  if (event.key === "?" || (event.key === "Escape" && !help.hidden)) {
    help.hidden = !help.hidden;
    event.preventDefault(); event.stopPropagation();
  }
}, true);

// Within a widget the keys are the widget's (its frame stops them). Two exceptions: a remote control's page keys, and the way out.
document.addEventListener("keydown", (event) => {
  const inside = event.target.closest?.(".dln-widget");
  if (!inside || event.ctrlKey || event.metaKey || event.altKey) return;
  const turn = { PageDown: "next", PageUp: "prev" }[event.key];
  if (turn && !document.fullscreenElement) {
    event.preventDefault(); event.stopPropagation();
    Reveal[turn]();
    document.activeElement.blur();
  } else if (event.key === "Escape" && !document.fullscreenElement && !event.target.closest("select, [open]")) {
    setTimeout(() => { if (inside.contains(document.activeElement)) document.activeElement.blur(); });
  }
}, true);

/* ---- time ---- */
const timer = make("div", { className: "dln-timer", ariaHidden: "true" });
document.body.append(timer);
const sections = [...deck.querySelectorAll(".slides > section")], total = +deck.dataset.minutes * 60;
const planned = sections.map((section) => +section.dataset.minutes * 60), spent = planned.map(() => 0);
let running = false, last = 0;
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const here = () => Math.max(0, sections.indexOf(Reveal.getCurrentSlide()?.parentElement));
function tick() {
  const now = performance.now();
  if (running && !Reveal.isPaused()) spent[here()] += (now - last) / 1000;
  last = now;
  draw();
}
function times() {
  const at = here(), used = spent.reduce((a, b) => a + b, 0);
  const due = planned.slice(0, at + 1).reduce((a, b) => a + b, 0); // when this section should end
  return { used: clock(used), total: clock(total), own: clock(spent[at]), share: clock(planned[at]),
    late: spent[at] > planned[at] + 0.5 && planned[at] > 0, behind: used > due + 30 };
}
function draw() {
  const { own, share, used, total, late, behind } = times();
  timer.replaceChildren(make("b", { textContent: own, className: late ? "late" : "" }), ` of ${share} here  ·  `,
    make("b", { textContent: used, className: behind ? "late" : "" }), ` of ${total}`);
  desk((page) => {
    const strong = (text, bad) => make("strong", { textContent: text, className: bad ? "late" : "" });
    const part = (text, rest, bad) => page.adoptNode(make("span", {}, strong(text, bad), rest));
    const time = new Date();
    page.querySelector(".clock").replaceChildren(part(own, `of ${share} in this section`, late), part(used, `of ${total} in all`, behind),
      part(`${time.getHours()}:${String(time.getMinutes()).padStart(2, "0")}`, "now", false));
  });
}
function startTimer() { if (!running) { running = true; last = performance.now(); } }
function resetTimer() { spent.fill(0); running = false; draw(); }
function toggleTimer() { timer.hidden = !timer.hidden; }
setInterval(tick, 250);

/* ---- notes ---- */
const panel = make("div", { className: "dln-notes", hidden: true, tabIndex: 0, role: "region", ariaLabel: "Speaker notes" },
  make("div", { className: "dln-said" }));
document.body.append(panel);
const EMPTY = "<p>No notes for this slide.</p>";
const notesOf = (slide) => slide?.querySelector("aside.notes")?.innerHTML || EMPTY;
function toggleNotes() { panel.hidden = !panel.hidden; show(); }

let other = null;
/** Do something with the page of the speaker's window, if it is open. */
function desk(act) { if (other && !other.closed && other.document.querySelector(".dln-desk")) act(other.document); }

function openDesk() {
  if (other && !other.closed) { other.focus(); return; }
  other = window.open("", "dln-speaker", "width=1100,height=700");
  if (!other) { panel.hidden = false; show(); return; } // blocked: the notes are shown here
  const page = other.document;
  page.title = `Notes: ${document.title}`;
  page.documentElement.lang = "en";
  page.documentElement.dataset.theme = root.dataset.theme;
  page.head.append(...[...document.querySelectorAll("style")].map((style) => page.importNode(style, true)));
  page.body.innerHTML = `<main class="dln-desk"><div class="clock"></div><div class="said"><h2></h2><div class="dln-said"></div></div>
    <div class="ahead"><p>On the screen</p><div class="frame now"></div><p class="name"></p><div class="frame next"></div></div></main>`;
  page.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { ArrowRight: "right", ArrowLeft: "left", ArrowDown: "down", ArrowUp: "up", PageDown: "next", PageUp: "prev",
      " ": "next", Enter: "next" }[event.key];
    const own = { r: resetTimer, t: toggleTimer, d: toggleDark }[event.key.toLowerCase()];
    if (!act && !own) return;
    event.preventDefault();
    if (act) Reveal[act](); else own();
  });
  show();
  draw();
}

/** A slide as a picture for the speaker: a copy, with the pixels of its canvases. */
function copy(slide, page) {
  const frame = page.createElement("div");
  frame.className = "reveal";
  frame.append(Object.assign(page.createElement("div"), { className: "slides" }));
  if (!slide) return frame;
  const twin = page.importNode(slide, true);
  twin.querySelectorAll("aside, script").forEach((node) => node.remove());
  const from = slide.querySelectorAll("canvas");
  twin.querySelectorAll("canvas").forEach((canvas, i) => { if (from[i].width) canvas.getContext("2d").drawImage(from[i], 0, 0); });
  const column = page.createElement("section");
  column.append(twin);
  frame.firstChild.append(column);
  return frame;
}

function show() {
  const slide = Reveal.getCurrentSlide();
  if (!panel.hidden) { panel.firstChild.innerHTML = notesOf(slide); panel.scrollTop = 0; }
  desk((page) => {
    const all = slides(), next = all[all.indexOf(slide) + 1];
    page.querySelector(".said h2").textContent = slide.querySelector("h1, h2")?.textContent || "";
    page.querySelector(".dln-said").innerHTML = notesOf(slide);
    page.querySelector(".said").scrollTop = 0;
    page.querySelector(".frame.now").replaceChildren(copy(slide, page));
    page.querySelector(".frame.next").replaceChildren(copy(next, page));
    page.querySelector(".name").textContent = next ? "Next" : "This is the last slide";
  });
}
draw();
