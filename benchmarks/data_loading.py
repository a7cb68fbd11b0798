"""How fast pictures arrive: this package's folders beside a plain torchvision pipeline, on the same files, in one run.

    python benchmarks/data_loading.py [--pictures 96] [--size 512] [--crop 256] [--batch 8] [--runs 5] [--workers 0 1 2]

The peer is what most people write: a Dataset that opens picture and mask with PIL (or ``datasets.ImageFolder``), and
``v2.RandomResizedCrop``, a flip, ``v2.ColorJitter`` and ``v2.ToDtype``. Both do the same work: the same files, zoom, crop,
flip and jitter. Runs alternate (ours, theirs, theirs, ours, ...), so that a busy machine slows both; printed are the
medians in pictures per second and the ratio of the times (above 1: ours is faster), with its range over neighbouring pairs.
The second table varies one thing at a time: workers, prefetching, caching. The third reads tiles of one large picture.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dlnotes.libraries import torchvision  # noqa: E402
from dlnotes.data import Augment, ClassificationFolder, SegmentationFolder, read_crop  # noqa: E402
from torchvision import tv_tensors  # noqa: E402
from torchvision.transforms import v2  # noqa: E402

SCALE, JITTER = (0.7, 1.4), 0.2


def make_files(root: Path, pictures: int, size: int) -> None:
    """Crops of scikit-image's photographs, as JPEG with PNG masks, laid out for segmentation and for classification."""
    from skimage import data

    sources = [data.astronaut(), data.coffee(), data.chelsea()]
    rng = np.random.default_rng(0)
    for i in range(pictures):
        source = sources[i % len(sources)]
        side = int(rng.integers(150, 290))
        top, left = rng.integers(0, source.shape[0] - side), rng.integers(0, source.shape[1] - side)
        image = Image.fromarray(source[top:top + side, left:left + side]).resize((size, size), Image.Resampling.BICUBIC)
        mask = np.asarray(image.convert("L")) > 128
        for folder in ("images", "masks", f"classes/{i % 4}"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        image.save(root / f"images/{i:04d}.jpg", quality=90)
        image.save(root / f"classes/{i % 4}/{i:04d}.jpg", quality=90)
        Image.fromarray(mask.astype(np.uint8)).save(root / f"masks/{i:04d}.png")


def plain_transform(given):
    """The same work with torchvision's classes. Its crops are given as shares of the area."""
    share = [(given.crop / zoom / given.size) ** 2 for zoom in SCALE[::-1]]
    kinds = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    return v2.Compose([v2.RandomResizedCrop(given.crop, scale=share, ratio=(1, 1), antialias=True),
                       v2.RandomHorizontalFlip(), v2.ColorJitter(JITTER, JITTER, JITTER), v2.ToDtype(kinds, scale=True)])


class PlainSegmentation(Dataset):
    """What most people write."""

    def __init__(self, root: Path, transform):
        self.images, self.masks = sorted((root / "images").iterdir()), sorted((root / "masks").iterdir())
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = tv_tensors.Image(v2.functional.pil_to_tensor(Image.open(self.images[index]).convert("RGB")))
        mask = tv_tensors.Mask(v2.functional.pil_to_tensor(Image.open(self.masks[index]))[0])
        return self.transform(image, mask)


def pictures_per_second(dataset: Dataset, batch: int, **options) -> float:
    """One epoch after the workers have started: they are warmed by one epoch that is not counted."""
    loader = DataLoader(dataset, batch, shuffle=True, persistent_workers=options.get("num_workers", 0) > 0, **options)
    for _ in loader:
        pass
    start = time.perf_counter()
    for _ in loader:
        pass
    return len(dataset) / (time.perf_counter() - start)


def compare(ours, theirs, runs: int) -> tuple[float, float, list[float]]:
    """Medians of both, and the ratios of neighbouring runs, which alternate in order."""
    pairs = []
    for run in range(runs):
        order = (ours, theirs) if run % 2 == 0 else (theirs, ours)
        got = [measure() for measure in order]
        pairs.append(tuple(got if run % 2 == 0 else got[::-1]))
    mine, other = zip(*pairs)
    return statistics.median(mine), statistics.median(other), [a / b for a, b in pairs]


def versus_torchvision(root: Path, given) -> None:
    print(f"{'pictures per second':<40}{'ours':>8}{'plain':>8}{'ratio':>8}   range")
    augment = Augment(given.crop, scale=SCALE, jitter=JITTER)
    segmentation = (SegmentationFolder(root, layout="images", transform=augment),
                    PlainSegmentation(root, plain_transform(given)))
    classification = (ClassificationFolder(root / "classes", transform=augment),
                      torchvision.datasets.ImageFolder(root / "classes", v2.Compose([v2.ToImage(), plain_transform(given)])))
    for name, (ours, plain) in (("segmentation", segmentation), ("classification (ImageFolder)", classification)):
        for workers in given.workers:
            measure = [lambda d=d: pictures_per_second(d, given.batch, num_workers=workers) for d in (ours, plain)]
            mine, other, ratios = compare(*measure, given.runs)
            print(f"{f'{name}, {workers} workers':<40}{mine:8.0f}{other:8.0f}{statistics.median(ratios):8.2f}"
                  f"   {min(ratios):.2f} to {max(ratios):.2f}")


def one_thing_at_a_time(root: Path, given, cache: Path) -> None:
    augment = Augment(given.crop, scale=SCALE, jitter=JITTER)
    most = max(given.workers)
    cases = {f"{w} workers": ({}, {"num_workers": w}) for w in given.workers}
    if most:
        cases |= {f"{most} workers, prefetch {p}": ({}, {"num_workers": most, "prefetch_factor": p}) for p in (1, 4)}
    cases |= {f"{w} workers, cached pixels": ({"cache": cache}, {"num_workers": w}) for w in given.workers}
    rates = {name: [] for name in cases}
    for _ in range(given.runs):                                         # interleaved
        for name, (options, loading) in cases.items():
            dataset = SegmentationFolder(root, layout="images", transform=augment, **options)
            rates[name].append(pictures_per_second(dataset, given.batch, **loading))
    base = statistics.median(next(iter(rates.values())))
    print(f"\n{'one thing at a time (segmentation)':<34}{'ours':>8}{'gain':>8}")
    for name, many in rates.items():
        print(f"{name:<34}{statistics.median(many):8.0f}{statistics.median(many) / base:7.2f}x")


def large_picture(folder: Path, given) -> None:
    """Random tiles of one large picture in several formats, and the same picture cut beforehand."""
    import tifffile

    side, tile, rng = given.large, 256, np.random.default_rng(0)
    pixels = np.asarray(Image.open(next((folder / "images").iterdir())).resize((side, side), Image.Resampling.BICUBIC))
    Image.fromarray(pixels).save(folder / "large.jpg", quality=90)
    Image.fromarray(pixels).save(folder / "large.png", compress_level=1)
    np.save(folder / "large.npy", pixels)
    tifffile.imwrite(folder / "large.tif", pixels, tile=(256, 256), compression="zlib")
    places = rng.integers(0, side - tile, (12, 2)).tolist()
    seconds = {}
    for _ in range(given.runs):
        for name in ("large.jpg", "large.png", "large.tif", "large.npy"):
            start = time.perf_counter()
            many = places[:3] if name[6:] in ("jpg", "png") else places
            for top, left in many:
                read_crop(folder / name, top, left, tile, tile)
            seconds.setdefault(name, []).append((time.perf_counter() - start) / len(many))
    base = statistics.median(seconds["large.jpg"])
    print(f"\n{f'a {tile} tile of {side} by {side} from':<34}{'ms':>8}{'gain':>8}{'MB on disk':>12}")
    for name, many in seconds.items():
        ms, size = 1000 * statistics.median(many), (folder / name).stat().st_size / 2**20
        print(f"{name:<34}{ms:8.2f}{1000 * base / ms:7.1f}x{size:12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--large", type=int, default=4096)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    torch.set_num_threads(1)                                            # as in a worker
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {os.cpu_count()} cores; "
          f"{given.pictures} JPEGs of {given.size} px, crops of {given.crop}, batches of {given.batch}\n")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_files(root, given.pictures, given.size)
        versus_torchvision(root, given)
        one_thing_at_a_time(root, given, root / "cache")
        large_picture(root, given)


if __name__ == "__main__":
    main()
