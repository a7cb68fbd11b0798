// Search shows a few words of each page it finds; from a folder the browser does not let a page read another, so leave them out.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// The formulas' script is large: it starts when the page and its widgets are there.
addEventListener("load", () => {
  for (const later of document.querySelectorAll("script[data-later]")) {
    const script = document.createElement("script");
    script.src = later.src;
    document.head.append(script);
  }
});

// Paper is white: a page in the dark theme turns light while it prints. The widgets hear of it and would paint in the next frame, which is
// too late for the printer, so that for this moment the next frame is now.
let themeOnScreen = null;
addEventListener("beforeprint", () => {
  const { dataset } = document.documentElement, later = window.requestAnimationFrame;
  if (dataset.theme !== "dark") return;
  themeOnScreen = dataset.theme;
  window.requestAnimationFrame = (paint) => { paint(performance.now()); return 0; };
  dataset.theme = "light";
  queueMicrotask(() => { window.requestAnimationFrame = later; });
});
addEventListener("afterprint", () => {
  if (themeOnScreen) document.documentElement.dataset.theme = themeOnScreen;
  themeOnScreen = null;
});
