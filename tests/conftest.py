"""Shared fixtures: a real browser that may only talk to this machine; widgets and the built site opened in it."""

import functools
import http.server
import os
import shutil
import threading
from urllib.parse import urlparse

import hypothesis
import pytest
import setuptools  # noqa: F401  before a test imports pip, after which setuptools refuses to load (Python 3.11 and older)
import torch
from site_pages import SITE

hypothesis.settings.register_profile("untimed", deadline=None)          # a busy machine is no failure
hypothesis.settings.load_profile("untimed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("cuda"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device here"))


def find_browser() -> str | None:
    """Path of a Chromium-like browser: DLNOTES_BROWSER, or the first on the PATH."""
    return os.environ.get("DLNOTES_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="session")
def browser():
    path = find_browser()
    if path is None:
        message = "no Chromium, Chrome or Edge found; install one, or set DLNOTES_BROWSER to its path"
        if os.environ.get("DLNOTES_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What a page did that it should not: requests that leave this machine, console errors, uncaught exceptions."""

    def __init__(self, context):
        self.outside, self.errors = [], []
        context.route("**/*", self._route)
        context.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _route(self, route):
        address = urlparse(route.request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in ("127.0.0.1", "localhost"):
            self.outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def assert_clean(self):
        assert not self.outside, f"requests that leave this machine: {self.outside}"
        assert not self.errors, f"console errors: {self.errors}"


@pytest.fixture
def open_page(browser):
    """open_page(**context options) -> a new page. After the test, every page must have stayed clean."""
    opened = []

    def open_(**options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        watch = Watch(context)
        opened.append((context, watch))
        page = context.new_page()
        page.watch = watch
        return page

    yield open_
    for context, watch in opened:
        context.close()
    for _, watch in opened:
        watch.assert_clean()


@pytest.fixture
def page(open_page):
    return open_page()


@pytest.fixture
def widget_page(open_page, tmp_path):
    """widget_page(widget, **context options) -> a page that shows the widget from a file, ready to use."""

    def show(widget, **options):
        page = open_page(**options)
        path = tmp_path / f"{widget._name}-{len(list(tmp_path.iterdir()))}.html"
        widget.to_html(path)
        page.goto(path.as_uri())
        page.wait_for_selector(f'[data-ready="{widget._name}"]')
        return page

    return show


@pytest.fixture
def kernels(page):
    """kernels(name) -> call(function, *args): run a widget module's pure functions in the browser on JSON values."""
    from dlnotes.widgets import _bundle

    page.add_script_tag(content=_bundle.runtime())

    def load(name):
        page.add_script_tag(content=_bundle.classic_script(name))

        def call(function, *args):
            return page.evaluate(
                """([name, fn, args]) => JSON.parse(JSON.stringify(dlnotes.modules[name].kernels[fn](...args),
                     (_, v) => ArrayBuffer.isView(v) ? Array.from(v) : v))""", [name, function, list(args)])

        return call

    return load


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def origins():
    """How a reader opens the built site: {"http": ..., "file": ...}, without a slash at the end."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"http": f"http://127.0.0.1:{server.server_port}", "file": SITE.as_uri()}
    server.shutdown()
