"""`import dlnotes` costs next to nothing beyond torch: whatever is heavy loads when it is first used."""

import subprocess
import sys

import pytest

import dlnotes

HEAVY = {"matplotlib", "skimage", "sklearn", "scipy", "anywidget", "ipywidgets", "IPython", "torchvision", "timm", "PIL",
         "accelerate", "tensorboard", "pooch", "tqdm"}


def loaded_by(statement: str) -> set[str]:
    """Top-level packages, and modules of dlnotes, that a fresh process holds after one statement beyond those of torch."""
    code = (f"import sys, torch\nbefore = set(sys.modules)\n{statement}\n"
            "print(*sorted(m for m in set(sys.modules) - before if '.' not in m or m.startswith('dlnotes')))")
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_dlnotes_loads_nothing_but_itself():
    assert loaded_by("import dlnotes") <= {"dlnotes"}


def test_computing_modules_need_no_plots_and_no_widgets():
    computing = sorted({*dlnotes.__all__} - {"exercises", "plots", "widgets"})
    loaded = loaded_by("import " + ", ".join(f"dlnotes.{name}" for name in computing))
    assert not loaded & HEAVY and not loaded & {"dlnotes.plots", "dlnotes.widgets", "dlnotes.exercises"}


def test_sub_packages_load_on_first_use():
    assert "dlnotes.attention" in loaded_by("import dlnotes; dlnotes.attention.causal_mask(2)")


def test_unknown_names_are_named():
    with pytest.raises(AttributeError, match="module 'dlnotes' has no attribute 'atention'; it offers"):
        dlnotes.atention  # noqa: B018
    assert "attention" in dir(dlnotes)


def test_torchvision_loads_when_it_is_asked_for_and_not_before():
    assert "torchvision" not in loaded_by("import dlnotes.libraries")
    assert "torchvision" in loaded_by("from dlnotes.libraries import torchvision; import torchvision.transforms.v2")
    with pytest.raises(AttributeError, match="no attribute 'torchvison'; it offers torchvision"):
        dlnotes.libraries.torchvison  # noqa: B018
