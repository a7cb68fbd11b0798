"""check_dataset: every kind of defect is planted and found, a clean folder gives nothing, and nothing is ever touched."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlnotes.data import SegmentationFolder, check_dataset
from dlnotes.data.check import main
from dlnotes.data.report import KINDS


def scene(seed: int, size=(60, 80)) -> np.ndarray:
    """A smooth coloured picture (h, w, 3), unlike that of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def save(path: Path, pixels, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def blob(seed: int, values=(1, 2), size=(60, 80)) -> np.ndarray:
    """A mask (h, w) with one rectangle of each value on background 0."""
    mask = np.zeros(size, np.uint8)
    for i, value in enumerate(values):
        mask[5 + seed % 7:25 + seed % 7, 5 + 30 * i:25 + 30 * i] = value
    return mask


@pytest.fixture
def clean(tmp_path):
    """Ten pictures with masks of three classes, six for training and four for testing."""
    for i in range(10):
        save(tmp_path / f"images/p{i}.png", scene(i))
        save(tmp_path / f"masks/p{i}.png", blob(i))
    (tmp_path / "train.txt").write_text("".join(f"p{i}\n" for i in range(6)))
    (tmp_path / "test.txt").write_text("".join(f"p{i}\n" for i in range(6, 10)))
    return tmp_path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def relist(path: Path, *names: str) -> None:
    path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def with_exif(path: Path) -> None:
    image = Image.open(path)
    image.load()
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 65536, (60, 80), dtype=np.uint16)).save(path)


def repeat(f: Path, i: int, of: int) -> None:
    save(f / f"images/p{i}.png", scene(of)), save(f / f"masks/p{i}.png", blob(of))


def darker(f: Path) -> None:
    """The same scene a little darker, smaller and as JPEG: equal to the eye, not to a hash of its pixels."""
    Image.fromarray((scene(0) * 0.9).astype(np.uint8)).resize((70, 52)).save(f / "images/p7.jpg", quality=80)
    (f / "images/p7.png").unlink()
    save(f / "masks/p7.png", blob(7, size=(52, 70)))


PAIR = ("images", "masks")
DEFECTS = {
    # kind: (what is done to the clean folder, files that must be named, arguments)
    "unreadable": (lambda f: truncate(f / "images/p3.png"), "images/p3.png", {}),
    "missing mask": (lambda f: (f / "masks/p2.png").unlink(), "images/p2.png", {}),
    "size mismatch": (lambda f: save(f / "masks/p4.png", blob(4, size=(60, 81))), "masks/p4.png", {}),
    "unexpected mask value": (lambda f: save(f / "masks/p4.png", blob(4, (1, 2, 77))), "masks/p4.png", {"classes": 3}),
    "listed without file": (lambda f: relist(f / "train.txt", *[f"p{i}" for i in range(6)], "ghost"), "ghost", {}),
    "in two splits": (lambda f: relist(f / "test.txt", *[f"p{i}" for i in range(5, 10)]), "p5", {}),
    "duplicate across splits": (lambda f: repeat(f, 8, of=1), "images/p8.png", {}),
    "contradiction": (lambda f: save(f / "images/p2.png", scene(1)), "images/p2.png", {}),
    "ambiguous name": (lambda f: save(f / "images/p1.bmp", scene(1)), "images/p1.bmp", {}),
    "unreadable list": (lambda f: (f / "test.txt").write_bytes(b"p6\ncaf\xe9\n"), "test.txt", {}),
    "probably unexpected mask value": (lambda f: save(f / "masks/p4.png", blob(4, (1, 2, 77))), "masks/p4.png", {}),
    "near duplicate across splits": (darker, "images/p7.jpg", {}),
    "duplicate": (lambda f: repeat(f, 3, of=1), "images/p3.png", {}),
    "mask without picture": (lambda f: save(f / "masks/stray.png", blob(0)), "masks/stray.png", {}),
    "empty mask": (lambda f: save(f / "masks/p6.png", np.zeros((60, 80), np.uint8)), "masks/p6.png", {}),
    "empty class": (lambda f: [save(f / f"masks/p{i}.png", blob(i, (1,))) for i in range(6, 10)], "class 2 in test", {}),
    "blank picture": (lambda f: save(f / "images/p3.png", np.full((60, 80, 3), 9, np.uint8)), "images/p3.png", {}),
    "mixed modes": (lambda f: save(f / "images/p3.png", scene(3)[:, :, 0]), "images/p3.png", {}),
    "mixed bit depths": (lambda f: sixteen_bits(f / "images/p3.png"), "images/p3.png", {}),
    "turned picture": (lambda f: with_exif(f / "images/p3.png"), "images/p3.png", {}),
    "odd name": (lambda f: [(f / s / "p3.png").rename(f / s / "p 3ü.png") for s in PAIR], "images/p 3ü.png", {}),
    "name collision": (lambda f: [save(f / PAIR[0] / "P3.png", scene(33)), save(f / PAIR[1] / "P3.png", blob(3))],
                       "images/P3.png", {}),
    "listed twice": (lambda f: relist(f / "test.txt", "p6", "p7", "p8", "p9", "p9"), "p9", {}),
    "empty list": (lambda f: relist(f / "test.txt"), "test.txt", {}),
    "near duplicate": (lambda f: save(f / "images/p3.png", (scene(1) * 0.9).astype(np.uint8)), "images/p3.png", {}),
    "not listed": (lambda f: [save(f / "images/q.png", scene(50)), save(f / "masks/q.png", blob(0))], "images/q.png", {}),
    "split without masks": (lambda f: [(f / f"masks/p{i}.png").unlink() for i in range(6, 10)], "test", {}),
    "other file": (lambda f: (f / "images/Thumbs.db").write_bytes(b"x"), "images/Thumbs.db", {}),
}


def named(report, kind: str) -> str:
    return " | ".join(" ".join(finding.files) + " " + finding.detail for finding in report.of(kind))


def test_a_clean_folder_gives_nothing(clean):
    for options in ({}, {"classes": 3}, {"values": {0, 1, 2}}):
        report = check_dataset(clean, **options)
        assert report.findings == [] and report.ok and report.exit_status(strict=True) == 0
    assert (report.task, report.layout, report.pictures, report.masks) == ("segmentation", "images", 10, 10)
    assert report.splits == {"test": 4, "train": 6}
    assert str(report).endswith("0 errors, 0 warnings, 0 notes")


@pytest.mark.parametrize("kind", DEFECTS)
def test_each_defect_is_found_where_it_is(clean, kind):
    if kind == "name collision" and (clean / "IMAGES").exists():
        pytest.skip("this file system does not tell cases apart")
    spoil, where, options = DEFECTS[kind]
    spoil(clean)
    report = check_dataset(clean, **options)
    assert where in named(report, kind)
    assert len(report.of(kind)) == 1 or kind in ("odd name", "name collision", "not listed")
    assert report.exit_status() == (1 if report.of("error") else 0)
    if KINDS[kind][0] == "error":
        assert not report.ok and report.exit_status() == 1
    if KINDS[kind][0] == "warning":
        assert report.exit_status(strict=True) == 1
    assert kind in report.text() and where.split("/")[-1] in report.text(None)


def test_every_kind_has_its_defect():
    assert set(DEFECTS) == set(KINDS) - {"not searched"}


def test_all_defects_at_once_are_all_in_one_report(clean):
    """One bad file never hides another: everything that can stand beside everything else is spoiled at one time."""
    for i in range(10, 24):
        save(clean / f"images/p{i}.png", scene(i)), save(clean / f"masks/p{i}.png", blob(i))
    truncate(clean / "images/p10.png")
    (clean / "images/p11.png").write_bytes(b"")
    truncate(clean / "masks/p12.png")
    (clean / "masks/p13.png").unlink()
    save(clean / "masks/p14.png", blob(0, size=(30, 40)))
    save(clean / "masks/p15.png", blob(0, (1, 9)))
    save(clean / "images/p16.png", scene(0))
    save(clean / "images/p17.png", scene(17)[:, :, 0])
    sixteen_bits(clean / "images/p18.png")
    save(clean / "masks/p19.png", 0 * blob(0))
    (clean / "masks/p20.png").write_bytes((clean / "images/p20.png").read_bytes())  # a picture in place of a mask
    os.symlink(clean / "nowhere.png", clean / "images/p24.png")
    with_exif(clean / "images/p21.png")
    relist(clean / "train.txt", *[f"p{i}" for i in range(6)], "ghost", "p6")
    report = check_dataset(clean, classes=3)
    for kind, where in (("unreadable", "images/p10.png"), ("unreadable", "images/p11.png"), ("unreadable", "masks/p12.png"),
                        ("unreadable", "images/p24.png"), ("missing mask", "images/p13.png"),
                        ("missing mask", "images/p24.png"), ("size mismatch", "masks/p14.png"),
                        ("size mismatch", "before EXIF turns"), ("unexpected mask value", "masks/p15.png 9 on"),
                        ("unexpected mask value", "masks/p20.png a picture in colours"), ("contradiction", "images/p16.png"),
                        ("mixed modes", "images/p17.png"), ("mixed bit depths", "images/p18.png"),
                        ("empty mask", "masks/p19.png"), ("turned picture", "images/p21.png"),
                        ("listed without file", "ghost"), ("in two splits", "p6")):
        assert where in named(report, kind), kind
    assert "an empty file" in named(report, "unreadable")


def test_what_the_folder_class_refuses_is_an_error(clean):
    """And what it takes is none: the two agree."""
    def reads() -> bool:
        try:
            for split in ("train", "test"):
                dataset = SegmentationFolder(clean, split, classes=3)
                for i in range(len(dataset)):
                    dataset[i]
            return True
        except (ValueError, FileNotFoundError):
            return False

    assert reads() and check_dataset(clean, classes=3).ok
    backup = {path: path.read_bytes() for path in clean.rglob("*.*") if path.is_file()}
    for kind in ("unreadable", "missing mask", "size mismatch", "unexpected mask value", "listed without file",
                 "ambiguous name", "unreadable list"):
        DEFECTS[kind][0](clean)
        assert not reads() and not check_dataset(clean, classes=3).ok, kind
        for path in [p for p in clean.rglob("*.*") if p.is_file() and p not in backup]:
            path.unlink()
        for path, content in backup.items():
            path.write_bytes(content)
    assert reads()


# ---- what masks hold -------------------------------------------------------------------------------------------------

def masks_of(folder: Path, *values: tuple[int, ...], ending="png", **options) -> Path:
    for i, these in enumerate(values):
        save(folder / f"images/p{i}.png", scene(i))
        save(folder / f"masks/p{i}.{ending}", blob(i, these), **options)
    return folder


@pytest.mark.parametrize(("values", "options", "expected"), [
    ([(255,)] * 5, {}, {}),
    ([(255,)] * 5, {"values": "binary"}, {}),
    ([(1,)] * 5, {"values": "binary"}, {}),
    ([(255,)] * 5, {"classes": 2}, {"unexpected mask value": 5, "empty class": 1, "empty mask": 5}),
    ([(255,)] * 5, {"classes": 1, "ignore": 255}, {"empty mask": 5}),
    ([(128,)] * 5, {}, {}),
    ([(1, 3)] * 5, {}, {"empty class": 1}),
    ([(1, 2, 255)[:2 + i % 2] for i in range(5)], {}, {}),
    ([(1, 2)] * 4 + [(1, 7)], {}, {"probably unexpected mask value": 1}),
    ([(255,)] * 4 + [(1,)], {}, {"probably unexpected mask value": 1, "empty mask": 1}),
    ([(255,)] * 4 + [(1,)], {"values": "binary"}, {"unexpected mask value": 1, "empty mask": 1}),
    ([(7,)] * 4, {"values": {0, 7, 9}}, {"empty class": 1}),
])
def test_numbers_in_masks(tmp_path, values, options, expected):
    report = check_dataset(masks_of(tmp_path, *values), near=False, **options)
    assert {kind: len(report.of(kind)) for kind in KINDS if report.of(kind)} == expected


def test_masks_saved_as_jpeg_are_told_so(tmp_path):
    folder = masks_of(tmp_path, *[(255,)] * 4, ending="jpg", quality=60)
    report = check_dataset(folder, values={0, 255}, near=False)
    assert len(report.of("unexpected mask value")) == 4 and "JPEG blurs numbers" in named(report, "unexpected mask value")
    report = check_dataset(folder, values="binary", near=False)                     # SegmentationFolder reads them so
    assert len(report.of("probably unexpected mask value")) == 4 and report.ok
    assert SegmentationFolder(folder, values="binary")[0]["mask"].unique().tolist() == [0, 1]


def test_pascal_voc_pictures_without_segmentation_are_no_defect(tmp_path):
    for i in range(4):
        save(tmp_path / f"JPEGImages/{i}.jpg", scene(i))
    for i in range(2):
        save(tmp_path / f"SegmentationClass/{i}.png", blob(i, (1, 255)))
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    relist(lists / "train.txt", "0"), relist(lists / "val.txt", "1"), relist(lists / "trainval.txt", "0", "1")
    report = check_dataset(tmp_path, classes=2)
    assert report.ok and not report.of("warning") and {f.kind for f in report.findings} == {"not listed"}


# ---- duplicates --------------------------------------------------------------------------------------------------------

def test_equal_pixels_are_found_in_another_format_and_mode(clean):
    Image.fromarray(scene(0)).save(clean / "images/p9.tif")
    (clean / "images/p9.png").unlink()
    grey = scene(1)[:, :, 0]
    save(clean / "images/p1.png", grey), save(clean / "images/p8.png", grey[:, :, None].repeat(3, 2))
    found = [set(f.files) for f in check_dataset(clean).of("duplicate across splits")]
    assert {"images/p0.png", "images/p9.tif"} in found and {"images/p1.png", "images/p8.png"} in found


def test_real_pictures_alike_and_not(tmp_path):
    """Photographs of scikit-image beside smaller, flatter copies in JPEG: each is found, and no two others are."""
    from skimage import data

    names = ("astronaut", "camera", "coffee", "chelsea", "rocket", "brick", "grass", "gravel", "coins", "page")
    for name in names:
        image = Image.fromarray(getattr(data, name)())
        save(tmp_path / f"train/a/{name}.png", np.asarray(image))
        smaller = image.resize((image.width * 2 // 3, image.height * 2 // 3)).point(lambda v: int(v * 0.8 + 20))
        save(tmp_path / f"test/a/{name}_copy.jpg", np.asarray(smaller), quality=60)
    report = check_dataset(tmp_path)
    pairs = [sorted(Path(file).stem for file in finding.files) for finding in report.of("near duplicate across splits")]
    assert sorted(pairs) == sorted([name, f"{name}_copy"] for name in names)
    assert report.task == "classification" and not report.of("near duplicate")


def test_equal_hashes_alone_make_no_near_duplicate(tmp_path):
    """Everywhere brighter to the right: one bit pattern, and two pictures that nobody would confuse."""
    y, x = np.mgrid[:64, :72]
    save(tmp_path / "train/a/across.png", np.uint8(20 + 3 * x))
    save(tmp_path / "test/a/down.png", np.uint8(20 + x // 2 + 3 * y))
    save(tmp_path / "test/a/brighter.png", np.uint8(30 + 3 * x))
    found = [sorted(Path(file).stem for file in finding.files) for finding in check_dataset(tmp_path).findings
             if "duplicate" in finding.kind]
    assert found == [["across", "brighter"]]


def test_a_picture_with_nan_is_no_picture(clean):
    for value, name in ((np.nan, "p0"), (np.inf, "p7")):
        pixels = np.ones((60, 80), np.float32)
        pixels[3, 4] = value
        (clean / f"images/{name}.png").unlink()
        save(clean / f"images/{name}.tif", pixels)
    report = check_dataset(clean)
    assert [f.files for f in report.of("unreadable")] == [("images/p0.tif",), ("images/p7.tif",)]
    assert all("NaN or infinite" in f.detail for f in report.of("unreadable")) and not report.ok


# ---- classification ----------------------------------------------------------------------------------------------------

def test_classification_folders(tmp_path):
    for split, label, seed in (("train", "ant", 0), ("train", "bee", 1), ("test", "ant", 2), ("train", "ant", 3)):
        save(tmp_path / split / label / f"{seed}.png", scene(seed))
    (tmp_path / "train/cow").mkdir()
    save(tmp_path / "test/ant/9.png", scene(1))                                     # a bee in the training set
    report = check_dataset(tmp_path)
    assert named(report, "contradiction").endswith("ant, bee") and report.of("duplicate across splits")
    assert {f.detail for f in report.of("empty class")} == {"class 'cow'", "class 'bee' in test"}
    assert report.to_dict()["task"] == "classification" and report.pictures == 5


# ---- nothing is touched, nothing is fatal --------------------------------------------------------------------------------

def state(folder: Path) -> dict:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_mode, p.stat().st_size,
                     hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else sorted(os.listdir(p)))
            for p in [folder, *folder.rglob("*")]}


def test_nothing_is_modified_and_a_read_only_folder_works(clean):
    truncate(clean / "images/p3.png"), with_exif(clean / "images/p4.png"), (clean / "train.txt").write_bytes(b"\xff")
    for path in [*clean.rglob("*"), clean]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = state(clean)
    try:
        assert not check_dataset(clean).ok
        assert main([str(clean), "--json"]) == 1
        assert state(clean) == before
    finally:
        for path in [clean, *clean.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("seed", range(25))
def test_no_damage_is_fatal(clean, seed):
    """Random bytes changed, or files cut, anywhere, lists too: a report comes, always."""
    random = np.random.default_rng(seed)
    files = sorted(p for p in clean.rglob("*") if p.is_file())
    for path in random.choice(files, 4, replace=False):
        content = bytearray(path.read_bytes())
        if random.random() < 0.5:
            content = content[:random.integers(0, len(content))]
        else:
            for place in random.integers(0, len(content), 5):
                content[place] = random.integers(0, 256)
        path.write_bytes(content)
    report = check_dataset(clean)
    assert isinstance(report.text(), str)
    json.dumps(report.to_dict())


def test_the_folder_itself_must_make_sense(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        check_dataset(tmp_path / "none")
    with pytest.raises(ValueError, match="expected one of these layouts"):
        check_dataset(tmp_path)
    for options, message in (({"classes": 0}, "expected classes to be an integer of at least 1, got 0"),
                             ({"values": "both"}, "expected values to be 'binary' or numbers, got 'both'"),
                             ({"workers": 0}, "expected workers to be an integer of at least 1"),
                             ({"layout": "coco"}, "expected layout to be one of")):
        with pytest.raises(ValueError, match=message):
            check_dataset(tmp_path, **options)


def test_unknown_kinds_are_refused(clean):
    with pytest.raises(ValueError, match="expected a kind or a severity, got 'typo'"):
        check_dataset(clean).of("typo")


def test_from_the_command_line(clean, monkeypatch):
    def run(*arguments):
        command = [sys.executable, "-W", "error", "-m", "dlnotes.data.check", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")

    good = run(clean, "--classes", 3)
    assert good.returncode == 0 and "0 errors, 0 warnings" in good.stdout and not good.stderr
    (clean / "masks/p1.png").unlink()
    bad = run(clean, "--json")
    assert bad.returncode == 1
    content = json.loads(bad.stdout)
    assert content["findings"] == [{"kind": "missing mask", "severity": "error", "files": ["images/p1.png"], "detail": ""}]
    (clean / "images/画.png").write_bytes(b"")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")                                 # a terminal that cannot show every name
    assert r"images/\u753b.png" in run(clean).stdout
    nowhere = run(clean / "none")
    assert nowhere.returncode == 2 and "expected a folder" in nowhere.stderr and not nowhere.stdout


def test_status_of_warnings(clean, capsys):
    save(clean / "masks/stray.png", blob(0))
    assert main([str(clean)]) == 0 and main([str(clean), "--strict"]) == 1
    assert main([str(clean), "--values", "0,1,2", "--no-near"]) == 0
    assert main([str(clean), "--values", "zero"]) == 2
    capsys.readouterr()
