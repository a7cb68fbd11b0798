"""Each widget in the third host: one sandboxed frame inside somebody else's page, or one file."""

import pytest

from dlnotes import widgets

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", widgets.__all__)
def test_a_widget_lives_in_a_sandboxed_frame(page, name):
    page.set_content(f"<!doctype html><title>host</title><p>A page of somebody else.</p>{getattr(widgets, name)().to_html()}")
    frame = page.frame_locator("iframe")
    frame.locator("[data-ready]").wait_for()
    picture = frame.locator(".dln-picture [tabindex='0']").first
    before = frame.locator(".dln-readout").inner_text()
    picture.focus()
    for key in ("ArrowRight", "ArrowUp"):
        picture.press(key)
    page.wait_for_timeout(100)
    assert frame.locator(".dln-readout").inner_text() != before


@pytest.mark.parametrize("name", widgets.__all__)
def test_controls_that_need_python_are_absent_without_a_kernel(widget_page, name):
    page = widget_page(getattr(widgets, name)())
    assert page.locator(".dln-live").count() == 0


@pytest.mark.parametrize("name", [name for name in widgets.__all__ if name != "SelfAssessment"])  # questions have no code
def test_the_code_of_the_present_state_can_be_copied(widget_page, name):
    page = widget_page(getattr(widgets, name)(), permissions=["clipboard-read", "clipboard-write"])
    page.locator(".dln-code summary").click()
    code = page.locator(".dln-code-text").inner_text()
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_role("button", name="Copied").wait_for()
    assert "torch" in code
    compile(code, name, "exec")
