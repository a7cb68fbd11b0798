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
