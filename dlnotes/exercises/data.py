"""Checkers of chapter 9 (Dataset and DataLoader)."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from ._core import Hint, exercise, expect_equal

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _whole(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, (int, float)) or got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got!r}.")
    return int(got)


@exercise("data.batches")
def batches(answer):
    for n, size, drop, expected in [(10, 4, False, 3), (10, 4, True, 2), (8, 4, False, 2), (8, 4, True, 2), (3, 4, False, 1),
                                    (3, 4, True, 0), (1003, 4, False, 251)]:
        got = answer(n, size, drop)
        if isinstance(got, float) and got != int(got):
            raise Hint(f"{n} samples in batches of {size}: a loader gives whole batches, you gave {got:g}. Round it.")
        got = _whole(got, "the number of batches")
        if got == expected:
            continue
        if drop and got == -(-n // size):
            raise Hint(f"With drop_last the incomplete batch is left out: {n} samples in batches of {size} give {expected}.")
        if not drop and got == n // size:
            raise Hint(f"Without drop_last the rest makes a batch of its own: {n} samples in batches of {size} give {expected}.")
        if got == n // size + 1:
            raise Hint(f"{n} is a multiple of {size}, so there is no incomplete batch: you counted one too many.")
        raise Hint(f"For n={n}, batch_size={size}, drop_last={drop} a loader gives {expected} batches, you gave {got}.")
    return "A training set smaller than a batch gives no batch at all with drop_last: a loop that does nothing, in silence."


@exercise("data.to_tensor")
def to_tensor(answer):
    from PIL import Image

    array = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3) * 3
    expected = torch.from_numpy(array).movedim(-1, 0).float() / 255                         # 3 4 6
    got = answer(Image.fromarray(array))
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor, got {type(got).__name__}: torch.from_numpy(np.array(picture)) makes one.")
    if got.shape == (4, 6, 3):
        raise Hint("The channels are still last, (h, w, 3): bring them to the front with movedim(-1, 0) or permute.")
    if got.shape == expected.shape and not torch.equal((got.double() * 255).round().long() % 256, (expected * 255).round().long()) \
            and torch.equal(got.double().flatten().sort().values.round(decimals=4),
                            expected.double().flatten().sort().values.round(decimals=4)):
        raise Hint("The shape is right and the pixels are scrambled: reshape cuts the numbers anew, an axis moves with movedim.")
    if got.shape == expected.shape and got.dtype != torch.float32:
        raise Hint(f"Expected float32, got {got.dtype}: .float() before you divide.")
    if got.shape == expected.shape and torch.allclose(got, expected * 255):
        raise Hint("The values go from 0 to 255: divide by 255.")
    if got.shape == expected.transpose(1, 2).shape and torch.allclose(got, expected.transpose(1, 2)):
        raise Hint("Height and width are exchanged: an array of a PIL picture is (h, w, 3), permute with (2, 0, 1).")
    expect_equal(got, expected, hint="Pixel (row, column) of channel c must stand at [c, row, column].")
    return "np.array copies; np.asarray may give a view that cannot be written to, and torch warns about it."


@exercise("data.paired_crop")
def paired_crop(answer):
    h, w, size = 9, 12, 6
    place = torch.arange(h * w).reshape(h, w)                                               # h w
    image = torch.stack([place, -place, place * 2]).float()                                 # 3 h w
    seen = set()
    for k in range(240):
        out = answer(image.clone(), place.clone(), size)
        if out is None or out is ...:
            raise Hint(_NOTHING)
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            raise Hint(f"Expected a pair (image, mask), got {type(out).__name__}.")
        picture, mask = out
        if picture is None or picture is ...:
            raise Hint(_NOTHING)
        if tuple(picture.shape) != (3, size, size) or tuple(mask.shape) != (size, size):
            raise Hint(f"Expected shapes (3, {size}, {size}) and ({size}, {size}), got {tuple(picture.shape)} and "
                       f"{tuple(mask.shape)}: slice the last two axes of both.")
        if not torch.equal(picture[0], mask.float()):
            raise Hint("Image and mask were cut at different places: draw the place once and use it for both.")
        top, left = divmod(int(mask[0, 0]), w)
        if not torch.equal(mask, place[top:top + size, left:left + size]):
            raise Hint("The cut is not a part of the picture: take consecutive rows and columns.")
        seen.add((top, left))
    if len(seen) == 1:
        raise Hint("240 calls gave one and the same place: draw it anew in each call.")
    rows, columns = {t for t, _ in seen}, {c for _, c in seen}
    if rows != set(range(h - size + 1)) or columns != set(range(w - size + 1)):
        if max(rows) < h - size and max(columns) < w - size:
            raise Hint("The last place is never taken: torch.randint leaves out its upper end, so pass n - size + 1.")
        if len(rows) == 1 or len(columns) == 1 or all(t == c for t, c in seen):
            raise Hint("Rows and columns need a random number each, with a range of their own.")
        raise Hint(f"Not every place that fits is taken: top from 0 to {h - size}, left from 0 to {w - size}.")
    return "The same slices for both: what is drawn once cannot disagree."


@exercise("data.resize_mask")
def resize_mask(answer):
    draw = torch.Generator().manual_seed(0)
    for (h, w), size in [((8, 12), (2, 3)), ((12, 12), (4, 6)), ((5, 7), (10, 14))]:
        mask = torch.randint(0, 4, (h, w), generator=draw) * 5
        expected = F.interpolate(mask[None, None].double(), size, mode="nearest-exact")[0, 0].long()
        got = answer(mask.clone(), size)
        if isinstance(got, torch.Tensor) and got.shape[-2:] == expected.shape and got.ndim != 2:
            raise Hint(f"Expected (height, width), got {tuple(got.shape)}: take the extra axes off again.")
        if isinstance(got, torch.Tensor) and got.shape == expected.shape:
            if set(got.double().unique().tolist()) - set(mask.unique().tolist()):
                raise Hint("Your mask holds classes that were never there: interpolate with the nearest pixel, class numbers have "
                           "no mean.")
            if got.is_floating_point():
                raise Hint(f"The values are right as far as they go, but {got.dtype} is no type for class numbers: return int64.")
            first = F.interpolate(mask[None, None].double(), size, mode="nearest")[0, 0].long()
            if torch.equal(got, first) and not torch.equal(first, expected):
                raise Hint("mode='nearest' takes the first pixel of each block and shifts the mask: take 'nearest-exact', or the pixel "
                           "in the middle.")
            if got.dtype != torch.int64:
                raise Hint(f"Expected int64, got {got.dtype}.")
        expect_equal(got, expected, hint="Each pixel takes the class whose centre is nearest.")
    return "PIL's NEAREST takes the middle pixel too; only torch's old 'nearest' does not."


@exercise("data.undo")
def undo(answer):
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, 4, 3, generator=draw, dtype=torch.float64)
    mean, std = [0.4, 0.5, 0.1], [0.2, 0.1, 0.4]
    m, s = torch.tensor(mean).double(), torch.tensor(std).double()
    x = (pixels - m[:, None, None]) / s[:, None, None]
    got = answer(x.clone(), list(mean), list(std))
    if isinstance(got, torch.Tensor) and got.shape == pixels.shape:
        if torch.allclose(got, x * s + m, atol=1e-5):
            raise Hint("The statistics met the last axis (width happens to be 3): give them the shape (c, 1, 1).")
        if torch.allclose(got, (x + m[:, None, None]) * s[:, None, None], atol=1e-5):
            raise Hint("The order is wrong: normalizing subtracts and then divides, so undo the division first.")
        if torch.allclose(got, (x - m[:, None, None]) / s[:, None, None], atol=1e-5):
            raise Hint("That normalizes once more: multiply by std, then add mean.")
    expect_equal(got, pixels, hint="Pixel = x * std + mean, channel by channel.", atol=1e-5)
    return "The inverse of a list of steps is the list of inverse steps, backwards."


@exercise("data.pad_batch")
def pad_batch(answer):
    images = [torch.rand(2, h, w) + 0.1 for h, w in ((3, 5), (4, 2), (1, 1))]
    images[2][:] = 0                                                # a black picture is real, too
    out = answer([x.clone() for x in images])
    if out is None or out is ...:
        raise Hint(_NOTHING)
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise Hint(f"Expected a pair (batch, valid), got {type(out).__name__}.")
    batch, valid = out
    expected, real = torch.zeros(3, 2, 4, 5), torch.zeros(3, 4, 5, dtype=torch.bool)
    for i, x in enumerate(images):
        expected[i, :, :x.shape[1], :x.shape[2]], real[i, :x.shape[1], :x.shape[2]] = x, True
    expect_equal(batch, expected, hint="Each image lies in the upper left corner, zeros elsewhere.")
    if not isinstance(valid, torch.Tensor) or valid.dtype != torch.bool:
        raise Hint("Expected valid as a tensor of booleans (torch.bool).")
    if tuple(valid.shape) == (3, 2, 4, 5):
        raise Hint("valid has one answer per pixel, (b, H, W), not one per channel.")
    if tuple(valid.shape) == (3, 4, 5) and torch.equal(valid, (expected != 0).any(1)):
        raise Hint("A black pixel is a real pixel: valid follows from the sizes, not from the values.")
    if tuple(valid.shape) == (3, 4, 5) and torch.equal(valid, ~real):
        raise Hint("valid is inverted: true on real pixels.")
    if tuple(valid.shape) != (3, 4, 5) or not torch.equal(valid, real):
        raise Hint(f"valid must be true on the rows and columns of each image: expected shape (3, 4, 5), got {tuple(valid.shape)}.")
    return "With valid in hand, a mean over pixels is (x * valid).sum() / valid.sum()."


@exercise("data.shard")
def shard(answer):
    for n, workers in [(8, 2), (10, 3), (7, 4), (3, 5)]:
        items = [f"file{i}" for i in range(n)]
        parts = [answer(list(items), worker, workers) for worker in range(workers)]
        if any(part is None or part is ... for part in parts):
            raise Hint(_NOTHING)
        parts = [list(part) for part in parts]
        everything = [x for part in parts for x in part]
        if all(part == items for part in parts):
            raise Hint("Every worker yields everything, so all comes as often as there are workers: take a part.")
        if len(set(everything)) < len(everything):
            raise Hint(f"With {n} items and {workers} workers some items come twice: the parts overlap.")
        if set(everything) != set(items):
            raise Hint(f"With {n} items and {workers} workers {len(set(items) - set(everything))} items come never: the rest of the "
                       "division is lost.")
        sizes = [len(part) for part in parts]
        if max(sizes) - min(sizes) > 1:
            raise Hint(f"With {n} items and {workers} workers the shares are {sizes}: they may differ by one at most.")
    return "items[worker::workers] also keeps the order of the stream, nearly: the workers take turns."


@exercise("data.workers")
def workers(answer):
    for ms, batch, step, expected in [(6, 8, 21, 3), (5, 8, 20, 2), (10, 4, 100, 1), (1, 1, 1000, 1), (12, 32, 50, 8), (0.5, 8, 3, 2)]:
        got = answer(ms, batch, step)
        if isinstance(got, float) and got != int(got):
            raise Hint(f"ms={ms}, batch={batch}, step={step}: {got:g} is no number of workers. Round up.")
        got = _whole(got, "the number of workers")
        if got == expected:
            continue
        if got == 0:
            raise Hint("At least one worker: without any, loading and training take turns.")
        if got == max(1, math.ceil(ms / step)):
            raise Hint("A worker makes whole batches: it needs ms * batch for each, not ms.")
        if got == max(1, ms * batch // step):
            raise Hint(f"ms={ms}, batch={batch}, step={step}: with {got} the step still waits. Round up.")
        if ms * batch % step == 0 and got == math.floor(ms * batch / step) + 1:
            raise Hint(f"ms={ms}, batch={batch}, step={step} divides evenly: {expected} workers are just enough.")
        if got == math.ceil((ms * batch + step) / step):
            raise Hint("The step does not cost the workers anything: they go on while you train. Leave it out of the sum.")
        raise Hint(f"For ms={ms}, batch={batch}, step={step} expected {expected}, got {got}: W workers make W batches in ms * batch.")
    return "A floor for planning. Jitter and shared cores ask for a little more, so measure with one more and one less."


@exercise("data.fair_weights")
def fair_weights(answer):
    for labels in ([0] * 6 + [1] * 2, [3, 7, 7, 7, 3, 0, 7, 7]):
        got = answer(list(labels))
        if got is None or got is ...:
            raise Hint(_NOTHING)
        weights = torch.as_tensor(got).double().flatten()
        kinds = sorted(set(labels))
        if len(weights) == len(kinds) != len(labels):
            raise Hint("That is one weight for each class: the sampler wants one for each sample.")
        if len(weights) != len(labels):
            raise Hint(f"Expected {len(labels)} weights, one for each sample, got {len(weights)}.")
        if (weights < 0).any() or not torch.isfinite(weights).all() or weights.sum() == 0:
            raise Hint("Weights must be finite, at least 0, and not all 0.")
        share = torch.stack([weights[torch.tensor(labels) == k].sum() for k in kinds]) / weights.sum()
        if torch.allclose(share, torch.full_like(share, 1 / len(kinds)), atol=1e-4):
            continue
        count = torch.tensor([labels.count(k) for k in kinds]).double()
        if torch.allclose(share, count / count.sum(), atol=1e-4):
            raise Hint("All samples weigh the same, so the common class is drawn most: divide by the size of the class.")
        if torch.allclose(share, count ** 2 / (count ** 2).sum(), atol=1e-4):
            raise Hint("You made it worse: the weight is one over the size of the class, not the size.")
        raise Hint(f"The classes {kinds} are drawn in shares {[round(s, 2) for s in share.tolist()]}: they must be equal.")
    return "Within a class all samples weigh the same, and the classes' sums are equal."


@exercise("data.sample_numbers")
def sample_numbers(answer):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = answer(0, 1, 2)
    if first is None or first is ...:
        raise Hint(_NOTHING)
    if not isinstance(first, torch.Tensor) or tuple(first.shape) != (3,) or not first.is_floating_point():
        raise Hint("Expected a tensor of three floats.")
    if not torch.equal(torch.get_rng_state(), before):
        raise Hint("torch's global generator has moved: draw from a generator of your own, or put its state back.")
    torch.rand(5)
    if not torch.equal(answer(0, 1, 2), first):
        raise Hint("The same triple gave other numbers the second time: they depend on what was drawn in between.")
    keys = [(s, e, i) for s in range(3) for e in range(3) for i in range(0, 1200, 100)] + [(0, 1, 3), (1, 0, 2), (0, 2, 1), (0, 0, 3)]
    drawn = {}
    for key in keys:
        numbers = answer(*key)
        if (numbers < 0).any() or (numbers > 1).any():
            raise Hint("Expected uniform numbers from 0 to 1.")
        other = drawn.setdefault(tuple(numbers.tolist()), key)
        if other != key:
            if sum(other) == sum(key):
                raise Hint(f"{other} and {key} give the same numbers: a sum of the three is no key, (0, 1, 2) and (1, 0, 2) collide.")
            raise Hint(f"{other} and {key} give the same numbers: all three must enter the key, without collisions.")
    spread = torch.tensor(list(drawn)).double()                                             # keys 3
    if not 0.4 < spread.mean() < 0.6 or spread.std() < 0.2:
        raise Hint(f"Uniform numbers have mean 0.5 and standard deviation 0.29; yours have {spread.mean():.2f} and {spread.std():.2f}.")
    if first.dtype != torch.float32:
        raise Hint(f"The numbers are right, the type is not: expected float32, got {first.dtype}.")
    return "np.random.default_rng takes a list of integers and mixes them so that neighbours do not resemble each other."
