"""Axe, an accessibility checker, finds nothing serious on any page, light or dark."""

import pytest
from axe_core_python.sync_playwright import Axe
from site_pages import PAGES, visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_accessibility_violation(open_page, origins, name, scheme):
    page = open_page(color_scheme=scheme)
    visit(page, f"{origins['file']}/{name}")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    found = [(v["id"], [n["html"][:160] for n in v["nodes"]][:3]) for v in Axe().run(page)["violations"]
             if v["impact"] in ("serious", "critical")]
    assert not found
