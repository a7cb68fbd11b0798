"""Augmentation: picture and mask stay on top of each other, random numbers belong to the sample, normalization is undone."""

import pickle
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from dlnotes.libraries import torchvision  # isort: skip
from torchvision.transforms import v2  # isort: skip (beside a CPU torch it can be imported only after the line above)
from dlnotes.data import (IGNORE, Augment, Augmented, Draw, Normalize, Resize, denormalize, normalize, pad_collate,
                          seed_worker, seeded, unpad)

sizes = st.tuples(st.integers(24, 90), st.integers(24, 90))


def two_halves(height: int, width: int, slope: float = 0.3, shift: float = 0.0) -> torch.Tensor:
    """A mask with a slanted straight edge through the middle."""
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    return (x + slope * y + shift > 0).long()


def alike(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """True (h, w) where all pixels within ``reach`` rows and columns are, none of them beyond the border."""
    other = torch.nn.functional.pad((~mask).float()[None], [reach] * 4, value=1.0)
    return torch.nn.functional.max_pool2d(other, 2 * reach + 1, 1)[0] == 0


@settings(deadline=None, max_examples=30)
@given(size=sizes, out=st.none() | sizes, seed=st.integers(0, 10**6), rotate=st.sampled_from([0, 10, 180]),
       shift=st.integers(-9, 9), scale=st.sampled_from([(1.0, 1.0), (0.5, 2.0)]), elastic=st.sampled_from([0, 1.5]),
       byte=st.booleans())
def test_the_mask_follows_the_picture(size, out, seed, rotate, scale, elastic, shift, byte):
    """The picture is the mask in grey. Warped both, the grey is on the mask's side of one half, but for a pixel at the edge.

    The target is white all over: where it no longer is, what lies outside the picture has come in. Turning, resizing and
    bending each round the mask to whole pixels; where several do, the edge may be off by two more.
    """
    mask = two_halves(*size, shift=shift)
    image = mask[None].to(torch.uint8) * 255 if byte else mask[None].float()
    augment = Augment(out, flip=0.5, flip_vertical=0.5, rotate=rotate, scale=scale, elastic=elastic, fill=0.0)
    with seeded(seed):
        item = augment({"image": image, "target": torch.full_like(image, 255 if byte else 1), "mask": mask, "name": "x"})
    grey = item["image"][0]
    assert item["image"].shape[1:] == item["mask"].shape == (out or size) and item["name"] == "x"
    assert item["image"].dtype == torch.float32 and item["mask"].dtype == torch.int64
    assert -1e-6 <= grey.min() and grey.max() <= 1 + 1e-6
    assert set(item["mask"].unique().tolist()) <= {IGNORE, 0, 1}                    # nothing in between
    roundings = (rotate > 0) + (scale != (1.0, 1.0)) + (elastic > 0)
    reach, share = (1, 0.02) if roundings < 2 else (3, 0.05)
    inside = item["target"][0] > 0.999
    lost = (item["mask"] == IGNORE) & (item["target"][0] >= 0.8)
    assert (item["mask"][inside] != IGNORE).all() and lost.float().mean() <= (0 if roundings < 2 else share)
    wrong = inside & ((grey > 0.5) != (item["mask"] == 1))
    inner, outer = (alike(item["mask"] == k, reach) for k in (0, 1))
    assert not (wrong & (inner | outer)).any()                                      # exact away from the edge
    assert wrong.float().mean() <= share                                            # and nearly exact on it


def edge(profile: torch.Tensor) -> float:
    """Where a row that rises from 0 to 1 crosses the middle, in pixels: its zeros, counted."""
    return float(len(profile) - profile.double().sum())


@pytest.mark.parametrize("factor", [0.25, 0.2, 0.37, 0.5, 0.8, 1.3, 2.0])
def test_a_resized_mask_lies_on_its_picture_where_torchvisions_shifts(factor):
    """Masks with an edge at 300 places, once each: the mean shift against the pictures, in pixels of the large mask."""
    size = 500
    new = round(size * factor)
    masks = (torch.arange(size) >= torch.arange(100, 400)[:, None]).long()[:, None].expand(-1, 4, size)         # 300 4 500
    ours = Resize((4, new))({"image": masks.double(), "mask": masks})
    theirs = torchvision.transforms.v2.Resize((4, new))(torchvision.tv_tensors.Mask(masks))
    true = np.array([edge(row) for row in ours["image"][:, 0]])
    shift = np.mean([edge(row) for row in ours["mask"][:, 0]] - true) / factor
    their_shift = np.mean([edge(row) for row in theirs[:, 0]] - true) / factor
    middle_is_a_border = factor in (0.5, 0.25)                      # of two pixels: either is half a pixel away
    assert abs(shift) < (0.51 if middle_is_a_border else 0.05)
    if factor < 0.5:
        assert abs(their_shift) > 0.8                               # (1 / factor - 1) / 2


def test_bilinear_masks_would_invent_classes():
    """What breaks otherwise: interpolated class numbers."""
    mask = 2 * two_halves(40, 40)
    item = Augment(rotate=30, flip=0).apply({"image": mask[None].float(), "mask": mask}, Draw(angle=17.0))
    assert set(item["mask"].unique().tolist()) == {IGNORE, 0, 2}
    blurred = item["image"][(item["image"] > 0.5) & (item["image"] < 1.5)]
    assert len(blurred) > 10                                                        # these would be class 1


def test_each_step_alone_is_what_its_name_says():
    image, mask = torch.rand(3, 20, 30), torch.randint(0, 3, (20, 30))
    item = {"image": image, "mask": mask}
    augment = Augment()
    same = augment.apply(item, Draw())
    assert torch.equal(same["image"], image) and torch.equal(same["mask"], mask)
    assert torch.equal(augment.apply(item, Draw(flip=True))["mask"], mask.flip(-1))
    assert torch.equal(augment.apply(item, Draw(flip_vertical=True))["image"], image.flip(-2))
    crop = augment.apply(item, Draw(region=(2, 5, 10, 12)))
    assert torch.equal(crop["image"], image[:, 2:12, 5:17]) and torch.equal(crop["mask"], mask[2:12, 5:17])
    wide = augment.apply(item, Draw(region=(-3, 0, 26, 30)))
    assert torch.equal(wide["mask"][3:23], mask) and (wide["mask"][:3] == IGNORE).all() and (wide["image"][:, :3] == 0).all()
    half = augment.apply({"image": image[..., :20], "mask": mask[:, :20]}, Draw(angle=90.0))
    assert torch.equal(half["mask"], mask[:, :20].rot90())
    dark = augment.apply(item, Draw(brightness=0.5))
    assert torch.allclose(dark["image"], image / 2) and torch.equal(dark["mask"], mask)
    flat = augment.apply(item, Draw(contrast=0.0))
    assert flat["image"].std() < 1e-6
    grey = augment.apply(item, Draw(saturation=0.0))["image"]
    assert torch.allclose(grey[0], grey[1]) and torch.allclose(grey[0], grey[2])
    soft = augment.apply({**item, "target": image}, Draw(sigma=2.0))
    assert soft["image"].var() < 0.5 * image.var() and torch.equal(soft["target"], image)


def test_a_restoration_pair_stays_a_pair():
    clean = torch.rand(3, 40, 50)
    augment = Augment(24, flip_vertical=0.5, rotate=20, scale=(0.7, 1.5), elastic=1, jitter=0.3)
    with seeded(3):
        out = augment({"image": clean, "target": clean, "name": "x"})
    assert torch.equal(out["image"], out["target"]) and out["image"].shape == (3, 24, 24)


def test_input_is_left_alone_and_a_draw_repeats():
    item = {"image": torch.rand(3, 20, 30), "mask": torch.randint(0, 3, (20, 30)), "name": "x"}
    before = {key: value.clone() for key, value in item.items() if key != "name"}
    augment = Augment(16, rotate=30, scale=(0.5, 2), elastic=2, jitter=0.4, blur=2)
    draw = augment.draw(20, 30)
    first, second = augment.apply(item, draw), augment.apply(item, draw)
    for key, value in before.items():
        assert torch.equal(item[key], value) and torch.equal(first[key], second[key])
        assert type(first[key]) is torch.Tensor


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_switching_a_step_off_leaves_the_others(seed):
    with seeded(seed):
        full = Augment(32, rotate=20, scale=(0.5, 2), jitter=0.3).draw(50, 60)
    with seeded(seed):
        less = Augment(32, scale=(0.5, 2), jitter=0.3).draw(50, 60)
    assert less.angle == 0 and (less.flip, less.region, less.brightness) == (full.flip, full.region, full.brightness)


def test_draws_cover_their_range():
    with seeded(0):
        draws = [Augment(32, rotate=20, scale=(0.5, 2), jitter=0.3, blur=1).draw(100, 100) for _ in range(2000)]
    angles = np.array([d.angle for d in draws])
    assert -20 <= angles.min() < -19 and 19 < angles.max() <= 20 and abs(angles.mean()) < 1
    assert abs(np.mean([d.flip for d in draws]) - 0.5) < 0.05 and not any(d.flip_vertical for d in draws)
    assert {d.region[2] for d in draws} >= {17, 32, 60} and {d.region[2] for d in draws} <= set(range(16, 65))
    assert min(d.region[0] for d in draws) == 0 and all(d.region[0] + d.region[2] <= 100 for d in draws)
    assert max(d.region[0] + d.region[2] for d in draws) == 100
    factors = np.array([(d.brightness, d.contrast, d.saturation) for d in draws])
    assert factors.min() > 0.7 and factors.max() < 1.3 and np.abs(np.corrcoef(factors.T) - np.eye(3)).max() < 0.1


class Constant(Dataset):
    """Samples without a difference: what differs afterwards is random."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {"image": torch.zeros(1, 2, 2)}


def noise(item: dict) -> dict:
    return {"image": item["image"] + torch.rand(1) + np.random.rand() + random.random()}


@pytest.mark.parametrize("persistent", [False, True])
def test_the_same_pictures_with_any_number_of_workers_and_others_in_the_next_epoch(persistent):
    def run(workers):
        dataset = Augmented(Constant(), noise, seed=5)
        loader = DataLoader(dataset, 4, num_workers=workers, persistent_workers=persistent and workers > 0)
        epochs = []
        for epoch in range(2):
            dataset.set_epoch(epoch)
            epochs.append(torch.cat([batch["image"][:, 0, 0, 0] for batch in loader]))
        return torch.stack(epochs)

    alone = run(0)
    assert torch.equal(alone, run(2))
    assert alone.unique().numel() == 24                                             # every sample, every epoch


def test_seeded_leaves_the_generators_as_they_were():
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    expected = [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()]
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    with pytest.raises(KeyError), seeded(9):
        torch.rand(5), np.random.rand(5), random.random()
        raise KeyError
    assert [torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()] == expected


class FromNumPy(Constant):
    def __getitem__(self, index):
        return {"image": torch.tensor([np.random.rand(), random.random()])}


def test_seed_worker_differs_by_worker_and_epoch_and_repeats_by_generator():
    def run(seed):
        loader = DataLoader(FromNumPy(), 6, num_workers=2, worker_init_fn=seed_worker,
                            generator=torch.Generator().manual_seed(seed))
        return torch.cat([batch["image"] for _ in range(2) for batch in loader])

    first = run(0)
    assert first[:, 0].unique().numel() == first[:, 1].unique().numel() == 24
    assert torch.equal(first, run(0)) and not torch.equal(first, run(1))


def test_transforms_can_be_sent_to_workers():
    item = {"image": torch.rand(3, 20, 20), "mask": torch.zeros(20, 20).long()}
    transform = torchvision.transforms.v2.Compose([Augment(16, rotate=5), Normalize()])
    again = pickle.loads(pickle.dumps(transform))
    with seeded(1):
        first = transform(item)["image"]
    with seeded(1):
        assert torch.equal(again(item)["image"], first)
    dataset = pickle.loads(pickle.dumps(Augmented(Constant(), noise)))
    assert torch.equal(dataset[3]["image"], Augmented(Constant(), noise)[3]["image"])


# ---- normalization, collating --------------------------------------------------------------------------------------

@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.booleans())
def test_normalize_is_torchvisions_and_is_undone(seed, batched):
    x = torch.rand(*([2] if batched else []), 3, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 1.5)
    assert torch.allclose(normalize(x, mean, std), torchvision.transforms.v2.functional.normalize(x, list(mean), list(std)))
    assert torch.allclose(denormalize(normalize(x, mean, std), mean, std), x, atol=1e-12)
    byte = (x * 255).to(torch.uint8)
    assert torch.allclose(Normalize().undo(Normalize()({"image": byte})["image"]) * 255, byte.float(), atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=4), st.integers(1, 5))
def test_padding_keeps_every_pixel_and_says_which_are_real(shapes, multiple):
    items = [{"image": torch.rand(2, *s), "mask": torch.randint(0, 5, s), "label": i, "name": str(i)}
             for i, s in enumerate(shapes)]
    batch = pad_collate(items, multiple=multiple, fill=-1.0)
    tall, wide = batch["image"].shape[-2:]
    assert tall % multiple == wide % multiple == 0
    assert tall - max(h for h, _ in shapes) < multiple and wide - max(w for _, w in shapes) < multiple
    for item, image, mask in zip(items, unpad(batch["image"], batch["size"]), unpad(batch["mask"], batch["size"])):
        assert torch.equal(item["image"], image) and torch.equal(item["mask"], mask)
    assert batch["valid"].sum() == sum(h * w for h, w in shapes)
    assert torch.equal(batch["mask"] == IGNORE, ~batch["valid"])
    assert (batch["image"].movedim(1, -1)[~batch["valid"]] == -1).all()
    assert batch["label"].tolist() == list(range(len(shapes))) and batch["name"] == [str(i) for i in range(len(shapes))]


def test_a_padded_pixel_adds_nothing_to_the_loss():
    items = [{"image": torch.rand(3, *s), "mask": torch.randint(0, 3, s)} for s in ((4, 6), (7, 3))]
    batch = pad_collate(items)
    logits = torch.randn(2, 3, 7, 6)
    alone = [torch.nn.functional.cross_entropy(x[None], item["mask"][None], reduction="sum")
             for x, item in zip(unpad(logits, batch["size"]), items)]
    assert torch.allclose(torch.nn.functional.cross_entropy(logits, batch["mask"], reduction="sum"), sum(alone), rtol=1e-5)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Augment(flip=1.5), "Augment: expected flip from 0 to 1, got 1.5; 0 switches it off"),
    (lambda: Augment(rotate=-1), "expected rotate from 0 to 180, got -1"),
    (lambda: Augment(scale=(2, 1)), r"expected scale as \(smallest, largest\) above 0, got \(2, 1\)"),
    (lambda: Augment(size=(3,)), r"expected size as \(height, width\) in pixels, got \(3,\)"),
    (lambda: Resize(0), "Resize: expected size"),
    (lambda: Augment()({"mask": 1}), r"expected a sample with the key 'image', got \['mask'\]"),
    (lambda: Augment()((1, 2)), "expected a sample with the key 'image', got tuple"),
    (lambda: Augment()({"image": torch.rand(1, 4, 4), "mask": torch.zeros(4, 5)}), "expected picture and mask of one size"),
    (lambda: normalize(torch.rand(1, 2, 2)), "expected mean and std with c=1 numbers, got 3 and 3"),
    (lambda: normalize(torch.rand(1, 2, 2), [0], [0]), "expected std above 0"),
    (lambda: denormalize(torch.rand(2, 2)), r"denormalize: expected a tensor \(c, h, w\) or"),
    (lambda: pad_collate([]), "expected at least one sample"),
    (lambda: pad_collate([{"image": torch.rand(1, 2, 2)}], multiple=0), "expected multiple to be an integer of at least 1"),
    (lambda: pad_collate([{"image": torch.rand(1, 2, 2)}, {"label": 1}]), "expected samples with the same keys"),
    (lambda: pad_collate([{"image": torch.rand(1, 2, 2)}, {"image": torch.rand(3, 2, 2)}]), "the same channels and dtype"),
    (lambda: pad_collate([{"image": torch.rand(1, 2, 2), "mask": torch.zeros(3, 2).long()}]), "size of its picture, 2 × 2"),
    (lambda: unpad(torch.rand(2, 1, 4, 4), torch.tensor([[5, 1], [1, 1]])), "expected the sizes of this batch"),
    (lambda: Augmented(Constant(), 3), "expected a transform that takes a dict"),
    (lambda: Augmented(Constant(), noise, seed=-1), "expected seed to be an integer of at least 0, got -1"),
    (lambda: Augmented(Constant(), noise).set_epoch(1.5), "expected epoch to be an integer of at least 0, got 1.5"),
    (lambda: Augmented(Constant(), noise)[12], "expected an index from 0 to 11, got 12"),
])
def test_bad_arguments_are_answered_in_one_sentence(call, message):
    with pytest.raises((ValueError, TypeError, KeyError, IndexError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
