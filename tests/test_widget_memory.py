"""MemoryPlanner, the Python side: the table against fresh predictions, what it accepts, what it ships."""

import io
import json

import pytest
import torch
from PIL import Image

from dlnotes.widgets.memory import _FILE, BATCHES, MODELS, OPTIMIZERS, PARTS, MemoryPlanner, entry, lookup

# Kernels of a GPU are pretended where there is one, so attention and workspaces may differ a little from the table's.
TOLERANCE = 0.25 if torch.cuda.is_available() else 1e-3


def peak(*settings):
    return sum(entry(*settings)) / 1024


# ---- the table

def test_the_table_holds_every_setting():
    table = json.loads(_FILE.read_text(encoding="utf-8"))
    assert len(table) == sum(map(len, MODELS.values())) * len(OPTIMIZERS) * 4 and _FILE.stat().st_size < 60_000
    assert all(len(rows) == len(BATCHES) and all(len(row) == len(PARTS) for row in rows) for rows in table.values())


@pytest.mark.parametrize("settings", [("unet", 256, 1, "sgd", False, False), ("resnet50", 224, 16, "adamw", True, False),
                                      ("vit_b_16", 384, 4, "adamw", False, True), ("swin_t", 224, 1, "sgd", True, True)])
def test_an_entry_is_a_fresh_prediction(settings):
    name, size, batch, *rest = settings
    assert sum(lookup(name, size, batch, *rest)) == pytest.approx(peak(*settings), rel=TOLERANCE)


@pytest.mark.parametrize("settings", [("unet", 256, 8, "adamw", False, False), ("resnet50", 224, 40, "sgd", False, True),
                                      ("vit_b_16", 224, 9, "adamw", True, False), ("unet", 512, 3, "adamw", False, True)])
def test_between_the_batches_of_the_table_the_line_is_close(settings):
    name, size, batch, *rest = settings
    line, truth = sum(lookup(name, size, batch, *rest)), peak(*settings)
    assert line == pytest.approx(truth, rel=max(0.03, TOLERANCE))


@pytest.mark.parametrize(("name", "size", "batch"), [("resnet50", 224, 4), ("vit_b_16", 224, 1)])
def test_momentum_is_plain_sgd_and_one_number_for_each_weight(name, size, batch):
    found, fresh = lookup(name, size, batch, "momentum", False, False), entry(name, size, batch, "momentum", False, False)
    assert sum(found) == pytest.approx(sum(fresh) / 1024, rel=max(TOLERANCE, 2e-3))


def test_the_parts_are_those_of_the_network():
    weights, _, state, *_ = lookup("resnet50", 224, 16, "adamw", False, False)
    assert state * 1024 == pytest.approx(8 * 25_557_032, rel=1e-3) and weights * 1024 == pytest.approx(4 * 25_557_032, rel=5e-3)


# ---- what it accepts and ships

@pytest.mark.parametrize("settings, message", [
    ({"model": "alexnet"}, "expected model to be one of unet, resnet50"), ({"size": 300}, "expected size of unet to be one of 256, 512"),
    ({"batch": 0}, "batch as a whole number from 1 to 64"), ({"batch": 2.0}, "batch as a whole number"),
    ({"optimizer": "adam"}, "optimizer to be one of sgd"), ({"autocast": 1}, "autocast to be True or False"),
    ({"budget": 0.5}, "budget from 1 to 96 GiB"), ({"budget": "8"}, "budget from 1 to 96 GiB")])
def test_wrong_settings_say_what_is_offered(settings, message):
    with pytest.raises(ValueError, match=message):
        MemoryPlanner(**settings)


def test_the_default_does_not_fit_and_says_what_would():
    widget = MemoryPlanner()
    assert sum(widget.parts()) > widget.budget * 2**20 and 1 <= widget.largest() < widget.batch
    assert repr(widget) == "MemoryPlanner(unet, 24 × 3 × 256 × 256, adamw: 8.78 GiB of 8 GiB)"
    assert MemoryPlanner(batch=widget.largest()).largest() == widget.largest()


@pytest.mark.parametrize("settings", [{}, {"model": "vit_b_16", "batch": 1, "budget": 96}, {"model": "swin_t", "autocast": True, "checkpointing": True}])
def test_the_still_picture_is_small_and_described(settings):
    widget = MemoryPlanner(**settings)
    assert len(widget.still()) < 60_000 and Image.open(io.BytesIO(widget.still())).width > 400
    assert "activations" in widget.alt() and "budget" in widget.alt()


def test_python_predicts_what_is_not_in_the_table():
    widget = MemoryPlanner("resnet50", optimizer="sgd")
    widget.handle({"type": "predict", "size": 64, "batch": 3})
    assert widget.answer["words"] == "resnet50, 3 × 3 × 64 × 64"
    assert sum(widget.answer["parts"]) == pytest.approx(peak("resnet50", 64, 3, "sgd", False, False))
    widget.handle({"type": "predict", "size": 64, "batch": 0})
    assert "batch from 1 to 4096" in widget.answer["error"]
    widget = MemoryPlanner("swin_t")
    widget.handle({"type": "predict", "size": 100, "batch": 1})
    assert "divisible by" in widget.answer["error"]
    widget.handle("something")


def test_one_file_holds_everything(tmp_path):
    path = tmp_path / "memory.html"
    MemoryPlanner().to_html(path)
    assert len(path.read_text(encoding="utf-8")) < 200_000
