"""Tiles: they cover the picture, put together they are the picture, and a part of a file is the part of its picture."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from dlnotes.data import (TiledPictures, crops, grid_of, picture_size, predict_tiled, read_crop, read_picture, tiles, untile)
from dlnotes.data.tiling import _weights

sides = st.integers(1, 70)


@st.composite
def cuts(draw):
    """(height, width, tile, overlap), also pictures smaller than a tile, and overlaps of all but one pixel."""
    tile = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    overlap = draw(st.integers(0, tile[0] - 1)), draw(st.integers(0, tile[1] - 1))
    return draw(sides), draw(sides), tile, overlap


@settings(deadline=None, max_examples=60)
@given(cuts())
def test_a_grid_covers_every_pixel_with_at_least_the_overlap_and_as_few_tiles_as_possible(cut):
    height, width, tile, overlap = cut
    grid = grid_of(height, width, tile, overlap)
    assert len(grid) == len(list(grid)) == len(grid.tops) * len(grid.lefts)
    for length, starts, t, o in ((height, grid.tops, tile[0], overlap[0]), (width, grid.lefts, tile[1], overlap[1])):
        assert starts[0] == 0 and starts[-1] == max(0, length - t)
        steps = np.diff(starts)
        assert (steps >= 1).all() and (steps <= t - o).all()
        assert len(starts) == (1 if length <= t else -(-(length - t) // (t - o)) + 1)


@settings(deadline=None, max_examples=30)
@given(cuts(), st.sampled_from(["linear", "cosine", "mean"]), st.integers(0, 10**6))
def test_blended_tiles_are_the_picture_again(cut, blend, seed):
    height, width, tile, overlap = cut
    x = torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    parts, grid = tiles(x, tile, overlap)
    assert parts.shape == (len(grid), 2, *tile)
    assert torch.allclose(untile(parts, grid, blend=blend), x, rtol=0, atol=1e-12)
    assert torch.allclose(untile(parts.float(), grid, blend=blend), x.float(), rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(cuts(), st.sampled_from([torch.float32, torch.float16, torch.uint8, torch.int64]))
def test_nearest_is_bit_exact_for_every_dtype(cut, dtype):
    height, width, tile, overlap = cut
    x = torch.randint(0, 250, (1, height, width)).to(dtype)
    parts, grid = tiles(x, tile, overlap)
    assert torch.equal(untile(parts, grid, blend="nearest"), x)


@settings(deadline=None, max_examples=30)
@given(cuts(), st.sampled_from(["linear", "cosine", "mean", "nearest"]), st.integers(1, 3))
def test_weights_sum_to_one_at_every_pixel(cut, blend, scale):
    height, _, (tile, _), (overlap, _) = cut
    grid = grid_of(height, 1, (tile, 1), (overlap, 0))
    total = torch.zeros(scale * height, dtype=torch.float64)
    for start, weight in zip(grid.tops, _weights(grid.tops, tile, height, blend, scale)):
        assert (weight >= 0).all() and weight.max() <= 1 + 1e-12
        total[scale * start:scale * start + len(weight)] += weight
    assert torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12)


def test_blending_hides_a_seam_and_cutting_does_not():
    """Two tiles that disagree, 0 and 1: nearest jumps, linear climbs evenly."""
    grid = grid_of(1, 100, (1, 60), (0, 20))
    parts = torch.stack([torch.zeros(1, 1, 60), torch.ones(1, 1, 60)])
    hard, soft = untile(parts, grid, blend="nearest")[0, 0], untile(parts, grid)[0, 0]
    assert set(hard.tolist()) == {0.0, 1.0} and hard.diff().max() == 1
    assert (soft.diff() >= 0).all() and soft.diff().max() < 0.06 and soft[39] == 0 and soft[60] == 1


@settings(deadline=None, max_examples=20)
@given(sides, sides, st.integers(1, 5))
def test_a_network_of_one_pixel_sees_no_tiles(height, width, batch_size):
    model = nn.Conv2d(3, 5, 1)
    x = torch.rand(3, height, width)
    with torch.no_grad():
        whole = model(x[None])[0]
    assert torch.allclose(predict_tiled(model, x, 24, 8, batch_size=batch_size), whole, atol=1e-5)


def test_a_network_with_a_rim_agrees_inside_when_the_overlap_covers_it():
    """A 3 by 3 convolution sees one pixel around: tiles taken from their middle give the whole picture's answer."""
    model = nn.Conv2d(1, 2, 3, padding=1)
    x = torch.rand(1, 96, 64)
    with torch.no_grad():
        whole = model(x[None])[0]
    assert torch.allclose(predict_tiled(model, x, 32, 4, blend="nearest"), whole, atol=1e-5)
    assert not torch.allclose(predict_tiled(model, x, 32, 0, blend="nearest"), whole, atol=1e-5)


def test_super_resolution_by_tiles():
    model = nn.Upsample(scale_factor=3, mode="nearest")
    x = torch.rand(2, 41, 30)
    assert torch.allclose(predict_tiled(model, x, 16, 4, scale=3), model(x[None])[0], atol=1e-6)


def test_half_precision_comes_back_as_it_came():
    x = torch.rand(1, 50, 50).half()
    parts, grid = tiles(x, 16, 8)
    assert untile(parts, grid).dtype == torch.float16 and torch.allclose(untile(parts, grid), x, atol=1e-3)


# ---- files ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)


def save(path, pixels, **options):
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif options:
        import tifffile
        tifffile.imwrite(path, pixels, **options)
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("name", "options"), [
    ("a.png", {}), ("a.tif", {}), ("tiled.tif", {"tile": (32, 48)}), ("strips.tif", {"rowsperstrip": 7}),
    ("deflate.tif", {"tile": (64, 64), "compression": "zlib", "predictor": True}), ("a.npy", {}),
])
@pytest.mark.parametrize("grey", [False, True])
def test_a_crop_of_a_file_is_the_crop_of_its_picture(tmp_path, pixels, name, options, grey):
    if options:
        pytest.importorskip("tifffile")
    pixels = pixels[:, :, 0] if grey else pixels
    path = save(tmp_path / name, pixels, **options)
    whole = torch.from_numpy(pixels[None] if grey else pixels.transpose(2, 0, 1))
    assert picture_size(path) == (150, 130)
    for top, left, height, width in ((0, 0, 150, 130), (31, 47, 34, 50), (149, 129, 1, 1), (100, 0, 50, 130)):
        assert torch.equal(read_crop(path, top, left, height, width), whole[:, top:top + height, left:left + width])
    if not name.endswith(".npy"):
        assert torch.equal(read_picture(path, None), whole)


@pytest.mark.parametrize(("name", "options"), [("tiled.tif", {"tile": (32, 32)}),
                                               ("deflate.tif", {"tile": (32, 32), "compression": "zlib"}), ("a.npy", {})])
def test_a_crop_is_read_without_decoding_the_rest(tmp_path, pixels, name, options, monkeypatch):
    """Everything but the tile in question is overwritten with noise that no decoder takes, and still the crop is right."""
    tifffile = pytest.importorskip("tifffile")
    path = save(tmp_path / name, pixels, **options)
    if options:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            spoil = list(zip(page.dataoffsets, page.databytecounts))[1:]
        with open(path, "r+b") as file:
            for offset, count in spoil:
                file.seek(offset)
                file.write(b"\xff" * count)
    monkeypatch.setattr(crops, "read_picture", None)                                # the way back to the whole file
    assert torch.equal(read_crop(path, 3, 5, 20, 21), torch.from_numpy(pixels.transpose(2, 0, 1))[:, 3:23, 5:26])


def test_pictures_as_tiles_and_back(tmp_path, pixels):
    paths = [save(tmp_path / "one.png", pixels), save(tmp_path / "two ü.npy", pixels[:40, :30]),
             save(tmp_path / "small.png", pixels[:9, :7])]
    dataset = TiledPictures(paths, 32, 8)
    batch = next(iter(DataLoader(dataset, len(dataset))))
    assert len(dataset) == sum(len(grid) for grid in dataset.grids) and batch["image"].shape == (len(dataset), 3, 32, 32)
    first = 0
    for path, grid, height in zip(paths, dataset.grids, (150, 40, 9)):
        parts = batch["image"][first:first + len(grid)]
        again = untile(parts, grid, blend="nearest")
        whole = read_crop(path, 0, 0, *picture_size(path)).float() / 255
        assert again.shape[1] == height and torch.equal(again, whole)
        first += len(grid)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: grid_of(10, 10, 0), "grid_of: expected tile to be an integer of at least 1, got 0"),
    (lambda: grid_of(10, 10, 4, 4), "expected an overlap smaller than the tile"),
    (lambda: grid_of(10, 2.5, 4), "expected width to be an integer of at least 1, got 2.5"),
    (lambda: tiles(torch.rand(2, 3, 9, 9), 4), r"expected a tensor \(c, h, w\), got \(2, 3, 9, 9\)"),
    (lambda: untile(torch.rand(3, 1, 4, 4), grid_of(9, 9, 4)), r"expected tiles \(n=9, c, 4, 4\) for this grid"),
    (lambda: untile(torch.rand(9, 1, 4, 4), grid_of(9, 9, 4), blend="max"), "expected blend to be one of 'linear'"),
    (lambda: untile(torch.ones(9, 1, 4, 4).long(), grid_of(9, 9, 4)), "expected floating-point tiles for blend='linear'"),
    (lambda: predict_tiled(nn.Identity(), torch.rand(1, 1, 9, 9), 4), "expected one picture"),
    (lambda: predict_tiled(nn.Identity(), torch.rand(1, 9, 9), 4, batch_size=0), "expected batch_size"),
    (lambda: predict_tiled(nn.MaxPool2d(2), torch.rand(1, 9, 9), 4), "expected the model to give 1 times the tile"),
    (lambda: predict_tiled(nn.Identity(), torch.rand(1, 9, 9), 4, blend="no"), "predict_tiled: expected blend"),
])
def test_bad_arguments_are_answered_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_part_outside_and_a_missing_or_damaged_file_are_named(tmp_path, pixels):
    path = save(tmp_path / "a.png", pixels)
    with pytest.raises(ValueError, match="expected a part inside the 150 × 130 pixels of .*a.png, got top=140"):
        read_crop(path, 140, 0, 20, 20)
    with pytest.raises(FileNotFoundError, match="nothing.png"):
        read_crop(tmp_path / "nothing.png", 0, 0, 1, 1)
    with pytest.raises(FileNotFoundError, match="nothing.npy"):
        read_crop(tmp_path / "nothing.npy", 0, 0, 1, 1)
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match="expected a complete .npy array in .*bad.npy"):
        picture_size(tmp_path / "bad.npy")
    with pytest.raises(IndexError, match="from 0 to 35, got 36"):
        TiledPictures([path], 32, 8)[36]
