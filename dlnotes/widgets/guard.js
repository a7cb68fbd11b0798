// Where a live widget cannot start, its picture and a sentence stand in its place. Written in words that any browser knows (ES5),
// and in a script of its own: a browser that cannot read the runtime skips it as a whole.
(function () {
  var REASONS = {
    old: "This browser is too old for the live widget, so here is a still picture of it. A browser from 2022 or later shows it alive.",
    lost: "The script of the live widget did not arrive, so here is a still picture of it. Reload the page to try again.",
    broken: "The live widget could not start, so here is a still picture of it."
  };
  var dlnotes = window.dlnotes = window.dlnotes || {}, lost = false;

  /** Show what stands behind <noscript> beside a view, under the reason: "old", "lost" or "broken". */
  dlnotes.still = function (view, reason) {
    var behind = view.nextSibling, box = document.createElement("div"), words = document.createElement("p");
    while (behind && behind.nodeName !== "NOSCRIPT") behind = behind.nextSibling;
    box.className = "dln dln-still";
    box.setAttribute("data-still", reason);
    box.innerHTML = behind ? behind.textContent : "";
    words.appendChild(document.createTextNode(REASONS[reason]));
    box.insertBefore(words, box.firstChild);
    view.parentNode.insertBefore(box, view.nextSibling);
  };

  function check() {
    if (dlnotes.define) return; // the runtime is there
    var views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
    for (var i = 0; i < views.length; i++) dlnotes.still(views[i], lost ? "lost" : "old");
  }
  window.addEventListener("error", function (event) {
    if (/\/runtime\.js/.test(event.target && event.target.src || "")) lost = true;
  }, true);
  if (document.readyState === "complete") check(); else window.addEventListener("load", check);
})();
