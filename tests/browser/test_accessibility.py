"""Axe, an accessibility checker, finds nothing serious on any page, light or dark."""

import pytest
from axe_core_python.sync_playwright import Axe
from site_pages import PAGES, visit

pytestmark = pytest.mark.browser

# A chapter has ten thousand coloured words of code in a dozen styles. One word of each style on each background is enough.
ONE_OF_EACH_STYLE = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight pre span')) {
    const style = getComputedStyle(word), box = getComputedStyle(word.closest('pre'));
    const key = [style.color, style.backgroundColor, style.fontWeight, style.fontSize, box.backgroundColor].join();
    if (seen.has(key)) word.remove(); else seen.add(key);
  }
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_accessibility_violation(open_page, origins, name, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    visit(page, f"{origins['file']}/{name}")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.evaluate(ONE_OF_EACH_STYLE)
    found = [(v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in Axe().run(page)["violations"]
             if v["impact"] in ("serious", "critical")]
    assert not found
