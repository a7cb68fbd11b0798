"""Checkers of chapter 2, second part (normalization)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ._core import Hint, exercise, expect_equal


def _noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _same(got, expected: torch.Tensor, atol: float = 1e-6) -> bool:
    return (isinstance(got, torch.Tensor) and got.shape == expected.shape
            and torch.allclose(got.detach().to(expected), expected, atol=atol, rtol=1e-5))


def _pair(got, first: str, second: str) -> tuple:
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Hint(f"Expected a pair ({first}, {second}), got {type(got).__name__}.")
    return got[0], got[1]


def _hint_if(got, mistakes: dict[str, torch.Tensor]) -> None:
    for hint, mistake in mistakes.items():
        if _same(got, mistake):
            raise Hint(hint)


@exercise("normalization.count_means")
def count_means(answer):
    for shape, groups in [((4, 6, 5, 7), 3), ((2, 8, 3, 9), 4)]:
        b, c, h, w = shape
        for kind, want in [("batch", c), ("layer", b), ("pixel", b * h * w), ("instance", b * c), ("group", b * groups)]:
            got = answer(shape, kind, groups) if kind == "group" else answer(shape, kind)
            if got is None or got is ...:
                raise Hint("Your function returned nothing yet: replace the ... and return the result.")
            if isinstance(got, bool) or not isinstance(got, (int, float)):
                raise Hint(f"Expected a whole number, got {type(got).__name__}.")
            if got == want:
                continue
            if got * want == b * c * h * w:
                raise Hint(f"For {kind!r} you counted the numbers that share a mean. Asked is how many means there are.")
            if kind == "layer" and got == b * h * w:
                raise Hint("For 'layer' over c, h, w there is one mean per sample. One per pixel is 'pixel'.")
            if kind == "group" and got in (groups, b * c // groups, c // groups):
                raise Hint("For 'group' each sample has one mean for each group: b times groups.")
            raise Hint(f"For {kind!r} and shape {shape} the number of means is not {got}: multiply the axes that are not shared.")
    return "Only for 'batch' is the number free of b, and so a running average can be kept."


@exercise("normalization.remember")
def remember(answer):
    for shape, momentum in [((3, 4, 2, 1), 0.1), ((2, 5, 3, 4), 0.4)]:
        c = shape[1]
        x, mean, var = 2 + 3 * _noise(*shape), _noise(c, seed=1), 1 + _noise(c, seed=2).abs()
        before = mean.clone(), var.clone()
        got_mean, got_var = _pair(answer(mean, var, x.clone(), momentum), "mean", "variance")
        if not (torch.equal(before[0], mean) and torch.equal(before[1], var)):
            raise Hint("Your function changed the old statistics in place: return new tensors.")
        m, v, biased = x.mean((0, 2, 3)), x.var((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        mixed = lambda old, new, part: (1 - part) * old + part * new                       # noqa: E731
        _hint_if(got_mean, {"The momentum weighs the new batch: (1 - momentum) * old + momentum * new.": mixed(mean, m, 1 - momentum),
                            "That is the batch mean alone: mix it with the old one.": m})
        expect_equal(got_mean, mixed(mean, m, momentum), hint="Look at the mean: taken over batch, rows and columns.")
        _hint_if(got_var, {"The memory collects the unbiased variance: divide by n - 1, not by n.": mixed(var, biased, momentum),
                           "You mixed standard deviations: BatchNorm remembers variances.": mixed(var, v.sqrt(), momentum),
                           "You mixed standard deviations: BatchNorm remembers variances. ": mixed(var.sqrt(), v.sqrt(), momentum)})
        expect_equal(got_var, mixed(var, v, momentum), hint="Look at the variance: the unbiased one of the batch, mixed as the mean.")
    return "With momentum 1 the memory is the last batch; with 0 it never learns."


@exercise("normalization.group_norm")
def group_norm(answer):
    for shape, groups in [((3, 6, 4, 5), 2), ((2, 8, 3, 3), 4), ((2, 6, 2, 5), 6)]:
        x = 1 + 2 * _noise(*shape)
        gamma, beta = 1 + 0.5 * _noise(shape[1], seed=1), _noise(shape[1], seed=2)
        expected = F.group_norm(x, groups, gamma, beta)
        got = answer(x.clone(), groups, gamma, beta)
        if _same(got, expected):
            continue
        b, c, h, w = shape
        n = F.group_norm(x, groups)
        strided = x.reshape(b, c // groups, groups, h, w).transpose(1, 2).reshape(shape)
        strided = F.group_norm(strided, groups).reshape(b, groups, c // groups, h, w).transpose(1, 2).reshape(shape)
        affine = lambda y: y * gamma[:, None, None] + beta[:, None, None]                  # noqa: E731
        parts = x.reshape(b, groups, -1)
        _hint_if(got, {
            "gamma and beta are missing: scale and shift each channel.": n,
            "You divided by the unbiased standard deviation: a norm divides by the biased one.":
                affine(((parts - parts.mean(-1, keepdim=True)) / (parts.var(-1, keepdim=True) + 1e-5).sqrt()).reshape(shape)),
            "You divided by the variance: take the square root.":
                affine(((parts - parts.mean(-1, keepdim=True)) / (parts.var(-1, unbiased=False, keepdim=True) + 1e-5)).reshape(shape)),
            "A group is made of neighbouring channels: '(g c)' with the groups first.": affine(strided),
            "That is BatchNorm: leave the batch axis out of the mean.": F.batch_norm(x, None, None, gamma, beta, training=True),
            "That is one group for all channels: split them first.": affine(F.group_norm(x, 1)),
        })
        expect_equal(got, expected, atol=1e-6, hint="One mean and variance for each sample and group, over its channels, rows and columns.")
    return "With groups=1 you have written LayerNorm over (c, h, w), with groups=c InstanceNorm."


@exercise("normalization.layer_norm_2d")
def layer_norm_2d(answer):
    for shape in [(2, 5, 3, 4), (3, 6, 6, 6)]:                              # the second runs without a permute, too
        x = 1 + 2 * _noise(*shape)
        expected = F.layer_norm(x.permute(0, 2, 3, 1), shape[1:2]).permute(0, 3, 1, 2)
        got = answer(x.clone())
        if _same(got, expected):
            continue
        if isinstance(got, torch.Tensor) and got.shape == expected.permute(0, 2, 3, 1).shape != expected.shape:
            raise Hint("The result is channels last: permute back to (b, c, h, w).")
        mistakes = {"That is one mean per sample, over (c, h, w). Asked is one per pixel.": F.layer_norm(x, shape[1:]),
                    "That is InstanceNorm: you normalized over the places of each channel.": F.instance_norm(x),
                    "You divided by the unbiased standard deviation: a norm divides by the biased one.":
                        (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt(),
                    "Reshape instead of permute scrambles the channels: move the axis with permute.":
                        F.layer_norm(x.reshape(shape[0], *shape[2:], shape[1]), shape[1:2]).reshape(shape)}
        if shape[1] == shape[3]:
            mistakes["You normalized over the last axis, the width. Move the channels there first."] = F.layer_norm(x, shape[3:])
        _hint_if(got, mistakes)
        expect_equal(got, expected, atol=1e-6, hint="Permute to (b, h, w, c), normalize the last axis, permute back.")
    return "A map whose width equals its channels would have let the missing permute pass: test with other sizes."


@exercise("normalization.backward")
def backward(answer):
    for n, d in [(5, 7), (3, 16)]:
        x, gradient = 1 + 2 * _noise(n, d), _noise(n, d, seed=1)
        leaf = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(F.layer_norm(leaf, (d,)), leaf, gradient)
        got = answer(x.clone(), gradient.clone())
        if _same(got, expected):
            continue
        std = (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        y = (x - x.mean(-1, keepdim=True)) / std
        mean, along = gradient.mean(-1, keepdim=True), y * (gradient * y).mean(-1, keepdim=True)
        _hint_if(got, {
            "That treats mean and variance as constants. They depend on x as well: two parts must be subtracted.": gradient / std,
            "The part along n is missing: the variance depends on x, too.": (gradient - mean) / std,
            "The mean of the gradient is missing.": (gradient - along) / std,
            "You forgot to divide by the standard deviation.": gradient - mean - along,
            "The means run over d, the last axis, not over all tokens.":
                (gradient - gradient.mean() - y * (gradient * y).mean()) / std,
            "Take means of u * n, not sums.": (gradient - mean - y * (gradient * y).sum(-1, keepdim=True)) / std,
        })
        expect_equal(got, expected, atol=1e-6, hint="(u - mean(u) - n * mean(u * n)) / std, with means over d.")
    return "The same line serves all five norms: only the axes of the means differ."


@exercise("normalization.fold_before")
def fold_before(answer):
    for inputs, outputs in [(5, 3), (4, 4)]:
        generator = torch.Generator().manual_seed(inputs)
        bn, linear = nn.BatchNorm1d(inputs).double().eval(), nn.Linear(inputs, outputs).double()
        with torch.no_grad():
            for tensor in (bn.weight, bn.bias, bn.running_mean, linear.weight, linear.bias):
                tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
            bn.running_var.copy_(0.5 + torch.rand(inputs, generator=generator, dtype=torch.float64))
            kept = linear.weight.clone(), linear.bias.clone()
            weight, bias = _pair(answer(bn, linear), "weight", "bias")
            if not (torch.equal(kept[0], linear.weight) and torch.equal(kept[1], linear.bias)):
                raise Hint("Your function changed the linear layer: return new tensors.")
            scale = bn.weight / (bn.running_var + bn.eps).sqrt()
            shift = bn.bias - scale * bn.running_mean
            if inputs == outputs:
                _hint_if(weight, {"The scale belongs to the inputs, the columns of the weight; you scaled its rows.":
                                  linear.weight * scale[:, None]})
            _hint_if(weight, {"Divide gamma by the standard deviation: the square root of the variance.":
                              linear.weight * bn.weight / (bn.running_var + bn.eps),
                              "gamma is missing in the weight.": linear.weight / (bn.running_var + bn.eps).sqrt()})
            expect_equal(weight, linear.weight * scale, hint="Each column of the weight times gamma / std of its input.")
            wrong = {"The shift passes through the weight before it reaches the bias: add weight @ shift.":
                     linear.bias + shift if inputs == outputs else linear.bias,
                     "The bias changes, too: what BatchNorm adds passes through the weight.": linear.bias,
                     "The shift is scaled twice: use the weight of the original layer.": linear.bias + (linear.weight * scale) @ shift,
                     "The running mean is missing in the bias.": linear.bias + linear.weight @ bn.bias,
                     "The bias of the linear layer is lost: add it.": linear.weight @ shift}
            _hint_if(bias, wrong)
            expect_equal(bias, linear.bias + linear.weight @ shift, hint="shift = beta - mean * gamma / std; bias = old + weight @ shift.")
    return "With a padded convolution in place of the linear layer it would fail at the border: the zeros there are not shifted."


@exercise("normalization.dropout")
def dropout(answer):
    x = 1 + torch.rand(200, 300, generator=torch.Generator().manual_seed(0))
    still = answer(x.clone(), 0.3, False)
    if still is None or still is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if _same(still, x * 0.7):
        raise Hint("In evaluation nothing is scaled: the survivors were scaled in training already.")
    expect_equal(still, x, hint="Outside of training, x comes back as it was.")
    for p in (0.3, 0.8):
        before = x.clone()
        got = answer(x, p, True)
        if not torch.equal(before, x):
            raise Hint("Your function changed its input in place.")
        expect_equal(torch.zeros(1) if isinstance(got, torch.Tensor) and got.shape == x.shape else got, torch.zeros(1))
        dropped = (got == 0).double()
        if dropped.mean(0).std() > 0.2 or dropped.mean(1).std() > 0.2:
            raise Hint("Whole rows or columns are dropped together: draw for each number.")
        gone = dropped.mean().item()
        if math.isclose(gone, 1 - p, abs_tol=0.02):
            raise Hint("You kept a share of p: p is the probability of dropping.")
        if not math.isclose(gone, p, abs_tol=0.02):
            raise Hint(f"A share of {gone:.2f} was dropped, expected about p = {p}; each number has its own draw.")
        factor = (got / x)[got != 0]
        if _same(factor, torch.ones_like(factor)):
            raise Hint("The survivors must be scaled by 1 / (1 - p), so that the mean stays.")
        if _same(factor, torch.full_like(factor, 1 / p), 1e-4):
            raise Hint("You divided by p: the share that stays is 1 - p.")
        if not _same(factor, torch.full_like(factor, 1 / (1 - p)), 1e-4):
            raise Hint("The survivors have the wrong scale: divide them by 1 - p, all of them by the same.")
        if torch.equal(got, answer(x, p, True)):
            raise Hint("Two calls dropped the same numbers: draw anew in each call.")
    everything = answer(x, 1.0, True)
    if not _same(everything, torch.zeros_like(x)):
        raise Hint("For p = 1 everything is dropped, and 0 / 0 is no number: return zeros.")
    expect_equal(answer(x, 0.0, True), x, hint="For p = 0 nothing is dropped.")
    return "torch.rand is from 0 up to but not including 1, so `>= p` keeps everything for p = 0."


def _nested() -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    block = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    model = nn.Sequential(block, nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Sequential(nn.BatchNorm1d(6))), nn.Linear(6, 2))
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator))
    return model.double()


@exercise("normalization.freeze_statistics")
def freeze_statistics(answer):
    for start in (True, False):
        model = _nested().train(start)
        got = answer(model)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the model.")
        if not isinstance(got, nn.Module):
            raise Hint(f"Expected the model, got {type(got).__name__}.")
        norms = [m for m in got.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        if len(norms) != 2:
            raise Hint("The BatchNorms are gone: keep them, with their statistics.")
        old = [(m.running_mean.clone(), m.running_var.clone()) for m in norms]
        expected = [m.running_mean.clone() for m in _nested().modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        if not all(torch.equal(mean.to(want), want) for (mean, _), want in zip(old, expected)):
            raise Hint("The running statistics were lost: freeze them, do not reset them.")
        if not got[0][3].training:
            raise Hint("Dropout is off: the rest of the model must stay in training mode.")
        loss = got(5 + 3 * _noise(8, 2, 5, 5)).square().sum()
        if loss.requires_grad:
            loss.backward()
        moved = [not torch.equal(m.running_mean, mean) or not torch.equal(m.running_var, var) for m, (mean, var) in zip(norms, old)]
        if all(moved):
            raise Hint("The running statistics still move. requires_grad_(False) does not stop them: put the BatchNorms into eval().")
        if any(moved):
            raise Hint("One of two BatchNorms still learns: look into nested modules with model.modules(), and at every kind.")
        y, z = _noise(4, 6), _noise(4, 6, seed=1)
        with torch.no_grad():
            if not _same(norms[1](torch.cat([y, z]))[:4], norms[1](torch.cat([y, 5 * z]))[:4]):
                raise Hint("The BatchNorms still normalize with the batch: momentum 0 keeps the memory, but does not use it.")
        if any(p.grad is None or not p.requires_grad for p in got.parameters()):
            raise Hint("Some parameters get no gradient any more: freeze the statistics only.")
    return "Call it again after every model.train(), or override train() in your class: the flag is all that holds it."
