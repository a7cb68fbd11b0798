"""Figures in the course's look: one set of colours, labelled axes, and clear errors."""

import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

from dlnotes import plots
from dlnotes.widgets import _bundle

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """The figures that a call showed."""
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()))
    yield shown
    plt.close("all")


def test_figures_pages_and_widgets_share_their_colours():
    css = _bundle.stylesheet()
    for role in ("reader", "network", "ink", "muted", "line", "paper"):
        assert f"--dln-{role}: {plots.token(role)};" in css


def test_the_colour_map_for_signed_values_is_the_widgets_own():
    kit = (Path(_bundle.__file__).parent / "kit.js").read_text(encoding="utf-8")
    stops = re.search(r'diverging: "([^"]+)"', kit).group(1).split()
    for i, stop in enumerate(stops):
        ours = plots.DIVERGING(i / (len(stops) - 1))[:3]
        assert ours == pytest.approx(matplotlib.colors.to_rgb(f"#{stop}"), abs=2 / 255)


def test_text_has_enough_contrast_on_paper():
    def luminance(colour):
        parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in matplotlib.colors.to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    paper = luminance(plots.token("paper"))
    for role in ("ink", "muted", "reader", "network"):
        assert (paper + 0.05) / (luminance(plots.token(role)) + 0.05) >= 4.5, role


def test_each_kind_of_figure_is_drawn_with_its_labels(figures):
    plots.images([torch.rand(4, 5), torch.rand(4, 5, 3)], ["map", "photograph"], bar=True)
    plots.images([torch.randn(4, 5)], signed=True, shared=True)
    plots.heatmap(torch.rand(3, 4), x="key", y="query", label="weight", numbers=True)
    plots.curves([1, 2, 3], {"a": [1, 2, 3], "b": torch.tensor([3, 2, 1])}, xlabel="tokens", ylabel="bytes", log="xy")
    assert len(figures) == 4
    assert [axis.get_title() for axis in figures[0].axes[:2]] == ["map", "photograph"]
    low, high = figures[1].axes[0].images[0].get_clim()
    assert low == -high, "signed values: zero in the middle"
    assert (figures[2].axes[0].get_xlabel(), figures[2].axes[1].get_ylabel()) == ("key", "weight")
    assert figures[3].axes[0].get_xscale() == "log"


@pytest.mark.parametrize(("call", "words"), [
    (lambda: plots.token("red"), "expected one of"),
    (lambda: plots.images([torch.rand(2, 3, 4, 5)]), r"expected pictures of shape \(h, w\) or \(h, w, 3\), got \(2, 3, 4, 5\)"),
    (lambda: plots.images([torch.rand(4, 5, 2)]), r"got \(4, 5, 2\)"),
    (lambda: plots.heatmap(torch.rand(3), x="", y=""), r"expected a matrix \(rows, columns\), got shape \(3,\)"),
    (lambda: plots.curves([1, 2], {"a": [1, 2, 3]}, xlabel="", ylabel=""), "expected 2 values in 'a', got 3"),
])
def test_a_wrong_shape_gets_one_clear_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
