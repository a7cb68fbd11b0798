// Search shows a few words of each page it finds; from a folder the browser does not let a page read another, so leave them out.
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
