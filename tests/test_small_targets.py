"""Small targets: a mask of exactly the asked area, the asked contrast, splits that share nothing, folders that read back."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from dlnotes.data import small_targets
from dlnotes.data.folders import SegmentationFolder
from dlnotes.data.small_targets import SCENES, SmallTargets, write_sirst
from dlnotes.metrics import RegionDetection

EIGHT = np.ones((3, 3))


@pytest.mark.parametrize("split", ["train", "held-out"])
def test_an_item_is_a_picture_a_mask_and_a_name(split):
    pictures = SmallTargets(split, 40, shape=(96, 128))
    for i in range(40):
        item = pictures[i]
        image, mask = item["image"], item["mask"]
        assert image.shape == (1, 96, 128) and image.dtype == torch.float32 and 0 <= image.min() and image.max() <= 1
        assert mask.shape == (96, 128) and mask.dtype == torch.int64 and set(mask.unique().tolist()) <= {0, 1}
        assert item["name"] == f"{split}_{i:05d}" and image.std() > 0.005


@pytest.mark.parametrize("area", [2, 3, 7, 30, 100])
def test_every_target_has_exactly_the_asked_pixels_in_one_piece_and_none_touch(area):
    pictures = SmallTargets("train", 60, shape=(160, 160), targets=(0, 4), area=area)
    counts = set()
    for i in range(60):
        mask = pictures.parts(i)["mask"].numpy()
        pieces, count = label(mask > 0, EIGHT)
        assert count == mask.max()
        assert all((mask == n).sum() == area and len(np.unique(pieces[mask == n])) == 1 for n in range(1, count + 1))
        counts.add(count)
    assert counts == {0, 1, 2, 3, 4}


def test_the_mask_is_where_the_target_has_at_least_half_of_its_peak():
    """One target on nothing: seen alone, its mask is a threshold, and the brightest pixel is inside."""
    pictures = SmallTargets("train", 50, targets=1, area=(5, 30), scr=8.0)
    for i in range(50):
        light, mask = pictures.parts(i)["targets"], pictures[i]["mask"] > 0
        assert light[mask].min() > light[~mask].max()
        assert 0.5 <= light[mask].min() / light.max() < 0.75               # the peak itself lies between pixels


def test_the_contrast_is_the_asked_one_by_its_definition():
    """(mean on the target - mean around it) / standard deviation around it, around taken without the target."""
    pictures = SmallTargets("train", 40, targets=1, scr=(2.0, 9.0), clutter=0.7)
    checked = 0
    for i in range(40):
        parts = pictures.parts(i)
        mask, background = parts["mask"].numpy() > 0, parts["background"].numpy()
        rows, columns = np.nonzero(mask)
        far = np.ones_like(mask)                                           # 20 pixels around, measured pixel by pixel
        for r, c in zip(rows, columns):
            far[max(r - 20, 0):r + 21, max(c - 20, 0):c + 21] = False
        around = background[~far & ~mask]
        measured = ((background + parts["targets"].numpy())[mask].mean() - around.mean()) / around.std()
        if parts["targets"].max() > 0:                                     # the place may be brighter already
            assert measured == pytest.approx(parts["scr"].item(), rel=1e-9)
            checked += 1
    assert checked > 30


def test_hot_pixels_are_bright_alone_and_not_in_the_mask():
    plain = SmallTargets("train", 5, kinds="sky", targets=0, hot_pixels=0, clutter=0.0, noise=0.0)
    hot = SmallTargets("train", 5, kinds="sky", targets=0, hot_pixels=4, clutter=0.0, noise=0.0)
    for i in range(5):
        difference = hot.parts(i)["background"] - plain.parts(i)["background"]
        assert 1 <= (difference > 0.1).sum() <= 4 and hot[i]["mask"].sum() == 0


def test_clutter_and_noise_are_what_they_say():
    flat = SmallTargets("train", 3, kinds="skyline", targets=0, hot_pixels=0, clutter=0.0, noise=0.05)
    assert flat.parts(0)["background"].std().item() == pytest.approx(0.05, rel=0.02)
    busy = SmallTargets("train", 3, kinds="waves", targets=0, hot_pixels=0, clutter=1.0, noise=0.0)
    calm = SmallTargets("train", 3, kinds="waves", targets=0, hot_pixels=0, clutter=0.25, noise=0.0)
    assert busy.parts(1)["background"].std().item() == pytest.approx(4 * calm.parts(1)["background"].std().item(), rel=1e-6)


def test_picture_i_is_the_same_in_every_run_and_another_for_another_seed():
    a, b = SmallTargets("train", 10, shape=(64, 64))[7], SmallTargets("train", 5000, shape=(64, 64))[7]
    assert torch.equal(a["image"], b["image"]) and torch.equal(a["mask"], b["mask"])
    assert not torch.equal(a["image"], SmallTargets("train", 10, seed=1, shape=(64, 64))[7]["image"])
    assert not torch.equal(a["image"], SmallTargets("held-out", 10, shape=(64, 64))[7]["image"])


def test_the_numbers_are_these_on_every_platform():
    item = SmallTargets("held-out", 10, shape=(64, 64), kinds="water")[4]
    rows, columns = np.nonzero(item["mask"].numpy())
    assert (len(rows), int(rows.sum()), int(columns.sum())) == (40, 1917, 642)
    assert item["image"].double().mean().item() == pytest.approx(0.2556175, abs=1e-5)


def test_splits_share_no_pixel_of_background(monkeypatch):
    """Photographs that are 1 where held-out pictures come from and 0 elsewhere: each part is constant."""
    for scene in SCENES:
        start, end = scene.columns
        edge = start + round((end - start) * 0.7)
        marked = torch.zeros(1, 600, 700, dtype=torch.uint8)
        marked[..., edge:] = 200
        monkeypatch.setattr(small_targets, "load_sample", lambda name, channels, m=marked: m)
        seen = [small_targets._scene.__wrapped__(scene, split) for split in ("train", "held-out")]
        assert all(part.std() == 0 for part in seen)
        assert seen[0].shape[-1] + seen[1].shape[-1] == end - start


def test_a_threshold_finds_bright_targets_in_a_calm_sky_and_cries_wolf_at_a_skyline():
    """What Pd and Fa are for: the same detector, two backgrounds."""
    scores = {}
    for kind in ("sky", "skyline"):
        seen = RegionDetection()
        pictures = SmallTargets("held-out", 30, kinds=kind, scr=10.0, area=(8, 30), shape=(128, 128), hot_pixels=0)
        for i in range(30):
            item = pictures[i]
            image = item["image"][0]
            seen.update((image > image.mean() + 4 * image.std())[None], item["mask"][None])
        scores[kind] = seen.compute()
    assert scores["sky"]["pd"] > 0.9 and scores["sky"]["fa"] < 1e-4
    assert scores["skyline"]["fa"] > 10 * scores["sky"]["fa"] and scores["skyline"]["pd"] < scores["sky"]["pd"]


@pytest.mark.parametrize("style, mask", [("nudt", "train_00001.png"), ("nuaa", "train_00001_pixels0.png")])
def test_a_written_folder_reads_back_the_same(tmp_path, style, mask):
    train, test = SmallTargets("train", 4, shape=(48, 64)), SmallTargets("held-out", 3, shape=(48, 64))
    folder = write_sirst(tmp_path / "sirst", train, test, style=style)
    assert (folder / "masks" / mask).is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sirst"]
    for split, source in (("train", train), ("test", test)):
        read = SegmentationFolder(folder, split, channels=1, values="binary")
        assert len(read) == len(source)
        for i in range(len(read)):
            assert read[i]["name"] == source[i]["name"] and torch.equal(read[i]["mask"], source[i]["mask"])
            assert (read[i]["image"] - source[i]["image"]).abs().max() <= 0.5 / 255 + 1e-6


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path):
    train = SmallTargets("train", 2, shape=(48, 64))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match="expected a folder that is new or empty"):
        write_sirst(tmp_path / "full", train, train)
    with pytest.raises(ValueError, match="expected every name once, got 'train_00000' twice"):
        write_sirst(tmp_path / "twice", train, train)
    assert [p.name for p in tmp_path.iterdir()] == ["full"] and (tmp_path / "full" / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("call, error, words", [
    (lambda: SmallTargets("test"), ValueError, "expected split 'train' or 'held-out', got 'test'"),
    (lambda: SmallTargets("train", 0), ValueError, "expected size to be an integer of at least 1, got 0"),
    (lambda: SmallTargets("train", 5, -1), ValueError, "expected seed"),
    (lambda: SmallTargets(shape=64), ValueError, r"expected shape to be \(height, width\), got 64"),
    (lambda: SmallTargets(shape=(16, 64)), ValueError, "expected height of shape to be an integer of at least 32, got 16"),
    (lambda: SmallTargets(area=1), ValueError, "expected area to be a whole number from 2 to 400"),
    (lambda: SmallTargets(area=(9, 3)), ValueError, r"got \(9, 3\)"),
    (lambda: SmallTargets(targets=1.5), ValueError, "expected targets to be a whole number of at least 0"),
    (lambda: SmallTargets(scr=-1.0), ValueError, "expected scr to be a number of at least 0"),
    (lambda: SmallTargets(kinds="sea"), ValueError,
     "expected kinds to be one of 'sky', 'skyline', 'water', 'waves', got 'sea'"),
    (lambda: SmallTargets(kinds=()), ValueError, "expected at least one kind"),
    (lambda: SmallTargets(noise=2.0), ValueError, "expected noise to be a number from 0 to 0.5"),
    (lambda: SmallTargets(size=5)[5], IndexError, "expected an index from 0 to 4, got 5"),
    (lambda: SmallTargets(shape=(32, 32), targets=30)[0], ValueError, "expected room for 30 targets"),
])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()
