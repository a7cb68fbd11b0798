"""Checkers of chapter 4b (the ResNet family and transfer)."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from ..models.resnet import ResNet
from ._core import Hint, exercise, expect_equal

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _integer(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, bool) or not isinstance(got, (int, float)) or got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got!r}.")
    return int(got)


@exercise("family.grouped_weights")
def grouped_weights(answer):
    for c, out, k, groups in [(128, 128, 3, 32), (12, 24, 5, 4), (16, 8, 1, 1), (6, 6, 7, 6)]:
        expected = nn.Conv2d(c, out, k, groups=groups, bias=False).weight.numel()
        got = _integer(answer(c, out, k, groups), "the number of weights")
        if got == expected:
            continue
        if groups > 1 and got == c * out * k * k:
            raise Hint("That is the dense convolution: in a group each output reads only c / groups channels.")
        if groups > 1 and got * groups == expected:
            raise Hint("You divided by groups twice. Each group has out / groups outputs, but there are as many groups again.")
        if got * k == expected:
            raise Hint("The kernel has k * k weights for each pair of channels.")
        raise Hint(f"Expected {expected:,} for c={c}, out={out}, k={k}, groups={groups}, got {got:,}.")
    return "Groups divide the weights and the multiply-adds by the same factor; the time follows less readily."


@exercise("family.dense_weight")
def dense_weight(answer):
    for out, c, k, groups, seed in [(6, 8, 3, 2, 0), (9, 6, 1, 3, 1), (4, 4, 3, 4, 2), (4, 5, 3, 1, 3)]:
        weight = _noise(out, c // groups, k, k, seed=seed)
        kept = weight.clone()
        expected = torch.zeros(out, c, k, k)
        rows, columns = out // groups, c // groups
        for g in range(groups):
            expected[g * rows:(g + 1) * rows, g * columns:(g + 1) * columns] = weight[g * rows:(g + 1) * rows]
        got = answer(weight, groups)
        if isinstance(got, torch.Tensor) and got.shape == expected.shape and not torch.allclose(got, expected):
            if torch.allclose(got, kept.repeat(1, groups, 1, 1)):
                raise Hint("Repeated weights read the channels of every group: outside of its own group a row must be zero.")
            striped = torch.zeros_like(expected)
            for o in range(out):
                striped[o, (o % groups) * columns:(o % groups + 1) * columns] = kept[o]
            if torch.allclose(got, striped):
                raise Hint("The outputs of a group stand next to each other: the first out / groups rows belong to group 0.")
        expect_equal(got, expected, hint="It is block-diagonal: rows of group g hold weights in the columns of group g only.")
        if not torch.equal(weight, kept):
            raise Hint("You changed the weight that was passed in: build a new tensor.")
    return "So a grouped convolution is a dense one with zeros that are not stored, not multiplied, and never learned."


@exercise("family.path_width")
def path_width(answer):
    for c, paths, budget in [(256, 32, 70_500), (256, 1, 70_000), (256, 8, 72_000), (64, 4, 5_000)]:
        def weights(d, c=c, paths=paths):
            return paths * (2 * c * d + 9 * d * d)

        expected = max(d for d in range(1, 1000) if weights(d) <= budget)
        got = _integer(answer(c, paths, budget), "the width")
        if got == expected:
            continue
        if got == expected + 1 and weights(got) > budget:
            raise Hint(f"One too many: {paths} paths of width {got} have {weights(got):,} weights, more than {budget:,}.")
        if got == max(d for d in range(1, 5000) if paths * (2 * c * d) <= budget):
            raise Hint("The 3×3 convolution is missing: 9 d² weights for each path.")
        if got == max(d for d in range(1, 5000) if 2 * c * d + 9 * d * d <= budget):
            raise Hint("That is the budget of a single path: there are several of them.")
        raise Hint(f"Expected {expected} for c={c}, {paths} paths and {budget:,} weights, got {got}.")
    return "Thinner paths spend less on their 3×3, whose cost is quadratic, so together they may have more channels."


@exercise("family.radix_softmax")
def radix_softmax(answer):
    for radix, k, c, seed in [(2, 3, 4, 0), (3, 1, 5, 1), (1, 2, 6, 2), (2, 2, 2, 3)]:
        logits = 2 * _noise(3, k * radix * c, seed=seed)
        split = logits.reshape(3, k, radix, c).transpose(1, 2)                              # b r k c
        expected = (split.softmax(1) if radix > 1 else split.sigmoid()).flatten(2)          # b r (k c)
        got = answer(logits.clone(), radix, k)
        if isinstance(got, torch.Tensor) and got.shape == expected.shape and not torch.allclose(got, expected, atol=1e-5):
            if radix > 1 and torch.allclose(got, split.sigmoid().flatten(2), atol=1e-5):
                raise Hint("Independent sigmoids: with a radix above 1 the candidates compete, so a softmax over them is needed.")
            if radix > 1 and torch.allclose(got, split.flatten(2).softmax(-1), atol=1e-5):
                raise Hint("The softmax runs over the channels. It must run over the radix, so that the candidates of a channel sum to 1.")
            if radix == 1 and torch.allclose(got, torch.ones_like(got)):
                raise Hint("A softmax over one candidate is always 1: with radix 1 take the sigmoid.")
            other = logits.reshape(3, radix, k, c)
            if torch.allclose(got, (other.softmax(1) if radix > 1 else other.sigmoid()).flatten(2), atol=1e-5):
                raise Hint("The order of the axis is cardinal group, radix, channel: the group comes first.")
        expect_equal(got, expected, hint="Split the axis as (k r c), bring r to the front, and take the softmax over it.")
    return "The authors store the convolution's channels radix first and these logits group first: order is part of a format."


@exercise("family.squeeze_excite")
def squeeze_excite(answer):
    for c, seed in [(32, 0), (48, 1)]:
        x, down, up = _noise(2, c, 5, 7, seed=seed) + 0.5, _noise(c // 16, c, seed=seed + 2), _noise(c, c // 16, seed=seed + 4)

        def gate(squeezed, middle=F.relu, last=torch.sigmoid, down=down, up=up):
            return last(middle(squeezed @ down.T) @ up.T)[..., None, None]

        mean, expected = x.mean((2, 3)), x * gate(x.mean((2, 3)))
        got = answer(x.clone(), down, up)
        if isinstance(got, torch.Tensor) and got.shape == expected.shape and not torch.allclose(got, expected, atol=1e-5):
            for other, words in ((gate(mean).expand_as(x), "That is the gate itself: multiply the map by it."),
                                 (x * gate(x.amax((2, 3))), "You squeezed with the maximum: SE takes the mean."),
                                 (x * gate(mean, middle=lambda v: v), "The ReLU between the two layers is missing."),
                                 (x * gate(mean, last=lambda v: v.softmax(-1)), "The channels do not compete: use a sigmoid, no softmax."),
                                 (x * gate(x.mean((0, 2, 3))[None]), "You averaged over the batch: every picture has its own gate."),
                                 (x + x * gate(mean), "Nothing is added here: the sum is the block's business.")):
                if torch.allclose(got, other, atol=1e-5):
                    raise Hint(words)
        if isinstance(got, torch.Tensor) and got.ndim == 2:
            raise Hint("That is the gate, (b, c): give it two axes of size 1 and multiply the map by it.")
        expect_equal(got, expected, hint="Mean over space, down, ReLU, up, sigmoid, times x.")
    return "The gate sees the mean of each channel only: a small bright spot and a faint glow are one to it."


@exercise("family.as_linear")
def as_linear(answer):
    for c, out, bias, seed in [(6, 10, True, 0), (5, 3, False, 1), (4, 4, True, 2)]:
        torch.manual_seed(seed)
        conv = nn.Conv2d(c, out, 1, bias=bias)
        kept, x = copy.deepcopy(conv), _noise(2, c, 3, 4, seed=seed)
        got = answer(conv)
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if not isinstance(got, nn.Linear):
            raise Hint(f"Expected an nn.Linear, got {type(got).__name__}.")
        if (got.in_features, got.out_features) != (c, out):
            raise Hint(f"Expected a layer from {c} to {out}, got from {got.in_features} to {got.out_features}.")
        with torch.no_grad():
            expected = kept(x).permute(0, 2, 3, 1)                                          # b h w out
            result = got(x.permute(0, 2, 3, 1))
            if bias and torch.allclose(result - (0 if got.bias is None else got.bias), expected - kept.bias, atol=1e-5) and (
                    not torch.allclose(result, expected, atol=1e-5)):
                raise Hint("The bias is missing or still random: copy it, too.")
            if c == out and torch.allclose(result, F.linear(x.permute(0, 2, 3, 1), kept.weight[:, :, 0, 0].T, kept.bias), atol=1e-5):
                raise Hint("The weight is transposed: both layers store (out, in).")
            if not torch.allclose(result, expected, atol=1e-5):
                raise Hint("The outputs differ: the weight of the linear layer is the convolution's without its last two axes.")
        if not bias and got.bias is not None and bool((got.bias != 0).any()):
            raise Hint("This convolution has no bias: pass bias=False.")
        if {p.untyped_storage().data_ptr() for p in got.parameters()} & {p.untyped_storage().data_ptr() for p in conv.parameters()}:
            raise Hint("Both layers share memory: training one would change the other. Copy the numbers.")
    return "timm has both spellings of ConvNeXt's block and chooses by a setting, conv_mlp; the numbers are the same."


@exercise("family.compare")
def compare(answer):
    ours = {"conv.weight": _noise(4, 3, 3, 3), "fc.weight": _noise(10, 8), "fc.bias": _noise(10), "new.gamma": _noise(4)}
    theirs = {"conv.weight": _noise(4, 3, 3, 3), "fc.weight": _noise(1000, 8), "fc.bias": _noise(1000), "old.beta": _noise(4),
              "aux.weight": _noise(2)}
    expected = {"fits": ["conv.weight"], "missing": ["new.gamma"], "unexpected": ["aux.weight", "old.beta"],
                "shape": ["fc.bias", "fc.weight"]}
    for a, b, wanted in [(ours, theirs, expected),
                         (theirs, ours, {**expected, "missing": expected["unexpected"], "unexpected": expected["missing"]})]:
        got = answer(dict(a), dict(b))
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if not isinstance(got, dict) or set(got) != set(wanted):
            raise Hint(f"Expected a dict with the keys {', '.join(wanted)}.")
        if any(not isinstance(value, list) for value in got.values()):
            raise Hint("Expected four lists of names.")
        if set(got["missing"]) == set(wanted["unexpected"]) and set(got["unexpected"]) == set(wanted["missing"]):
            raise Hint("Missing and unexpected are exchanged: missing is what the model has and the checkpoint lacks.")
        if {*wanted["fits"], *wanted["shape"]} == set(got["fits"]):
            raise Hint("A common name is not enough to fit: compare the shapes, too.")
        if set(got["shape"]) & (set(got["missing"]) | set(got["unexpected"])) or set(wanted["shape"]) & set(got["missing"]):
            raise Hint("A name that both have is neither missing nor unexpected: it belongs into \"shape\" only.")
        for key, value in wanted.items():
            if set(got[key]) != set(value):
                raise Hint(f"Expected {value} under {key!r}, got {got[key]}.")
            if got[key] != value:
                raise Hint(f"The names under {key!r} are right, but not sorted.")
    return "Print such a report before you fine-tune. Most disappointing transfers loaded less than their owner believed."


@exercise("family.freeze")
def freeze(answer):
    torch.manual_seed(0)
    model = ResNet((1, 1), "basic", in_channels=1, num_classes=6, width=8, stem="3x3")
    before = copy.deepcopy(model.state_dict())
    got = answer(model, 4)
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, nn.Module):
        raise Hint(f"Expected the model, got {type(got).__name__}.")
    x, y = _noise(16, 1, 8, 8), torch.arange(16) % 4
    out = got(x)
    if tuple(out.shape) != (16, 4):
        raise Hint(f"Expected a head with 4 outputs, got output of shape {tuple(out.shape)}.")
    got.train()
    head = {name: p.detach().clone() for name, p in got.named_parameters() if name.startswith("fc")}
    trained = [p for p in got.parameters() if p.requires_grad]
    if not trained:
        raise Hint("Nothing can be trained: the new head must not be frozen. Make it after freezing.")
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(got(x), y).backward()
        optimizer.step()
    after = got.state_dict()
    moved = [name for name, value in before.items() if not name.startswith("fc") and not torch.equal(value, after[name])]
    if any("running" not in name and "num_batches" not in name for name in moved):
        raise Hint(f"The backbone was trained: {moved[0]} moved. Set requires_grad to False for all but the head.")
    if moved:
        raise Hint("The parameters stayed, the BatchNorm statistics moved: model.train() put the BatchNorms back into training mode. Make "
                   "them stay in eval mode.")
    if all(torch.equal(value, after[name]) for name, value in head.items()):
        raise Hint("The head did not move: it must be trainable.")
    return "Libraries do it in this way or with a frozen BatchNorm class that has no training mode at all."
