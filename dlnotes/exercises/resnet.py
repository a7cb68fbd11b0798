"""Checkers of chapter 4 (ResNet: residual learning)."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from ..models.preactivation import PreActBasicBlock
from ..models.resnet import BasicBlock, Bottleneck
from ._core import Hint, exercise, expect_equal

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _integer(got, what: str) -> int:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, torch.Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, (int, float)) or got != int(got):
        raise Hint(f"Expected {what} as a whole number, got {got!r}.")
    return int(got)


def _randomise(module: nn.Module, seed: int) -> nn.Module:
    """Weights, γ, β and running statistics that are none of the usual starting values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, x in [*module.named_parameters(), *module.named_buffers()]:
            if x.is_floating_point():
                x.copy_(torch.rand(x.shape, generator=generator) + 0.5 if "running_var" in name or x.ndim == 1
                        else torch.randn(x.shape, generator=generator) * 0.2)
    return module


@exercise("resnet.depth")
def depth(answer):
    for layers, block, expected in [((3, 4, 6, 3), "bottleneck", 50), ((2, 2, 2, 2), "basic", 18), ((3, 4, 23, 3), "bottleneck", 101),
                                    ((5, 5, 5), "basic", 32)]:
        got = _integer(answer(layers, block), "the depth")
        inside = 2 if block == "basic" else 3
        if got == expected:
            continue
        if got == inside * sum(layers):
            raise Hint("You counted the convolutions of the blocks. The stem and the linear layer have weights too.")
        if got in (inside * sum(layers) + 2 + len(layers), inside * sum(layers) + 1 + len(layers)):
            raise Hint("The projections on the shortcuts are not counted: only the longest way is.")
        if got == 2 * sum(layers) + 2:
            raise Hint("A bottleneck has three convolutions, a basic block two.")
        raise Hint(f"Expected {expected} for {layers} and {block!r}, got {got}.")
    return "ResNet-34 and ResNet-50 have the same list of blocks, (3, 4, 6, 3): only the kind of block differs."


@exercise("resnet.safe_add")
def safe_add(answer):
    branch, shortcut = _noise(2, 8, 4, 4), _noise(2, 8, 4, 4, seed=1)
    before = branch.clone()
    expect_equal(answer(branch, shortcut), before + shortcut, hint="The result is the sum of both.")
    if not torch.equal(branch, before):
        raise Hint("You changed the branch in place. Autograd may still need it: write branch + shortcut.")
    for shape in [(2, 1, 4, 4), (1, 8, 4, 4), (2, 8, 1, 4), (8, 4, 4), (2, 4, 4, 8)]:
        for pair in ((branch, _noise(*shape)), (_noise(*shape), branch)):
            try:
                answer(*pair)
            except ValueError:
                continue
            except (RuntimeError, AssertionError) as error:
                raise Hint(f"Shapes (2, 8, 4, 4) and {shape} end in {type(error).__name__}: raise a ValueError yourself, "
                           "before adding.") from error
            raise Hint(f"Shapes (2, 8, 4, 4) and {shape} were added: broadcasting stretched an axis. Compare the whole shapes.")
    return "The check costs nothing, and the grey picture that would have been added to all channels is found at once."


@exercise("resnet.zero_padding")
def zero_padding(answer):
    for c, out, stride, size in [(4, 8, 2, (6, 10)), (3, 5, 1, (4, 4)), (4, 4, 2, (7, 5))]:
        x = _noise(2, c, *size)
        strided = x[:, :, ::stride, ::stride]
        expected = F.pad(strided, (0, 0, 0, 0, 0, out - c))
        got = answer(x.clone(), out, stride)
        if isinstance(got, torch.Tensor) and got.shape == expected.shape:
            extra = out - c
            if extra and torch.equal(got, F.pad(strided, (0, 0, 0, 0, extra, 0))):
                raise Hint("The zeros stand before the old channels: they belong behind them. F.pad counts pairs from the last axis, "
                           "(before, after).")
            if stride > 1 and torch.allclose(got[:, :c], F.avg_pool2d(x, stride, ceil_mode=True)[..., :got.shape[-2], :got.shape[-1]]):
                raise Hint("You averaged neighbours. Option A takes every second pixel and drops the others.")
        elif isinstance(got, torch.Tensor) and got.ndim == 4 and got.shape[1] == c and out != c:
            raise Hint(f"The result still has {c} channels: the new ones, up to {out}, are zeros.")
        expect_equal(got, expected, hint="Every stride-th pixel of the old channels first, then zeros.")
    return "No weights: plain and residual networks can be compared with exactly the same parameters."


@exercise("resnet.bottleneck_parameters")
def bottleneck_parameters(answer):
    for c, width, stride in [(256, 64, 1), (64, 64, 1), (256, 128, 2), (128, 32, 2)]:
        with torch.device("meta"):
            block = Bottleneck(c, width, stride)
        expected = sum(p.numel() for p in block.parameters())
        norms = sum(p.numel() for m in block.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
        way = sum(p.numel() for p in block.downsample.parameters())
        got = _integer(answer(c, width, stride), "the number of parameters")
        if got == expected:
            continue
        if got == expected - norms:
            raise Hint("The BatchNorms are missing: each has a γ and a β for every channel, the projection's too.")
        if way and got == expected - way:
            raise Hint("The projection is missing: stride or channels change here. With stride 1 and 64 channels coming in for 256 "
                       "going out there is one, too.")
        if got == expected + 2 * norms // 2 or got == expected + norms:
            raise Hint("Running mean and variance are buffers, not parameters: only γ and β count.")
        if not way and got > expected and (got - expected) in (c * 4 * width, c * 4 * width + 8 * width):
            raise Hint("You counted a projection where the shapes agree: there the shortcut is the identity.")
        raise Hint(f"Expected {expected:,} for c={c}, width={width}, stride={stride}, got {got:,}.")
    return "The 3×3 convolution holds about half of the weights of a block whose shortcut is the identity."


@exercise("resnet.shortcut_term")
def shortcut_term(answer):
    for scales in ([0.5, 2.0, 3.0], [0.9] * 12, [1.1, 0.0, 0.7]):
        s = torch.tensor(scales, dtype=torch.float64)
        expected = torch.stack([s[i:].prod() for i in range(len(s) + 1)])
        got = answer(list(scales))
        if got is None or got is ...:
            raise Hint(_NOTHING)
        got = torch.as_tensor(got, dtype=torch.float64)
        if got.ndim == 1 and len(got) == len(s):
            raise Hint("One factor is missing: the gradient at the end itself has the factor 1, so there are L + 1.")
        if got.shape == expected.shape and not torch.allclose(got, expected):
            ahead = torch.stack([s[:i].prod() for i in range(len(s) + 1)])
            if torch.allclose(got, ahead):
                raise Hint("You multiplied from the input on. The gradient starts at the end: input 0 carries the product of all.")
            if torch.allclose(got, expected.flip(0)):
                raise Hint("The order is turned round: input 0 comes first, with the product of all factors.")
        expect_equal(got, expected, atol=1e-6, hint="At the input of block l it is scales[l] * ... * scales[L-1].")
    return "One zero among the scales cuts the way for everything below it."


@exercise("resnet.preactivation")
def preactivation(answer):
    for c, width, stride, seed in [(6, 6, 1, 0), (4, 8, 2, 1)]:
        block = _randomise(PreActBasicBlock(c, width, stride), seed).eval()
        x = _noise(2, c, 6, 8, seed=seed)
        simple = copy.deepcopy(block)
        if stride == 1:
            simple.downsample = None
        with torch.no_grad():
            expected = block(x)
            got = answer(simple, x.clone())
            if isinstance(got, torch.Tensor) and got.shape == expected.shape and not torch.allclose(got, expected, atol=1e-4):
                active = F.relu(block.bn1(x))
                branch = block.conv2(F.relu(block.bn2(block.conv1(active))))
                way = x if stride == 1 else block.downsample(x)
                if stride == 1 and torch.allclose(got, branch + active, atol=1e-4):
                    raise Hint("Without a projection the shortcut passes x itself, not the activated map.")
                if stride > 1 and torch.allclose(got, branch + way, atol=1e-4):
                    raise Hint("The projection reads the activated map here, not x.")
                if torch.allclose(got, F.relu(expected), atol=1e-4):
                    raise Hint("Nothing follows the sum: a ReLU there would stand on the main road again.")
                if torch.allclose(got, branch, atol=1e-4):
                    raise Hint("That is the branch alone: the sum with the shortcut is missing.")
        expect_equal(got, expected, atol=1e-4, hint="The order is bn1, ReLU, conv1, bn2, ReLU, conv2, and then the sum.")
    return "The road from the first block to the last is free, except where a projection stands."


@exercise("resnet.cancel")
def cancel(answer):
    for d in (1, 3, 8):
        got = answer(d)
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if not isinstance(got, (tuple, list)) or len(got) != 2 or not all(isinstance(W, torch.Tensor) and W.ndim == 2 for W in got):
            raise Hint("Expected a pair of matrices (W1, W2).")
        W1, W2 = (W.detach().float() for W in got)
        if W1.shape[1] != d or tuple(W2.shape) != (d, W1.shape[0]):
            raise Hint(f"Expected W1 (m, {d}) and W2 ({d}, m), got {tuple(W1.shape)} and {tuple(W2.shape)}.")
        x = _noise(40, d, seed=d)

        def out(x):
            return x + F.relu(x @ W1.T) @ W2.T

        if out(x).abs().max() <= 1e-5:
            continue
        if out(x.abs()).abs().max() <= 1e-5:
            raise Hint("It works where x is not negative. ReLU drops the negative half: send it through with its sign changed.")
        if (x - F.relu(x @ W1.T) @ W2.T).abs().max() <= 1e-5:
            raise Hint("Your branch is +x, so the block doubles x. It must be -x.")
        raise Hint("The block is not zero for all x: F(x) must be -x. Note that x is relu(x) - relu(-x).")
    return "So the +1 in the gradient guarantees nothing. Training rarely goes there, and that is an observation, not a theorem."


@exercise("resnet.deepen")
def deepen(answer):
    for channels, width, count, seed in [(6, 6, 2, 0), (4, 8, 3, 1)]:
        first = BasicBlock(channels, width, 1 if channels == width else 2)
        stage = _randomise(nn.Sequential(first, *(BasicBlock(width, width) for _ in range(count - 1))), seed).eval()
        kept = copy.deepcopy(stage)
        deep = answer(stage)
        if deep is None or deep is ...:
            raise Hint(_NOTHING)
        if not isinstance(deep, nn.Sequential):
            raise Hint(f"Expected an nn.Sequential, got {type(deep).__name__}.")
        if len(stage) != count or any(not torch.equal(a, b) for a, b in zip(stage.state_dict().values(), kept.state_dict().values())):
            raise Hint("The old stage was changed: work on a copy.")
        if len(deep) != 2 * count:
            raise Hint(f"Expected {2 * count} blocks, got {len(deep)}.")
        if any(not isinstance(block, BasicBlock) for block in deep):
            raise Hint("The new blocks must be BasicBlocks: an nn.Identity cannot learn.")
        if {id(p) for p in deep.parameters()} & {id(p) for p in stage.parameters()}:
            raise Hint("The new stage shares parameters with the old one: training it would change both. Copy them.")
        if len({id(block) for block in deep}) < len(deep):
            raise Hint("A block stands in the stage twice: its two copies would learn the same. Make new ones.")
        deep.eval()
        x = _noise(4, channels, 6, 6, seed=seed)
        with torch.no_grad():
            if not torch.allclose(deep(x), kept(x), atol=1e-4):
                raise Hint("The new stage computes something else. A block is the identity, after a ReLU, where its last γ is zero and "
                           "its last β is zero.")
        deep(x).square().sum().backward()
        moved = [any(p.grad is not None and bool((p.grad != 0).any()) for name, p in block.named_parameters() if name != "bn2.bias")
                 for block in deep]                     # a constant that is added is no sign of life of the branch
        if not all(moved):
            raise Hint("In some new block nothing receives a gradient: with the convolution and γ both at zero it can never start. "
                       "Zero the last γ only.")
        if sum(bool((block.bn2.weight == 0).all() and (block.bn2.bias == 0).all()) or bool((block.conv2.weight == 0).all())
               for block in deep) < count:
            raise Hint("The function is right, but fewer than half of the blocks are identities: what did you add?")
    return "The deep network starts where the shallow one stopped. Networks have been grown in this way while they train."
