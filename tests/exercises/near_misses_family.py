"""Plausible wrong answers of chapter 4b (family and transfer), each with words that its hint must contain."""

import torch
import torch.nn.functional as F
from torch import nn


def _dense(weight, groups, *, interleaved=False):
    out, each, k, _ = weight.shape
    dense = weight.new_zeros(out, each * groups, k, k)
    for o in range(out):
        g = o % groups if interleaved else o // (out // groups)
        dense[o, g * each:(g + 1) * each] = weight[o]
    return dense


def _width(c, paths, budget, *, kernel=9, more=0, single=False):
    d = 0
    while (1 if single else paths) * (2 * c * (d + 1) + kernel * (d + 1) ** 2) <= budget:
        d += 1
    return d + more


def _radix(logits, radix, k, *, how="softmax", first="k"):
    b = len(logits)
    x = logits.reshape(b, k, radix, -1).transpose(1, 2) if first == "k" else logits.reshape(b, radix, k, -1)
    x = x.flatten(2)
    if how == "channels":
        return x.softmax(-1)
    return x.sigmoid() if how == "sigmoid" or (radix == 1 and how != "always softmax") else x.softmax(1)


def _se(x, down, up, *, pool=lambda x: x.mean((2, 3)), middle=F.relu, last=torch.sigmoid, give="product"):
    gate = last(middle(pool(x) @ down.T) @ up.T)
    return {"product": x * gate[..., None, None], "gate": gate, "sum": x + x * gate[..., None, None]}[give]


def _linear(conv, *, bias="copy", transpose=False, share=False):
    linear = nn.Linear(conv.in_channels, conv.out_channels, bias=bias != "none" and (conv.bias is not None or bias == "always"))
    weight = conv.weight[:, :, 0, 0]
    if share:
        linear.weight = nn.Parameter(weight.detach())
        if conv.bias is not None:
            linear.bias = conv.bias
        return linear
    with torch.no_grad():
        linear.weight.copy_(weight.T if transpose and weight.shape[0] == weight.shape[1] else weight)
        if conv.bias is not None and linear.bias is not None:
            linear.bias.copy_(conv.bias)
    return linear


def _compare(ours, theirs, *, exchange=False, shapes=True, missing_too=False, order=sorted):
    both = ours.keys() & theirs.keys()
    fits = {name for name in both if not shapes or ours[name].shape == theirs[name].shape}
    missing, unexpected = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    if missing_too:
        missing = missing | (both - fits)
    if exchange:
        missing, unexpected = unexpected, missing
    return {"fits": order(fits), "missing": order(missing), "unexpected": order(unexpected), "shape": order(both - fits)}


def _freeze(model, n, *, norm="moves", head="after", parameters=True):
    if head == "before":
        model.fc = nn.Linear(model.out_channels, n)
    if parameters:
        for p in model.parameters():
            p.requires_grad_(False)
    if head == "after":
        model.fc = nn.Linear(model.out_channels, n)
    return model.eval() if norm == "eval once" else model


NEAR_MISSES = {
    "family.grouped_weights": [
        (lambda c, out, k, g: c * out * k * k, "dense convolution"),
        (lambda c, out, k, g: (c // g) * (out // g) * k * k, "twice"),
        (lambda c, out, k, g: out * (c // g) * k, "k * k"),
    ],
    "family.dense_weight": [
        (lambda w, g: w.repeat(1, g, 1, 1), "must be zero"),
        (lambda w, g: _dense(w, g, interleaved=True), "next to each other"),
        (lambda w, g: w, "block-diagonal"),
    ],
    "family.path_width": [
        (lambda c, p, b: _width(c, p, b, more=1), "One too many"),
        (lambda c, p, b: _width(c, p, b, kernel=0), "3×3 convolution is missing"),
        (lambda c, p, b: _width(c, p, b, single=True), "single path"),
    ],
    "family.radix_softmax": [
        (lambda x, r, k: _radix(x, r, k, how="sigmoid"), "compete"),
        (lambda x, r, k: _radix(x, r, k, how="channels"), "over the channels"),
        (lambda x, r, k: _radix(x, r, k, how="always softmax"), "always 1"),
        (lambda x, r, k: _radix(x, r, k, first="r"), "group comes first"),
    ],
    "family.squeeze_excite": [
        (lambda x, d, u: _se(x, d, u, give="gate"), "two axes of size 1"),
        (lambda x, d, u: _se(x, d, u, pool=lambda x: x.amax((2, 3))), "maximum"),
        (lambda x, d, u: _se(x, d, u, middle=lambda v: v), "ReLU"),
        (lambda x, d, u: _se(x, d, u, last=lambda v: v.softmax(-1)), "do not compete"),
        (lambda x, d, u: _se(x, d, u, pool=lambda x: x.mean((0, 2, 3))[None]), "over the batch"),
        (lambda x, d, u: _se(x, d, u, give="sum"), "Nothing is added"),
    ],
    "family.as_linear": [
        (lambda conv: _linear(conv, bias="none"), "bias is missing"),
        (lambda conv: _linear(conv, transpose=True), "transposed"),
        (lambda conv: _linear(conv, share=True), "share memory"),
        (lambda conv: nn.Linear(conv.in_channels, conv.out_channels), "outputs differ"),
    ],
    "family.compare": [
        (lambda a, b: _compare(a, b, exchange=True), "exchanged"),
        (lambda a, b: _compare(a, b, shapes=False), "compare the shapes"),
        (lambda a, b: _compare(a, b, missing_too=True), "neither missing"),
        (lambda a, b: _compare(a, b, order=lambda names: sorted(names, reverse=True)), "not sorted"),
    ],
    "family.freeze": [
        (lambda m, n: _freeze(m, n), "BatchNorm statistics moved"),
        (lambda m, n: _freeze(m, n, norm="eval once"), "BatchNorm statistics moved"),
        (lambda m, n: _freeze(m, n, head="before"), "must not be frozen"),
        (lambda m, n: _freeze(m, n, parameters=False), "backbone was trained"),
        (lambda m, n: m, "4 outputs"),
    ],
}
