"""Folders of pictures: every layout in use, every mode of a file, splits without leaks, weights; what is wrong is named."""

import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from dlnotes import data
from dlnotes.data import (IGNORE, Augment, ClassificationFolder, DecodedCache, SegmentationFolder, class_weights,
                          picture_size, pixel_counts, read_mask, read_names, read_picture, sample_weights, split_names,
                          survey, write_names)

rng = np.random.default_rng(0)


def picture(path, mode="RGB", size=(12, 10)):
    """Write a random picture of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "L": 1}[mode]
    pixels = rng.integers(0, 256, (*size, channels), dtype=np.uint8).squeeze()
    Image.fromarray(pixels).save(path)
    return pixels


def mask(path, values=(0, 1), size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.choice(np.array(values, np.uint8), size)
    Image.fromarray(pixels).save(path)
    return pixels


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# ---- layouts -------------------------------------------------------------------------------------------------------

LAYOUTS = {
    # layout: (picture, mask, list of the training names or None, what the sample is called)
    "voc": ("JPEGImages/{}.jpg", "SegmentationClass/{}.png", "ImageSets/Segmentation/train.txt", "{}"),
    "nnunet": ("imagesTr/{}_0000.png", "labelsTr/{}.png", None, "train/{}"),
    "carvana": ("train/{}.jpg", "train_masks/{}_mask.gif", None, "train/{}"),
    "split/images": ("train/images/{}.png", "train/masks/{}.png", None, "train/{}"),
    "images/split": ("images/train/{}.png", "masks/train/{}.png", None, "train/{}"),
    "images": ("images/{}.png", "masks/{}.png", "train.txt", "{}"),
    "images (NUAA-SIRST)": ("images/{}.png", "masks/{}_pixels0.png", "idx_427/train.txt", "{}"),
    "images (NUDT-SIRST)": ("images/{}.png", "masks/{}.png", "50_50/train.txt", "{}"),
    "images (BasicIRSTD)": ("images/{}.png", "masks/{}.png", "img_idx/train_NUDT-SIRST.txt", "{}"),
    "images (imgs)": ("imgs/{}.jpg", "masks/{}_mask.gif", "train.txt", "{}"),
    "images (capitals)": ("Images/{}.JPG", "Labels/{}.PNG", "splits/train.txt", "{}"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_picture_and_mask_of_the_training_names(tmp_path, layout):
    image, truth, names, called = LAYOUTS[layout]
    masks = {}
    for name in ("b_2", "a_1", "übung 3"):
        picture(tmp_path / image.format(name))
        masks[called.format(name)] = mask(tmp_path / truth.format(name))
    if names:
        text(tmp_path / names, "b_2", "", "a_1.png")
    dataset = SegmentationFolder(tmp_path, "train")
    assert dataset.layout == layout.split(" ")[0]
    expected = ["b_2", "a_1"] if names else [called.format(name) for name in sorted(["b_2", "a_1", "übung 3"])]
    assert dataset.names == expected and len(dataset) == len(expected)
    for item, name in zip(dataset, expected):
        assert item["name"] == name and item["image"].shape == (3, 12, 10) and item["image"].dtype == torch.float32
        assert 0 <= item["image"].min() and item["image"].max() <= 1
        assert item["mask"].dtype == torch.int64 and (item["mask"].numpy() == masks[name]).all()
    assert len(SegmentationFolder(tmp_path)) == (2 if layout == "voc" else 3)       # of VOC only what is listed has a mask


def test_pixels_come_through_exactly(tmp_path):
    pixels = picture(tmp_path / "images/a.png")
    mask(tmp_path / "masks/a.png")
    item = SegmentationFolder(tmp_path)[0]
    assert torch.equal(item["image"], torch.from_numpy(pixels).movedim(-1, 0) / 255) and item["image"].is_contiguous()
    grey = SegmentationFolder(tmp_path, channels=1)[0]["image"]
    luma = torch.from_numpy(pixels @ [0.299, 0.587, 0.114]).float()
    assert grey.shape == (1, 12, 10) and torch.allclose(grey[0] * 255, luma, atol=0.6)


def test_a_split_may_be_a_list_file_or_names_and_a_test_set_may_lack_masks(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"images/{name}.png")
    mask(tmp_path / "masks/a.png"), mask(tmp_path / "masks/b.png")
    text(tmp_path / "mine.txt", "b", "a")
    assert SegmentationFolder(tmp_path, tmp_path / "mine.txt").names == ["b", "a"]
    assert SegmentationFolder(tmp_path, ["a"]).names == ["a"]
    assert "mask" not in SegmentationFolder(tmp_path, ["c"], masks=False)[0]


def test_nnunet_channels_are_stacked_in_order(tmp_path):
    channels = [picture(tmp_path / f"imagesTr/case_7_000{i}.png", "L") for i in range(4)]
    mask(tmp_path / "labelsTr/case_7.png")
    item = SegmentationFolder(tmp_path, "train")[0]
    assert item["name"] == "train/case_7" and torch.equal(item["image"] * 255, torch.from_numpy(np.stack(channels)).float())


def test_pascal_voc_palette_and_border(tmp_path):
    picture(tmp_path / "JPEGImages/a.jpg")
    image = Image.fromarray(np.array([[0, 5], [20, 255]], np.uint8).repeat(6, 0).repeat(5, 1))
    image.putpalette([i % 256 for i in range(768)])
    (tmp_path / "SegmentationClass").mkdir()
    image.save(tmp_path / "SegmentationClass/a.png")
    assert SegmentationFolder(tmp_path, classes=21)[0]["mask"].unique().tolist() == [IGNORE, 0, 5, 20]


@pytest.mark.parametrize(("numbers", "values", "expected"), [
    ((0, 255), "binary", [0, 1]), ((0, 1), "binary", [0, 1]), ((0, 3, 250, 255), "binary", [0, 1]),
    ((0, 128, 255), {0: 0, 128: 1, 255: 2}, [0, 1, 2]), ((0, 2), None, [0, 2]),
])
def test_numbers_in_the_mask_files_become_classes(tmp_path, numbers, values, expected):
    picture(tmp_path / "images/a.png")
    raw = mask(tmp_path / "masks/a.png", numbers)
    got = SegmentationFolder(tmp_path, values=values)[0]["mask"]
    assert got.unique().tolist() == expected
    if values == "binary":
        assert ((got.numpy() == 1) == (raw > (127 if max(numbers) > 1 else 0))).all()


def test_transform_sees_bytes_and_gives_the_same_sample_in_every_run(tmp_path):
    for name in "abcd":
        picture(tmp_path / f"images/{name}.png", size=(40, 50)), mask(tmp_path / f"masks/{name}.png", size=(40, 50))
    seen = []
    SegmentationFolder(tmp_path, transform=lambda item: seen.append(item["image"].dtype) or item)[0]
    assert seen == [torch.uint8]
    dataset = SegmentationFolder(tmp_path, transform=Augment(16, rotate=20, scale=(0.5, 2), jitter=0.2), seed=3)
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append(torch.cat([batch["image"] for batch in DataLoader(dataset, 2, num_workers=epoch)]))
    assert torch.equal(epochs[0], epochs[2]) and not torch.equal(epochs[0], epochs[1])
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[2]["image"], dataset[2]["image"])
    assert torch.equal(dataset[-1]["image"], dataset[3]["image"])


def test_cache_gives_the_same_and_notices_a_change(tmp_path):
    root, kept = tmp_path / "set", tmp_path / "cache"
    first, _ = picture(root / "images/a.png"), mask(root / "masks/a.png", (0, 255))
    plain, cached = SegmentationFolder(root, values="binary"), SegmentationFolder(root, values="binary", cache=kept)
    for _ in range(2):
        for key in ("image", "mask"):
            assert torch.equal(plain[0][key], cached[0][key])
    assert len(list(kept.iterdir())) == 2
    entry = next(path for path in kept.iterdir() if path.stat().st_size > 400)
    entry.write_bytes(b"half")                                                      # a damaged entry is made anew
    assert torch.equal(plain[0]["image"], cached[0]["image"])
    os.utime(root / "images/a.png", ns=(1, 1))
    picture(root / "images/a.png")
    assert torch.equal(plain[0]["image"], cached[0]["image"])
    assert not torch.allclose(cached[0]["image"] * 255, torch.from_numpy(first).movedim(-1, 0).float())


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path, monkeypatch):
    pixels = picture(tmp_path / "a.png")
    cache = DecodedCache(tmp_path / "cache")

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np, "save", full)
    got = cache((tmp_path / "a.png",), "x", lambda: read_picture(tmp_path / "a.png"))
    assert torch.equal(got, torch.from_numpy(pixels).movedim(-1, 0)) and not list((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(("layout", "listed"), [("{}/{}.png", None), ("train/{}/{}.png", None),
                                                ("images/{}/{}.png", "meta/train.txt")])
def test_classification_folders(tmp_path, layout, listed):
    for label in ("cat", "ant", "bee"):
        for name in ("1", "2"):
            picture(tmp_path / layout.format(label, name))
    if listed:
        text(tmp_path / listed, "bee/2", "cat/1")
    dataset = ClassificationFolder(tmp_path, "train" if listed or "train" in layout else None)
    assert dataset.classes == ["ant", "bee", "cat"]
    assert dataset.labels == ([1, 2] if listed else [0, 0, 1, 1, 2, 2])
    item = dataset[0]
    assert set(item) == {"image", "label", "name"} and item["label"] == dataset.labels[0] and type(item["label"]) is int
    batch = next(iter(DataLoader(dataset, len(dataset))))
    assert batch["label"].tolist() == dataset.labels and batch["image"].shape == (len(dataset), 3, 12, 10)


# ---- files ---------------------------------------------------------------------------------------------------------

def test_every_mode_is_read_as_the_table_says(tmp_path):
    colour = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8))
    grey, alpha = colour.convert("L"), Image.fromarray(np.array([[0, 128, 255, 255, 255]] * 6, np.uint8))
    deep = rng.integers(0, 65536, (6, 5), dtype=np.uint16)
    rgba = Image.merge("RGBA", (*colour.split(), alpha))
    a = np.asarray(alpha, np.float64)[..., None] / 255
    on_white = np.asarray(colour) * a + 255 * (1 - a)
    palette = colour.quantize(16)
    cases = {
        "L.png": (grey, np.asarray(grey)[..., None].repeat(3, -1), 0),
        "1.png": (grey.point(lambda v: 255 * (v > 99), "1"), 255 * (np.asarray(grey) > 99)[..., None].repeat(3, -1), 0),
        "P.png": (palette, np.asarray(palette.convert("RGB")), 0),
        "RGBA.png": (rgba, on_white, 1),
        "LA.png": (Image.merge("LA", (grey, alpha)), (np.asarray(grey)[..., None] * a + 255 * (1 - a)).repeat(3, -1), 1),
        "CMYK.tif": (colour.convert("CMYK"), np.asarray(colour), 0),
        "I16.png": (Image.fromarray(deep), deep[..., None].repeat(3, -1) / 65535, 1e-6),
        "F.tif": (Image.fromarray(np.float32(deep) - 9), (np.float32(deep) - 9)[..., None].repeat(3, -1), 0),
    }
    for name, (image, expected, tolerance) in cases.items():
        image.save(tmp_path / name)
        got = read_picture(tmp_path / name)
        assert got.shape == (3, 6, 5) and got.dtype == (torch.float32 if name[0] in "IF" else torch.uint8), name
        assert np.abs(got.movedim(0, -1).double().numpy() - expected).max() <= tolerance, name
        assert read_picture(tmp_path / name, 1).shape == (1, 6, 5)
        has = 1 if name.split(".")[0] in ("L", "1", "LA", "I16", "F") else 3
        assert len(read_picture(tmp_path / name, None)) == has, name
    opaque = Image.merge("RGBA", (*colour.split(), Image.new("L", colour.size, 255)))
    opaque.save(tmp_path / "opaque.png")
    assert (read_picture(tmp_path / "opaque.png").movedim(0, -1).numpy() == np.asarray(colour)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_exif_says_which_side_is_up(tmp_path, orientation, ending):
    """The left half is white; after EXIF's turn the white side is where PIL's own exif_transpose puts it."""
    from PIL import ImageOps

    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    pixels[:8, :16, 0] = 0
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned ö.{ending}"
    image.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if ending == "jpg" else {}))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert (read_picture(path).movedim(0, -1).numpy() == expected).all()
    assert picture_size(path) == expected.shape[:2] == ((32, 16) if orientation >= 5 else (16, 32))


def test_masks_in_colours_need_a_table(tmp_path):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[1:3] = (255, 0, 9)
    Image.fromarray(pixels).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", {(0, 0, 0): 0, (255, 0, 9): 7}).unique().tolist() == [0, 7]
    with pytest.raises(ValueError, match="expected class numbers in .*m.png, got a picture in colours"):
        read_mask(tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"expected only the 1 colours given in .*m.png, got \(255, 0, 9\)"):
        read_mask(tmp_path / "m.png", {(0, 0, 0): 0})
    Image.fromarray(pixels[:, :, 0]).convert("RGB").save(tmp_path / "grey.png")
    assert read_mask(tmp_path / "grey.png").unique().tolist() == [0, 255]
    Image.fromarray(pixels[:, :, 0] > 0).save(tmp_path / "bits.png")
    assert read_mask(tmp_path / "bits.png").unique().tolist() == [0, 1]


@pytest.mark.parametrize(("content", "message"), [
    (b"", "an empty file"), (b"not a picture", "cannot identify"), (None, "truncated"),
])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_bad_file_is_named(tmp_path, content, message, ending):
    path = tmp_path / f"bad é.{ending}"
    picture(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[:1500] if content is None else content)
    for read in (read_picture, read_mask):
        with pytest.raises(ValueError, match=rf"expected a complete picture in .*bad é.{ending}, got a damaged") as caught:
            read(path)
        assert message in str(caught.value).lower() or content is None
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="expected a picture at .*nowhere.png, found no file"):
        read_picture(tmp_path / "nowhere.png")


def test_a_huge_picture_says_how_to_allow_it(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(ValueError, match="if you trust the file, set PIL.Image.MAX_IMAGE_PIXELS = None"):
        read_picture(tmp_path / "a.png")


# ---- what is wrong is said when the set is built ---------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.png")
        mask(tmp_path / f"masks/{name}.png", (0, 2))
    text(tmp_path / "train.txt", "a")
    return tmp_path


@pytest.mark.parametrize(("spoil", "options", "message"), [
    (lambda f: picture(f / "images/c.png"), {}, "a mask for every picture .* got 1 without one: c; dlnotes.data.check"),
    (lambda f: text(f / "train.txt", "a", "x", "y", "z", "u"), {"split": "train"}, "got 4 without one: x, y, z and 1 more"),
    (lambda f: picture(f / "images/a.jpg"), {}, "expected one picture of each name .* got 1 with two files: a"),
    (lambda f: mask(f / "masks/a.bmp"), {}, "expected one mask of each name"),
    (lambda f: text(f / "train.txt"), {"split": "train"}, "expected pictures in .* found none"),
    (lambda f: (f / "train.txt").write_bytes(b"caf\xe9"), {"split": "train"}, "in UTF-8 in .*train.txt, got byte 0xe9 at 3"),
    (None, {"split": "val"}, "expected split to be one of 'train', got 'val'"),
    (None, {"layout": "coco"}, "expected layout to be one of 'voc'"),
    (None, {"layout": "voc"}, "expected one of these layouts in .*JPEGImages.* got images/, masks/, train.txt"),
    (None, {"channels": 2}, "expected channels to be 1, 3 or None, got 2"),
    (None, {"values": "yes"}, "expected values to be None, 'binary' or a dict, got 'yes'"),
    (None, {"transform": 3}, "expected a transform that takes a dict"),
    (None, {"seed": "x"}, "expected seed to be an integer of at least 0"),
])
def test_errors_when_building(folder, spoil, options, message):
    if spoil:
        spoil(folder)
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        SegmentationFolder(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spoil", "options", "message"), [
    (lambda f: mask(f / "masks/a.png", size=(12, 11)), {},
     r"expected a mask of \(12, 10\) pixels for .*a.png, got \(12, 11\) in .*a.png"),
    (None, {"classes": 2}, r"expected classes from 0 to 1 in .*masks.a.png, got \[2\]"),
    (None, {"values": {0: 0, 1: 1}}, r"expected only the numbers \[0, 1\] in .*masks.a.png, got \[2\]"),
])
def test_errors_while_reading_name_the_file(folder, spoil, options, message):
    if spoil:
        spoil(folder)
    with pytest.raises(ValueError, match=message):
        SegmentationFolder(folder, **options)[0]


def test_missing_folders_and_empty_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match="survey: expected a folder at .*none"):
        SegmentationFolder(tmp_path / "none")
    with pytest.raises(ValueError, match="got nothing; rename the folders"):
        survey(tmp_path)
    with pytest.raises(ValueError, match="expected folders of pictures in .*, one for each class, got no folder"):
        ClassificationFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="survey_classes: expected a folder"):
        ClassificationFolder(tmp_path / "none")


# ---- splits and weights ----------------------------------------------------------------------------------------------

@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 12), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 99))
def test_no_group_is_on_both_sides_and_folds_are_as_even_as_scikit_learns(groups, folds, seed):
    if len(set(groups)) < folds:
        return
    names = [f"n{i}" for i in range(len(groups))]
    of = dict(zip(names, groups))
    made = split_names(names, folds=folds, groups=of, seed=seed)
    held_out = [name for _, part in made for name in part]
    assert sorted(held_out) == sorted(names)                                        # each name is held out once
    for train, part in made:
        assert sorted(train + part) == sorted(names) and part
        assert not {of[name] for name in train} & {of[name] for name in part}
    from sklearn.model_selection import GroupKFold
    theirs = [len(test) for _, test in GroupKFold(folds).split(names, groups=groups)]
    assert sorted(len(part) for _, part in made) == sorted(theirs)
    assert made == split_names(names, folds=folds, groups=groups, seed=seed)
    assert made == split_names(names, folds=folds, groups=of.__getitem__, seed=seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(3, 200), st.integers(0, 99))
def test_parts_have_their_share(n, seed):
    names = [str(i) for i in range(n)]
    parts = split_names(names, parts={"train": 8, "val": 1, "test": 1}, seed=seed)
    assert sorted(sum(parts.values(), []), key=int) == names and all(parts.values())
    for part, share in zip(parts.values(), (0.8, 0.1, 0.1)):
        assert part == sorted(part, key=int) and abs(len(part) - share * n) <= 2
    if n > 20:
        assert parts != split_names(names, parts={"train": 8, "val": 1, "test": 1}, seed=seed + 1)


def test_lists_of_names_survive_writing_and_are_never_replaced(tmp_path):
    names = ["a b", "übung", "sub/c", "d.1"]
    path = write_names(tmp_path / "train.txt", names)
    assert read_names(path) == names
    with pytest.raises(FileExistsError, match="expected a new file, got .*train.txt, which exists"):
        write_names(path, ["x"])
    assert read_names(path) == names
    path.write_bytes("﻿a.png\r\nsub\\b.JPG\r\n".encode())
    assert read_names(path) == ["a", "sub/b"]                                       # as Windows writes it


def test_weights_against_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2, 3], [350, 100, 45, 5])
    counts = torch.bincount(torch.from_numpy(labels))
    theirs = torch.from_numpy(compute_class_weight("balanced", classes=np.arange(4), y=labels)).float()
    assert torch.allclose(class_weights(counts), theirs / theirs.mean(), rtol=1e-5)
    ratio = class_weights(counts, 0.5) ** 2 / class_weights(counts)
    assert torch.allclose(ratio, ratio[0], rtol=1e-4)                               # half way on a logarithmic scale
    assert torch.equal(class_weights(counts, 0.0), torch.ones(4))
    assert class_weights(torch.tensor([5, 0, 5])).tolist() == [1, 0, 1]
    drawn = torch.utils.data.WeightedRandomSampler(sample_weights(labels), 8000, generator=torch.Generator().manual_seed(0))
    seen = torch.bincount(torch.from_numpy(labels)[list(drawn)]) / 8000
    assert (seen - 0.25).abs().max() < 0.03


def test_pixel_counts(folder):
    dataset = SegmentationFolder(folder)
    expected = torch.bincount(torch.cat([item["mask"].flatten() for item in (dataset[0], dataset[1])]), minlength=3)
    assert torch.equal(pixel_counts(dataset, 3), expected)
    with pytest.raises(ValueError, match=r"expected classes from 0 to 1, got 2 in sample 0 \(a\)"):
        pixel_counts(dataset, 2)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: split_names(["a", "a"], folds=2), "expected every name once, got 'a' more than once"),
    (lambda: split_names(["a", "b"]), "expected either folds or parts"),
    (lambda: split_names(["a", "b"], folds=1), "expected folds to be an integer of at least 2, got 1"),
    (lambda: split_names(["a", "b"], parts={"train": 1}), "expected parts as two or more shares"),
    (lambda: split_names(["a", "b"], folds=2, groups=[1, 1]), "expected at least 2 groups for 2 parts, got 1"),
    (lambda: split_names(["a", "b"], folds=2, groups=[1]), "expected one group for each of 2 names, got 1"),
    (lambda: split_names(["a", "b"], folds=2, groups={"a": 1}), "got none for 1, first 'b'"),
    (lambda: class_weights([0, 0]), "expected counts"),
    (lambda: read_names("no.txt"), "expected a list of names at no.txt, found no file"),
    (lambda: read_picture("x.png", 4), "expected channels to be 1, 3 or None, got 4"),
    (lambda: data.SegmentatoinFolder, "module 'dlnotes.data' has no attribute 'SegmentatoinFolder'; it offers"),
])
def test_bad_arguments_are_answered_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError, AttributeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_every_public_name_is_there_and_importing_is_light():
    import subprocess
    import sys

    for name in data.__all__:
        assert getattr(data, name) is not None
    heavy = {"torchvision", "PIL", "sklearn", "skimage", "matplotlib", "scipy", "tifffile", "pooch"}
    code = ("import sys, torch; before = set(sys.modules)\n"
            "from dlnotes.data import SegmentationFolder, Augmented, pad_collate, tiles, check_dataset, normalize\n"
            "print(*{m.split('.')[0] for m in set(sys.modules) - before})")
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & heavy
