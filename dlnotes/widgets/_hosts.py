"""How a widget shows itself, decided in one place: alive, alive with text for arrays, as one HTML frame, or as a picture.

A widget's view needs a front end that carries it. JupyterLab, VS Code, Binder and hubs do. Colab does, but drops binary buffers
when a widget opens, so arrays travel as base64 text there. Kaggle's front end has no third-party widgets, and an empty view would
win over every other form, so there the output is one self-contained frame and no view. A terminal gets text and a still picture.
"""

import os
import sys
from collections.abc import Mapping
from functools import cache

from .. import platforms

__all__ = ["MODES", "VARIABLE", "enable_colab", "has_front_end", "presentation"]

MODES: dict[str, str] = {
    "live": "the widget's view, arrays in binary buffers",
    "base64": "the widget's view, arrays as base64 text",
    "html": "one self-contained HTML frame, without a kernel",
    "plain": "text and a still picture",
}
"""The ways in which a widget can show itself."""

VARIABLE = "DLNOTES_WIDGETS"


def presentation(environ: Mapping[str, str] | None = None, *, front_end: bool | None = None) -> str:
    """How widgets show themselves here: one of ``MODES``.

    Args:
        environ: variables to read; default ``os.environ``. ``DLNOTES_WIDGETS`` forces a mode; else the platform decides.
        front_end: whether something displays rich outputs; default :func:`has_front_end`'s answer.

    Raises:
        ValueError: if ``DLNOTES_WIDGETS`` is none of the modes.

    >>> presentation({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, front_end=True)
    'html'
    """
    environ = os.environ if environ is None else environ
    forced = environ.get(VARIABLE, "").strip().lower()
    if forced:
        if forced not in MODES:
            raise ValueError(f"{VARIABLE}: expected one of {', '.join(MODES)}, got {environ[VARIABLE]!r}; "
                             "unset it to let the platform decide")
        return forced
    if not (has_front_end() if front_end is None else front_end):
        return "plain"
    return {"colab": "base64", "kaggle": "html"}.get(platforms.detect(environ).name, "live")


def has_front_end() -> bool:
    """Whether this process is a notebook's kernel: something that receives rich outputs listens to it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


@cache
def enable_colab() -> bool:
    """Ask Colab, once a session, for its manager of third-party widgets; False where there is no Colab to ask."""
    try:
        from google.colab import output
    except ImportError:
        return False
    if "google.colab.output" not in sys.modules:    # anywidget looks there, and asks itself
        output.enable_custom_widget_manager()
    return True
