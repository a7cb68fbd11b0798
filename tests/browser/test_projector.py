"""Projector mode: one key fills the screen in large type and high contrast, nothing is cut, and the page never hears the key."""

import pytest

from dlnotes import widgets

pytestmark = pytest.mark.browser

PROJECTOR = {"width": 1280, "height": 720}
SETTLED = ".dln-shell[data-settled]"
SEEN = """() => {
  const shell = document.querySelector('.dln-shell'), box = shell.getBoundingClientRect(), root = shell.firstChild;
  const luminance = (text) => {
    const [r, g, b] = text.match(/\\d+/g).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(root), [a, b] = [style.color, style.backgroundColor].map(luminance).sort((x, y) => y - x);
  return { on: shell.classList.contains('dln-projector'), box: [box.x, box.y, box.width, box.height].map(Math.round),
    ink: (a + 0.05) / (b + 0.05), dark: luminance(style.backgroundColor) < 0.5,
    scale: +shell.dataset.scale, cut: shell.scrollHeight - shell.clientHeight,
    outside: [...root.querySelectorAll('*')].filter(n => n.getClientRects().length && !n.closest('.dln-sr, .dln-code, [hidden]')
      && (n.getBoundingClientRect().right > innerWidth + 1 || n.getBoundingClientRect().left < -1))
      .map(n => n.className || n.tagName),
    sharp: [...root.querySelectorAll('canvas')].filter(c => c.style.height && c.getClientRects().length)
      .every(c => c.width >= Math.min(c.getBoundingClientRect().width, 4 * c.clientWidth) * 0.98) };
}"""


def picture(page):
    return page.locator(".dln-picture [tabindex='0']").first


def project(page, key="f"):
    picture(page).focus()
    page.keyboard.press(key)
    page.locator(SETTLED).wait_for(state="attached")
    return page.evaluate(SEEN)


@pytest.mark.parametrize("name", widgets.__all__)
def test_a_widget_fills_the_projector_and_nothing_is_cut(widget_page, name):
    scheme = ("light", "dark")[widgets.__all__.index(name) % 2]
    page = widget_page(getattr(widgets, name)(), viewport=PROJECTOR, color_scheme=scheme)
    seen = project(page)
    assert seen["on"] and seen["box"] == [0, 0, 1280, 720]
    assert seen["cut"] <= 0 and not seen["outside"]
    assert seen["scale"] >= (1 if name == "TensorShapes" else 1.1)      # a chain of tensors is a long picture
    assert seen["ink"] > 20 and seen["dark"] == (scheme == "dark")
    assert seen["sharp"]
    page.keyboard.press("Escape")
    page.locator(SETTLED).wait_for(state="detached")
    assert page.evaluate("!document.fullscreenElement && getComputedStyle(document.querySelector('.dln-shell')).display === 'contents'")
    assert page.evaluate("document.activeElement.closest('.dln-picture') !== null")


def test_a_larger_projector_shows_the_same_larger(widget_page):
    page = widget_page(widgets.SpectrumExplorer(), viewport=PROJECTOR)
    before = project(page)
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function("scale => +document.querySelector('.dln-shell').dataset.scale > 1.4 * scale", arg=before["scale"])
    page.locator(SETTLED).wait_for(state="attached")
    seen = page.evaluate(SEEN)
    assert seen["scale"] == pytest.approx(1.5 * before["scale"]) and seen["cut"] <= 0 and seen["box"][2:] == [1920, 1080]


def test_when_a_control_shows_more_all_of_it_is_fitted_again(widget_page):
    page = widget_page(widgets.WaveBuilder(), viewport=PROJECTOR)
    before = project(page)["scale"]
    page.get_by_role("radio", name="a picture").check()
    page.wait_for_function("(scale) => +document.querySelector('.dln-shell').dataset.scale !== scale", arg=before)
    page.locator(SETTLED).wait_for(state="attached")
    assert page.evaluate(SEEN)["cut"] <= 0


def test_pointing_and_dragging_hit_the_same_place_in_large_type(widget_page):
    page = widget_page(widgets.AttentionExplorer(), viewport=PROJECTOR)
    project(page)
    page.locator(".dln-attention-all canvas").click(position={"x": 4, "y": 4})
    canvas = page.locator(".dln-picture canvas").last.bounding_box()
    page.mouse.click(canvas["x"] + canvas["width"] * 0.62, canvas["y"] + canvas["height"] * 0.93)
    page.wait_for_function("document.querySelector('.dln-readout').textContent.includes('layer 3, head 3')")


def test_the_button_has_a_name_and_does_the_same(widget_page):
    page = widget_page(widgets.AttentionCost(), viewport={"width": 320, "height": 700})
    button = page.get_by_role("button", name="Full screen")
    box = button.bounding_box()
    words = page.evaluate("() => { const r = document.createRange(); r.selectNodeContents(document.querySelector('.dln-title'));"
                          "return r.getBoundingClientRect().right }")
    assert min(box["width"], box["height"]) >= 24 and box["x"] >= words and box["x"] + box["width"] <= 320
    assert button.get_attribute("aria-pressed") == "false" and button.get_attribute("aria-keyshortcuts") == "f"
    button.click()
    page.locator(SETTLED).wait_for(state="attached")
    assert button.get_attribute("aria-pressed") == "true" and not page.evaluate(SEEN)["outside"]
    button.click()
    page.locator(SETTLED).wait_for(state="detached")
    assert button.get_attribute("aria-pressed") == "false"


def test_tab_reaches_the_picture_before_the_button(widget_page):
    page = widget_page(widgets.AttentionCost())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.dln-picture') !== null")


def test_a_letter_in_a_text_field_stays_a_letter(widget_page):
    page = widget_page(widgets.TensorShapes())
    field = page.locator(".dln-widget input[type='text']").first
    field.focus()
    page.keyboard.press("f")
    assert "f" in field.input_value() and not page.evaluate(SEEN)["on"]


def test_a_shortcut_of_the_browser_is_left_alone(widget_page):
    page = widget_page(widgets.AttentionCost())
    picture(page).focus()
    page.keyboard.press("Control+f")
    assert not page.evaluate(SEEN)["on"]


def test_the_page_around_never_hears_the_key(widget_page):
    page = widget_page(widgets.AttentionCost())
    page.evaluate("window.heard = []; for (const e of ['keydown', 'keyup']) document.addEventListener(e, x => heard.push(x.key))")
    project(page)
    page.keyboard.press("f")
    page.locator(SETTLED).wait_for(state="detached")
    assert page.evaluate("heard") == []


@pytest.mark.parametrize("popover", [True, False])
def test_where_full_screen_is_not_allowed_the_frame_is_filled(open_page, tmp_path, popover):
    page = open_page(viewport=PROJECTOR)
    page.add_init_script("Object.defineProperty(Document.prototype, 'fullscreenEnabled', { get: () => false });"
                         + ("" if popover else "delete HTMLElement.prototype.showPopover;"))
    path = tmp_path / "widget.html"
    widgets.AttentionCost().to_html(path)
    page.goto(path.as_uri())
    page.wait_for_selector("[data-ready]")
    if popover:     # fixed positions would begin at such a parent; the top layer does not
        page.evaluate("document.querySelector('main').style.transform = 'translate(60px, 60px)'")
    seen = project(page)
    assert not page.evaluate("document.fullscreenElement")
    assert seen["box"] == [0, 0, 1280, 720] and seen["cut"] <= 0
    page.keyboard.press("Escape")
    page.locator(SETTLED).wait_for(state="detached")
    assert page.evaluate("document.activeElement.closest('.dln-picture') !== null")


@pytest.mark.parametrize("allowed", [True, False])
def test_in_a_sandboxed_frame_it_fills_the_screen_or_else_the_frame(page, allowed):
    frame_text = widgets.AttentionCost().to_html()
    assert 'allow="fullscreen *"' in frame_text
    page.set_content("<!doctype html><title>host</title>" + (frame_text if allowed else frame_text.replace(' allow="fullscreen *"', "")))
    frame = page.frame_locator("iframe")
    frame.locator("[data-ready]").wait_for()
    frame.locator(".dln-picture [tabindex='0']").first.press("f")
    frame.locator(SETTLED).wait_for(state="attached")
    assert page.evaluate("document.fullscreenElement?.tagName ?? null") == ("IFRAME" if allowed else None)
    seen = page.frames[1].evaluate(SEEN)
    assert seen["on"] and seen["box"][:2] == [0, 0] and seen["box"][2] == page.frames[1].evaluate("innerWidth")
    frame.locator(".dln-picture [tabindex='0']").first.press("f")
    frame.locator(SETTLED).wait_for(state="detached")
    assert page.evaluate("document.fullscreenElement") is None
