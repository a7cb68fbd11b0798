"""Checkers for the exercises of chapter 5b, attention over channels and space, and fusion."""

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from ._core import Hint, exercise, expect_equal

__all__: list[str] = []


def _randn(*shape: int, seed: int = 55) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def _close(got, wrong: torch.Tensor) -> bool:
    """Whether the answer equals one particular wrong result."""
    return (isinstance(got, torch.Tensor) and got.shape == wrong.shape
            and torch.allclose(got.detach().to(wrong), wrong, atol=1e-5))


def _call(answer, *inputs):
    """Call the reader's function on copies and object if it changes them."""
    copies = [x.clone() if isinstance(x, torch.Tensor) else x for x in inputs]
    got = answer(*copies)
    for copy, original in zip(copies, inputs):
        if isinstance(original, torch.Tensor) and not torch.equal(copy, original):
            raise Hint("Your function changed its input in place. The caller still needs it: write to a new tensor.")
    return got


@exercise("channels.glu")
def _glu(answer):
    for shape in ((2, 6, 3, 4), (1, 4, 8, 2)):
        x = _randn(*shape)
        value, gate = x.chunk(2, dim=1)
        got = _call(answer, x)
        if _close(got, torch.sigmoid(value) * gate):
            raise Hint("You took the first half as gates. The values come first, the gates second.")
        if _close(got, value * gate):
            raise Hint("Your gate has no sigmoid: the factor may be of any size and sign.")
        if _close(got, x[:, ::2] * torch.sigmoid(x[:, 1::2])):
            raise Hint("You took every second channel. The first c channels are the values, the last c the gates.")
        if isinstance(got, torch.Tensor) and got.shape != value.shape and got.numel() == value.numel():
            raise Hint(f"You split another axis: expected {tuple(value.shape)}, got {tuple(got.shape)}. Channels are dim=1.")
        expect_equal(got, value * torch.sigmoid(gate), hint="Expected values times the sigmoid of the gates.")
    return "F.glu(x, dim=1) is the same; its default is the last axis, which for a map would be the columns."


@exercise("channels.se_gates")
def _se_gates(answer):
    for b, c, r, h, w in ((2, 8, 3, 4, 6), (3, 5, 2, 7, 3)):
        x, w1, w2 = _randn(b, c, h, w) + 2 * _randn(b, c, 1, 1), _randn(r, c), _randn(c, r, seed=7)
        z = x.mean((2, 3))
        score = F.relu(z @ w1.T) @ w2.T
        got = _call(answer, x, w1, w2)
        if _close(got, torch.sigmoid(score)):
            continue
        if _close(got, score):
            raise Hint("These are the scores. A sigmoid makes them gates between 0 and 1.")
        if _close(got, torch.sigmoid(z @ w1.T @ w2.T)):
            raise Hint("You left out the ReLU: without it the two layers are one, of rank r.")
        if _close(got, score.softmax(-1)):
            raise Hint("A softmax makes the channels compete. In SE each may be open: sigmoid.")
        if _close(got, torch.sigmoid(F.relu(x.amax((2, 3)) @ w1.T) @ w2.T)):
            raise Hint("You squeezed with the maximum. SE takes the mean over height and width.")
        if _close(got, torch.sigmoid(F.relu(x.sum((2, 3)) @ w1.T) @ w2.T)):
            raise Hint("You squeezed with a sum: the gates would then depend on the size of the picture. Take the mean.")
        expect_equal(got, torch.sigmoid(score), hint="Expected sigmoid(w2 · relu(w1 · mean over space)) for each sample.")
    return "Neither h nor w is in the result: the same weights serve pictures of any size."


@exercise("channels.eca")
def _eca(answer):
    for b, c, k in ((2, 7, 3), (3, 9, 5)):
        x, kernel = _randn(b, c, 4, 3) + 0.2, 2 * _randn(k)
        z = x.mean((2, 3))
        pad = F.pad(z, (k // 2, k // 2))
        score = pad.unfold(1, k, 1) @ kernel
        got = _call(answer, x, kernel)
        if _close(got, torch.sigmoid(score)):
            raise Hint("These are the gates. Multiply the map with them, each gate over a whole channel.")
        if _close(got, x * score[:, :, None, None]):
            raise Hint("You left out the sigmoid.")
        if _close(got, x * torch.sigmoid(pad.unfold(1, k, 1) @ kernel.flip(0))[:, :, None, None]):
            raise Hint("You flipped the kernel. F.conv1d does not flip: kernel[0] meets the channel before.")
        ring = torch.cat([z[:, -(k // 2):], z, z[:, :k // 2]], dim=1)
        if _close(got, x * torch.sigmoid(ring.unfold(1, k, 1) @ kernel)[:, :, None, None]):
            raise Hint("Your list of channels is a ring. Beyond both ends there are zeros.")
        expect_equal(got, x * torch.sigmoid(score)[:, :, None, None],
                     hint="Expected a 1-D convolution of the channel means with k // 2 zeros on either side, then a sigmoid.")
    return "k numbers gate any number of channels."


@exercise("channels.summaries")
def _summaries(answer):
    for shape in ((2, 5, 3, 4), (1, 3, 6, 6)):
        x = _randn(*shape) - 0.5
        top, mean = x.amax(1, keepdim=True), x.mean(1, keepdim=True)
        got = _call(answer, x)
        if _close(got, torch.cat([mean, top], 1)):
            raise Hint("The order is the other way round: the maximum comes first in the authors' code.")
        if isinstance(got, torch.Tensor) and got.ndim == 2:
            raise Hint("You pooled over space: that is what the channel gate reads. Here places stay, channels go.")
        if isinstance(got, torch.Tensor) and got.shape == (shape[0], 2, 1, *shape[2:]):
            raise Hint("You stacked maps that still had their channel axis. Use cat, or drop keepdim.")
        expect_equal(got, torch.cat([top, mean], 1), hint="Expected the maximum and the mean over dim=1.")
    return "Two maps, whatever c is: the 7×7 convolution after them has 98 weights."


@exercise("channels.transposed")
def _transposed(answer):
    for b, c, h, w, t in ((2, 5, 3, 4, 3.0), (1, 6, 6, 6, 0.5)):
        q, k, v = (_randn(b, c, h, w, seed=s) + 0.4 for s in (1, 2, 3))
        q_, k_, v_ = (m.flatten(2) for m in (q, k, v))
        unit_q, unit_k = F.normalize(q_, dim=-1), F.normalize(k_, dim=-1)
        scores = unit_q @ unit_k.mT
        got = _call(answer, q, k, v, t)

        def wrong(weights):
            return _close(got, (weights @ v_).view_as(v))

        if wrong((scores * t).softmax(-2)):
            raise Hint("Your softmax runs over the asking channels. Each row must sum to one: softmax over the last axis.")
        if wrong((q_ @ k_.mT * t).softmax(-1)):
            raise Hint("You did not bring q and k to length 1. The products would grow with the number of pixels.")
        if wrong((F.normalize(q_, dim=1) @ F.normalize(k_, dim=1).mT * t).softmax(-1)):
            raise Hint("You normalised each pixel over the channels. Here a channel is a token: normalise over its pixels.")
        if wrong((scores / t).softmax(-1)):
            raise Hint("You divided by the temperature. Despite its name, Restormer multiplies by it.")
        pixels = (q_.mT @ k_ * t).softmax(-1) @ v_.mT
        norm = (F.normalize(q_.mT, dim=-1) @ F.normalize(k_.mT, dim=-1).mT * t).softmax(-1) @ v_.mT
        if _close(got, pixels.mT.view_as(v)) or _close(got, norm.mT.view_as(v)):
            raise Hint("That is attention between pixels, with a table of n × n. Here the channels are the tokens: c × c.")
        expect_equal(got, ((scores * t).softmax(-1) @ v_).view_as(v),
                     hint="Expected softmax(temperature · cosines of channels) times the channels of v.")
    return "The table is c × c, so the cost is linear in the number of pixels."


@exercise("channels.mixup")
def _mixup(answer):
    for shape in ((2, 3, 4, 5), (1, 6, 2, 2)):
        x, y, scores = (_randn(*shape, seed=s) for s in (1, 2, 3))
        w = torch.sigmoid(2 * scores)
        got = _call(answer, x, y, 2 * scores)

        def mixed(w):
            return x + y + w * x + (1 - w) * y

        if _close(got, mixed(torch.sigmoid(w))):
            raise Hint("Two sigmoids: the share lies between 0.50 and 0.73, as in the released code. Intended is one.")
        if _close(got, mixed(2 * scores)):
            raise Hint("You used the scores as shares. A sigmoid brings them into (0, 1).")
        if _close(got, mixed(1 - w)):
            raise Hint("You exchanged x and y: w is the share of x.")
        if _close(got, w * x + (1 - w) * y):
            raise Hint("You left out the sum x + y in front.")
        expect_equal(got, mixed(w), hint="Expected x + y + w x + (1 - w) y with w = sigmoid(scores).")
    return "Rewritten it is (1 + w) x + (2 - w) y: each map keeps at least its own, and they share one more."


@exercise("channels.cheaper")
def _cheaper(answer):
    for b, c, d, o, h, w in ((2, 4, 24, 5, 4, 3), (1, 3, 32, 4, 5, 5)):
        x, y, weight, bias = _randn(b, c, 4 * h, 4 * w), _randn(b, d, h, w), _randn(o, c + d), _randn(o)
        of_x, of_y = weight[:, :c, None, None], weight[:, c:, None, None]

        def wide(m):
            return F.interpolate(m, scale_factor=4, mode="bilinear")

        def run(f):
            counter = FlopCounterMode(display=False)
            with counter:
                out = f()
            return out, counter.get_total_flops()

        want, dear = run(lambda: F.conv2d(torch.cat([x, wide(y)], 1), weight[:, :, None, None], bias))
        got, cost = run(lambda: _call(answer, x, y, weight, bias))
        if _close(got, want - bias[:, None, None]):
            raise Hint("The bias is missing: add it once.")
        if _close(got, want + bias[:, None, None]):
            raise Hint("You added the bias twice, in both convolutions. The concatenated form adds it once.")
        if _close(got, F.conv2d(x, of_x, bias) + F.interpolate(F.conv2d(y, of_y), scale_factor=4, mode="nearest")):
            raise Hint("You enlarged with the nearest neighbour. The expensive form uses mode='bilinear'.")
        expect_equal(got, want, atol=1e-4, hint="The first c columns of the weight read x, the other d read y.")
        if 2 * cost > dear:
            raise Hint(f"The result is right, but it took {cost} operations of the expensive form's {dear}. Project y while it "
                       "is small, and enlarge what comes out.")
    return "Nothing was approximated: a sum of projections, one of them made before the enlargement."
