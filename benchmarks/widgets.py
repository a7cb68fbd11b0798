"""From input to painted result, for each widget, in a real browser: median and 95th percentile in milliseconds.

Each action is dispatched in the page; the clock stops after the frame that shows its result was painted. The browser's
frame-rate limit is off, so that waiting for the next tick of a 60 Hz screen is not counted. Also: the time until a page's
widgets are ready, with the processor slowed six times, and the round trip from the page to Python and back in JupyterLab.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from conftest import FLAGS, find_browser  # noqa: E402

from dlnotes import widgets  # noqa: E402
from dlnotes.widgets import AttentionExplorer, TensorShapes  # noqa: E402

ACT = """async ([selector, kind, count]) => {
  const node = document.querySelector(selector), times = [];
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel(); channel.port1.onmessage = done; channel.port2.postMessage(0); }));
  node.focus();
  for (let i = 0; i < count; i++) {
    const begin = performance.now();
    if (kind === 'keys') {
      const key = i % 8 < 4 ? 'ArrowRight' : 'ArrowLeft';
      node.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    } else {
      const lo = +node.min, hi = +node.max;
      node.value = lo + (hi - lo) * ((i * 7) % 20) / 20;
      node.dispatchEvent(new Event('input', { bubbles: true }));
    }
    await painted();
    times.push(performance.now() - begin);
    await new Promise((next) => setTimeout(next, 5));
  }
  return times.slice(5);
}"""

FIRST, SLIDER = ".dln-picture [tabindex='0']", ".dln-controls input[type=range]"
CASES = [
    *((f"{name}: arrow keys", getattr(widgets, name), FIRST, "keys", 33 if name == "SpectrumExplorer" else 16) for name in widgets.__all__),
    ("TensorShapes: walk through two steps", lambda: TensorShapes(shape=(2, 3, 4), names="b h w", steps=["permute(0, 2, 1)", "reshape(2, -1)"]),
     FIRST, "keys", 16),
    ("AttentionExplorer: temperature", AttentionExplorer, SLIDER, "slider", 16),
]


def report(name, times, target):
    times = sorted(times)
    median, late = statistics.median(times), times[int(0.95 * len(times))]
    print(f"{name:48} median {median:6.1f} ms   95th {late:6.1f} ms   target {target} ms")


NOTE_READY = """new MutationObserver(() => { for (const node of document.querySelectorAll('[data-ready]'))
  if (!node.since) (window.since ||= []).push(node.since = performance.now()); })
  .observe(document, { subtree: true, childList: true, attributes: true });"""


def ready(browser, name):
    """Milliseconds from navigation until the page's first and last widget are ready, processor slowed six times."""
    page = browser.new_page()
    page.add_init_script(NOTE_READY)
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.goto((ROOT / "_build" / "html" / f"{name}.html").as_uri())
    views = page.locator('script[type="application/vnd.jupyter.widget-view+json"]').count()
    page.wait_for_function("count => (window.since || []).length === count", arg=views, timeout=60_000)
    since = page.evaluate("window.since")
    page.close()
    return min(since), max(since)


def main():
    path = find_browser()
    if path is None:
        sys.exit("benchmarks/widgets.py: no Chromium, Chrome or Edge found; install one, or set DLNOTES_BROWSER to its path")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, "--disable-frame-rate-limit", "--disable-gpu-vsync"])
        for index, (name, widget, selector, kind, target) in enumerate(CASES):
            page = browser.new_page(viewport={"width": 1000, "height": 1200})
            page.goto(Path(widget().to_html(Path(folder) / f"{index}.html")).as_uri())
            page.wait_for_selector("[data-ready]")
            report(name, page.evaluate(ACT, [selector, kind, 85]), target)
            page.close()
        if (ROOT / "_build" / "html" / "index.html").exists():
            for path in sorted((ROOT / "book").glob("*.ipynb")):
                if "dlnotes.widgets" not in path.read_text(encoding="utf-8"):
                    continue
                name = path.stem
                first, last = ready(browser, name)
                print(f"{name + ', 6× CPU throttle: first widget ready':54} {first:6.0f} ms   last {last:6.0f} ms   target 2000 ms")
        browser.close()


if __name__ == "__main__":
    main()
