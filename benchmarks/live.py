"""The live round trip in JupyterLab: from choosing another picture in the page to the readout that Python's answer brings."""

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from conftest import FLAGS, find_browser  # noqa: E402
from lab import jupyterlab  # noqa: E402

TRIP = """async (count) => {
  const live = document.querySelector('.dln-live select'), picture = document.querySelector('.dln-widget canvas'), times = [];
  for (let i = 0; i < count; i++) {
    const before = picture.toDataURL(), begin = performance.now();
    live.selectedIndex = (live.selectedIndex + 1) % live.options.length;
    live.dispatchEvent(new Event('change', { bubbles: true }));
    do { await new Promise(requestAnimationFrame); } while (picture.toDataURL() === before && performance.now() - begin < 5000);
    times.push(performance.now() - begin);
    await new Promise((next) => setTimeout(next, 100));
  }
  return times.slice(2);
}"""


def main():
    path = find_browser()
    if path is None:
        sys.exit("benchmarks/live.py: no Chromium, Chrome or Edge found; install one, or set DLNOTES_BROWSER to its path")
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        lab.write("live.ipynb", "from dlnotes.widgets import SpectrumExplorer\nSpectrumExplorer()")
        page = lab.open(browser, "live.ipynb")
        lab.run_all(page)
        page.wait_for_selector(".dln-live select", timeout=60_000)
        times = sorted(page.evaluate(TRIP, 22))
        print(f"SpectrumExplorer in JupyterLab, next picture from Python: median {statistics.median(times):.0f} ms, "
              f"95th percentile {times[int(0.95 * len(times))]:.0f} ms, target 100 ms")
        browser.close()


if __name__ == "__main__":
    main()
