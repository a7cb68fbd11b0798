"""Checkers of chapter 1, tensor reshaping, and a generator of shape questions."""

import random

import numpy as np
import torch
import torch.nn.functional as F

from ._core import Hint, exercise, expect_equal

__all__ = ["shape_quiz"]


def _count(*shape: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).reshape(shape).float()


def _same(got, wrong: torch.Tensor) -> bool:
    return isinstance(got, torch.Tensor) and got.shape == wrong.shape and bool((got.to(wrong) == wrong).all())


def _or_none(fn, *args):
    """What ``fn`` returns, or None where it raises."""
    try:
        return fn(*args)
    except Exception:
        return None


def _untouched(x: torch.Tensor, before: torch.Tensor) -> None:
    if not torch.equal(x, before):
        raise Hint("Your function changed its input in place. The caller still needs it: return a new tensor.")


# ---- the quiz

_QUESTIONS = [
    ("x.permute(0, 2, 3, 1)", lambda x: x.permute(0, 2, 3, 1)),
    ("x.flatten(2).transpose(1, 2)", lambda x: x.flatten(2).transpose(1, 2)),
    ("x.mean(dim=1)", lambda x: x.mean(dim=1)),
    ("x.mean(dim=(2, 3), keepdim=True)", lambda x: x.mean(dim=(2, 3), keepdim=True)),
    ("x[:, :, ::2, 1::2]", lambda x: x[:, :, ::2, 1::2]),
    ("x.unsqueeze(1)", lambda x: x.unsqueeze(1)),
    ("torch.stack([x, x], dim=1)", lambda x: torch.stack([x, x], dim=1)),
    ("torch.cat([x, x], dim=1)", lambda x: torch.cat([x, x], dim=1)),
    ("x.flatten(1)", lambda x: x.flatten(1)),
    ("x @ x.transpose(2, 3)", lambda x: x @ x.transpose(2, 3)),
    ("x[0]", lambda x: x[0]),
    ("x[:1]", lambda x: x[:1]),
    ("x.sum(dim=-1)", lambda x: x.sum(dim=-1)),
    ("x.transpose(-1, 1)", lambda x: x.transpose(-1, 1)),
]


def _quiz(seed: int):
    chance = random.Random(seed)
    shape = tuple(chance.sample(range(2, 10), 4))
    return shape, chance.sample(_QUESTIONS, 5)


def shape_quiz(seed: int = 0) -> str:
    """Five questions about the shape of a random feature map; another seed gives other questions.

    >>> print(shape_quiz(0).splitlines()[0])
    x has shape (b, c, h, w) = (8, 9, 5, 2). What is the shape of
    """
    shape, questions = _quiz(seed)
    return "\n".join([f"x has shape (b, c, h, w) = {shape}. What is the shape of",
                      *(f"  {number}. {code}" for number, (code, _) in enumerate(questions, 1))])


@exercise("tensors.quiz")
def _check_quiz(answers):
    shape, questions = _quiz(0)
    if not isinstance(answers, (list, tuple)) or len(answers) != len(questions):
        raise Hint(f"Give a list of {len(questions)} tuples, one shape for each question.")
    x = torch.empty(shape)
    for number, (answer, (code, run)) in enumerate(zip(answers, questions), 1):
        truth = tuple(run(x).shape)
        if answer is ...:
            raise Hint(f"Question {number} is still open.")
        if not isinstance(answer, (tuple, list)):
            raise Hint(f"Question {number}: write the shape as a tuple of numbers.")
        if tuple(answer) == truth:
            continue
        if len(answer) != len(truth):
            raise Hint(f"Question {number}, {code}: your shape has {len(answer)} axes, the result has {len(truth)}. "
                       "Does the operation add an axis, drop one or keep their number?")
        if sorted(answer) == sorted(truth):
            raise Hint(f"Question {number}, {code}: the right sizes in the wrong order. Follow one axis at a time.")
        raise Hint(f"Question {number}, {code}: not that shape. Which axes keep their size?")
    return "Other questions: print(shape_quiz(seed=1)), and so on. Check them by running the code."


# ---- the exercises

@exercise("tensors.vectors")
def _check_vectors(fn):
    for shape in [(8, 10, 1, 1), (1, 10, 1, 1), (3, 1, 1, 1)]:
        x = _count(*shape)
        got = fn(x)
        if shape[0] == 1 and _same(got, x.squeeze()):
            raise Hint("Works for a batch of 8, but a batch of one picture lost its batch axis: got shape (10,).")
        if shape[1] == 1 and _same(got, x.squeeze()):
            raise Hint("With one channel, (3, 1, 1, 1), the channel axis vanished too. Name the axes that may go.")
        if _same(got, x.squeeze(-1)):
            raise Hint("One axis of size 1 is left. Both spatial axes have to go.")
        expect_equal(got, x.reshape(shape[:2]))
    return "flatten(1) and squeeze((2, 3)) differ on a 2 by 2 map: one joins the four values, the other changes nothing."


@exercise("tensors.to_chw")
def _check_to_chw(fn):
    for h, w in [(4, 6), (5, 3)]:
        photo = (torch.arange(h * w * 3) * 7 % 256).reshape(h, w, 3).to(torch.uint8)
        before = photo.clone()
        got = fn(photo)
        _untouched(photo, before)
        right = torch.from_numpy(np.moveaxis(before.numpy(), -1, 0)[None].astype("float32") / 255)
        if isinstance(got, torch.Tensor):
            if got.shape == right.shape[1:]:
                raise Hint("The batch axis is missing: a network expects (1, 3, h, w).")
            if _same(got, before.reshape(1, 3, h, w).float() / 255) or _same(got, before.reshape(1, 3, h, w)):
                raise Hint("reshape gave the right shape and mixed the colours: the three values of a pixel are neighbours "
                           "in memory. Move the axis instead.")
            if got.shape == (1, 3, w, h):
                raise Hint("Height and width changed places: the picture lies on its side.")
            if got.shape == right.shape and not got.is_floating_point():
                raise Hint(f"The values are still {str(got.dtype)[6:]}: a network wants floats from 0 to 1.")
            if got.shape == right.shape and got.max() > 1:
                raise Hint("The values still reach 255: divide, so that they lie from 0 to 1.")
        expect_equal(got, right)
    return "photo / 255 alone also gives floats in PyTorch; photo // 255 would leave zeros and a few ones."


@exercise("tensors.gate")
def _check_gate(fn):
    for b, c, h, w in [(2, 3, 4, 5), (4, 5, 4, 5), (1, 6, 3, 2)]:
        x, weight = _count(b, c, h, w) + 1, _count(b, c) / 7 + 0.5
        before = x.clone()
        try:
            got = fn(x, weight)
        except RuntimeError as error:
            if "must match" in str(error):
                raise Hint("Broadcasting aligns shapes from the right, so the last axis of your weights met the width. "
                           "Give (b, c) two more axes of size 1, behind c.") from error
            raise
        _untouched(x, before)
        right = torch.einsum("bchw,bc->bchw", before, weight)
        if b == h and c == w and _same(got, before * weight):
            raise Hint("Right for most shapes, wrong when (h, w) happens to equal (b, c): there the weights met the pixels "
                       "and nobody complained. Give them two more axes of size 1.")
        shared = [before * row.view(c, 1, 1) for row in (weight[0], weight.mean(0))]  # b c h w
        if b > 1 and any(_same(got, wrong) for wrong in shared):
            raise Hint("All pictures of the batch share one gate. Each has its own row of weights.")
        if _same(got, before + weight[:, :, None, None]):
            raise Hint("A gate multiplies; you added.")
        expect_equal(got, right, hint="Each channel of each picture is multiplied by its own weight.", atol=1e-3)
    return "This line is the last step of squeeze-and-excitation, met again in the attention chapter."


@exercise("tensors.pad")
def _check_pad(fn):
    for b, c, h, w, multiple in [(2, 3, 30, 28, 8), (1, 2, 5, 9, 4), (1, 1, 8, 12, 4)]:
        x = _count(b, c, h, w) + 1
        got = fn(x, multiple)
        bottom, right = -h % multiple, -w % multiple
        if isinstance(got, torch.Tensor) and got.ndim == 4:
            if bottom != right and got.shape == (b, c, h + right, w + bottom):
                raise Hint("The amounts for height and width changed places: F.pad starts with the last axis.")
            always = (b, c, h + multiple - h % multiple, w + multiple - w % multiple)
            if got.shape == always != (b, c, h + bottom, w + right):
                raise Hint(f"A side that already fits, such as {w if bottom else h}, must not grow by another {multiple}.")
            if (bottom or right) and _same(got, F.pad(x, (right, 0, bottom, 0))):
                raise Hint("You padded at the left and at the top: F.pad wants (left, right, top, bottom).")
            if (bottom or right) and got.shape == (b, c, h // multiple * multiple, w // multiple * multiple):
                raise Hint("The picture was cropped, not padded: round up.")
        wanted = torch.zeros(b, c, h + bottom, w + right)
        wanted[:, :, :h, :w] = x
        expect_equal(got, wanted, hint="Zeros at the bottom and at the right, the picture untouched.")
    return "-h % multiple is the number of missing rows, with no special case for 0."


@exercise("tensors.without_class_token")
def _check_class_token(fn):
    for b, c, h, w in [(2, 3, 4, 6), (1, 5, 2, 3)]:
        picture = _count(b, c, h, w) + 1
        rows = [[[0.0] * c] + [[float(picture[i, k, y, x]) for k in range(c)] for y in range(h) for x in range(w)]
                for i in range(b)]
        tokens = torch.tensor(rows)  # b 1+h*w c
        kept = tokens[:, 1:]
        try:
            got = fn(tokens, h, w)
        except Exception as error:
            if _same(_or_none(fn, kept, h, w), picture):
                raise Hint("There are 1 + h * w tokens, and h * w pixels: drop the class token first.") from error
            raise
        if _same(got, kept.reshape(b, c, h, w)):
            raise Hint("Right shape, scrambled content: reshape read tokens of c numbers as rows of pixels. Move the "
                       "channel axis to the front first.")
        if _same(got, tokens[:, :-1].transpose(1, 2).reshape(b, c, h, w)):
            raise Hint("You dropped the last token; the class token is the first one.")
        if _same(got, kept.transpose(1, 2).reshape(b, c, w, h)):
            raise Hint("Height and width changed places in the split of the token axis.")
        if isinstance(got, torch.Tensor) and got.shape == (b, h, w, c):
            raise Hint("That is channels-last, (b, h, w, c); asked for is (b, c, h, w).")
        expect_equal(got, picture)
    return "ViT's feature maps for segmentation are made with this line, and h and w come from the picture, never from n."


@exercise("tensors.mae_pictures")
def _check_mae(fn):
    for b, c, gh, gw, p in [(2, 3, 2, 3, 4), (1, 2, 3, 2, 2)]:
        picture = _count(b, c, gh * p, gw * p)
        rows = [[picture[i, :, y * p:(y + 1) * p, x * p:(x + 1) * p].permute(1, 2, 0).flatten()
                 for y in range(gh) for x in range(gw)] for i in range(b)]
        tokens = torch.stack([torch.stack(row) for row in rows])  # b n (p q c)
        got = fn(tokens, p, gh, gw)
        if _same(got, F.fold(tokens.transpose(1, 2), (gh * p, gw * p), p, stride=p)):
            raise Hint("You read each token as (c p q), the order of F.unfold. Here a token is (p q c): colour last.")
        wrong = tokens.reshape(b, gh, gw, p, p, c).permute(0, 5, 1, 4, 2, 3).reshape(b, c, gh * p, gw * p)
        if _same(got, wrong):
            raise Hint("Every patch is transposed: rows and columns inside the patch changed places.")
        if _same(got, tokens.reshape(b, c, gh * p, gw * p)):
            raise Hint("Right shape, but no axis was moved: neighbours in memory are not neighbours in the picture.")
        expect_equal(got, picture, hint="Is the order of patches (rows first), or the order inside a patch, another one?")
    return "The order inside a token is a convention between two layers; nothing in the shape shows which one was used."


@exercise("tensors.scores_bytes")
def _check_bytes(fn):
    for first, second, size in [((4, 4096, 64), (4, 64, 4096), 2), ((2, 8, 100, 32), (2, 8, 32, 50), 4),
                                ((5, 1, 7, 3), (6, 3, 2), 4), ((9, 4), (4, 11), 8)]:
        got = fn(first, second, size)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return a number of bytes.")
        batch = np.broadcast_shapes(first[:-2], second[:-2])
        elements = int(np.prod(batch, dtype=np.int64)) * first[-2] * second[-1]
        if got == elements * size:
            continue
        if got == elements:
            raise Hint("That counts elements. A float32 has 4 bytes, a float16 has 2: multiply by the size of one element.")
        if got == elements * size * first[-1]:
            raise Hint("The inner axis is summed away: it costs time and no memory in the result.")
        if got == first[-2] * second[-1] * size and len(batch):
            raise Hint("That is one matrix. Every picture and every head of the batch has its own.")
        if got == int(np.prod(first[:-1], dtype=np.int64)) * second[-1] * size:
            raise Hint(f"For {first} @ {second} the batch axes broadcast: the result has the batch {batch}.")
        raise Hint(f"For {first} @ {second} with {size} bytes an element, expected {elements * size} bytes, got {got}.")
    return "Check any such prediction for free: on device='meta' torch computes shapes and allocates nothing."


@exercise("tensors.keep_topk")
def _check_topk(fn):
    tied = torch.tensor([[[2.0, 2.0, 2.0, 1.0], [0.0, 5.0, 5.0, 5.0]]])
    distinct = torch.tensor([[[0.9, 0.1, 0.8, 0.7, 0.6], [0.05, 0.04, 0.03, 0.02, 0.01], [-1.0, -2.0, -3.0, -0.5, -4.0]]])
    for scores, k in [(distinct, 2), (distinct, 3), (tied, 2)]:
        before = scores.clone()
        got = fn(scores, k)
        _untouched(scores, before)
        if not isinstance(got, torch.Tensor) or got.shape != scores.shape:
            expect_equal(got, before)
        kept, changed = got > -torch.inf, got[got != before]
        if bool(kept.all()):
            if not len(changed):
                raise Hint("Every score is still there: all but the k largest of a row become minus infinity.")
            if bool((changed == 0).all()):
                raise Hint("The losers became 0, and softmax gives 0 a share, exp(0) = 1. Fill with -inf.")
            if bool((changed < before.min()).all()):
                raise Hint("A large negative number is still a score, and a real one could lie below it. Fill with -inf.")
        if not torch.equal(got[kept], before[kept]):
            raise Hint("A score that stays must keep its value.")
        counts = kept.sum(-1)
        if scores is distinct and int(counts.sum()) == k:
            raise Hint(f"You kept the {k} best of the whole tensor; each row needs its own {k}.")
        if scores is tied and bool((counts > k).any()):
            raise Hint("With equal scores more than k survive: a threshold keeps all ties. Use the indices from topk.")
        if bool((counts != k).any()):
            raise Hint(f"Each row, along the last axis, keeps k={k} scores, yours keep {sorted(set(counts.flatten().tolist()))}.")
        lowest_kept = before.masked_fill(~kept, torch.inf).amin(-1)  # one per row
        if bool((lowest_kept < before.topk(k).values[..., -1]).any()):
            raise Hint("A kept score is smaller than one that was thrown away: keep the largest along the last axis.")
    return "After softmax a row has k weights that sum to 1 and zeros elsewhere: this is top-k sparse attention."


@exercise("tensors.clip")
def _check_clip(fn):
    for t, h, w, c in [(4, 5, 6, 3), (3, 2, 7, 2)]:
        frames = _count(t, h, w, c)
        got = fn(frames)
        right = torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames.numpy(), -1, 0)[None]))
        if _same(got, frames.reshape(1, c, t, h, w)):
            raise Hint("Right shape, but reshape moved no axis: every \"frame\" is now a strip of mixed colours.")
        if isinstance(got, torch.Tensor) and got.shape == (1, t, c, h, w):
            raise Hint("Time sits on the channel axis: Conv3d wants (b, c, t, h, w), and would sum over time like colour.")
        if isinstance(got, torch.Tensor) and got.shape == (t, c, h, w):
            raise Hint("That is a batch of t pictures; a clip is one sample: (1, c, t, h, w).")
        if isinstance(got, torch.Tensor) and got.shape == (c, t, h, w):
            raise Hint("The batch axis is missing.")
        if isinstance(got, torch.Tensor) and got.shape == (1, c, t, w, h):
            raise Hint("Height and width changed places: every frame lies on its side.")
        expect_equal(got, right)
    return "For a hyperspectral cube the same move puts bands where time is: (1, 1, bands, h, w)."


@exercise("tensors.view_works")
def _check_view_works(fn):
    base = torch.zeros(2, 3, 4)
    cases = [(base, (6, 4)), (base.permute(0, 2, 1), (2, 12)), (base.permute(2, 0, 1), (4, 6)), (base[:, :, :2], (6, 2)),
             (base[:, :, :2], (2, 6)), (base[:, :2], (2, 8)), (base[:, :2], (4, 4)), (base[:, ::2], (2, 2, 2, 2)),
             (base.permute(1, 0, 2)[:, :1], (12,)), (torch.zeros(2, 1, 3).expand(2, 4, 3), (8, 3)),
             (torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last), (2, 60))]
    for x, new in cases:
        try:
            x.view(new)
            truth = True
        except RuntimeError:
            truth = False
        got = fn(tuple(x.shape), tuple(x.stride()), new)
        if not isinstance(got, (bool, np.bool_)):
            raise Hint(f"Return True or False, got {type(got).__name__}.")
        if bool(got) != truth:
            case = f"shape {tuple(x.shape)}, strides {tuple(x.stride())}, view{new}"
            if truth and 1 in x.shape:
                raise Hint(f"{case} works: the stride of an axis of size 1 is never used, so leave such axes out.")
            if truth and not x.is_contiguous():
                raise Hint(f"{case} works, contiguous or not. Only borders that a new axis crosses count.")
            raise Hint(f"{case} {'works' if truth else 'fails'}, you said {'True' if got else 'False'}. Compare the stride "
                       "of the left axis with size times stride of the right one, at each border that a new axis crosses.")
    return "dlnotes.shapes.why_not_view says it in a sentence; a property test holds it against view on random strides."
