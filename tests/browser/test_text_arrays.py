"""Colab drops binary buffers when a widget opens. Arrays that travel as text show the same pictures, at once and after updates."""

import json
from pathlib import Path

import pytest
from imitated_comm import Comm
from ipywidgets.widgets.widget import _remove_buffers

from dlnotes import widgets
from dlnotes.widgets import _bundle

pytestmark = pytest.mark.browser

SOURCES = Path(widgets.__file__).parent
WITH_ARRAYS = [name for name, home in sorted(widgets._HOME.items())
               if "traitlets.Bytes" in (SOURCES / f"{home}.py").read_text(encoding="utf-8")]
HOST = """([module, state]) => {
  const listeners = {};
  const model = { get: (key) => state[key], set: (key, value) => { state[key] = value; }, save_changes() {},
    on: (event, call) => (listeners[event] ||= new Set()).add(call), off: (event, call) => listeners[event]?.delete(call) };
  const el = document.createElement('div');
  el.className = 'dln';
  document.body.replaceChildren(el);
  window.update = (changes) => {
    Object.assign(state, changes);
    for (const key in changes) for (const call of listeners[`change:${key}`] || []) call();
  };
  return dlnotes.modules[module].render({ model, el });
}"""
SEEN = """async () => {
  await document.fonts.ready;
  const look = () => JSON.stringify([document.querySelector('.dln-readout').textContent,
    ...[...document.querySelectorAll('canvas')].map(c => c.toDataURL())]);
  let before, now = look();
  do { before = now; await new Promise(done => setTimeout(done, 120)); now = look(); } while (now !== before);
  return JSON.parse(now);
}"""


@pytest.fixture
def colab(page, monkeypatch):
    """colab(widget) -> what the page shows of a widget that was opened by a host that keeps JSON and drops buffers."""
    page.set_content(f"<!doctype html><html data-dln-standalone><title>host</title><style>{_bundle.stylesheet()}</style><body>")
    page.add_script_tag(content=_bundle.runtime())

    def show(widget, mode="base64"):
        monkeypatch.setenv("DLNOTES_WIDGETS", mode)
        page.add_script_tag(content=_bundle.classic_script(widget._name))
        state, _paths, _buffers = _remove_buffers(widget.get_state())
        page.evaluate(HOST, [widget._name, json.loads(json.dumps({k: v for k, v in state.items() if k not in ("_esm", "_css", "layout")}))])
        return page.evaluate(SEEN)

    show.page = page
    return show


@pytest.mark.parametrize("name", WITH_ARRAYS)
def test_a_widget_opens_without_buffers_as_it_does_with_them(widget_page, colab, name):
    widget = getattr(widgets, name)()
    alive = colab(widget)
    published = widget_page(widget).evaluate(SEEN)
    assert alive[0] == published[0]
    assert len(alive) == len(published) > 1
    assert len(alive[0]) > 10


def test_the_imitated_host_does_drop_buffers(colab):
    widget = widgets.WaveBuilder()
    assert colab(widget) != colab(widget, "live")


@pytest.mark.parametrize(("name", "message"), [
    ("AttentionExplorer", {"type": "picture"}), ("AugmentationExplorer", {"type": "picture"}),
    ("FeatureMaps", {"type": "picture", "slot": 0, "index": 30}), ("SkipConnections", {"type": "picture"}),
    ("SpectrumExplorer", {"type": "picture", "name": "brick", "slot": 0}), ("ThresholdExplorer", {"type": "digit", "index": 25})])
def test_a_later_update_without_buffers_shows_what_python_computed(colab, name, message):
    widget = getattr(widgets, name)()
    before = colab(widget)
    widget.comm = comm = Comm()
    widget._receive(widget, message, [])
    changes = {}
    for data, buffers in comm.sent:
        assert not buffers
        changes |= data.get("state", {})
    colab.page.evaluate("update", json.loads(json.dumps(changes)))
    after = colab.page.evaluate(SEEN)
    assert after != before
    assert after == colab(widget)       # the same as a widget that is opened now
