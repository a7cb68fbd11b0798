"""Plausible wrong answers of chapter 4 (residual learning), each with words that its hint must contain."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from dlnotes.models.resnet import BasicBlock


def _depth(layers, block, *, inside=None, more=2):
    return (inside or {"basic": 2, "bottleneck": 3}[block]) * sum(layers) + more


def _in_place(branch, shortcut):
    if branch.shape != shortcut.shape:
        raise ValueError("shapes")
    branch += shortcut
    return branch


def _channels_only(branch, shortcut):
    if branch.shape[1] != shortcut.shape[1]:
        raise ValueError("shapes")
    return branch + shortcut


def _asserts(branch, shortcut):
    assert branch.shape == shortcut.shape
    return branch + shortcut


def _option_a(x, out, stride, *, pad=lambda extra: (0, 0, 0, 0, 0, extra), average=False):
    c = x.shape[1]
    x = F.avg_pool2d(x, stride, ceil_mode=True) if average else x[:, :, ::stride, ::stride]
    return F.pad(x, pad(out - c)) if pad else x


def _bottleneck(c, width, stride, *, norm=2, way=None):
    out = 4 * width
    count = c * width + 9 * width * width + width * out + norm * (2 * width + out)
    if (stride > 1 or c != out) if way is None else way(c, width, stride):
        count += c * out + norm * out
    return count


def _pre(block, x, *, way="right", last=False, branch=False):
    active = F.relu(block.bn1(x))
    out = block.conv2(F.relu(block.bn2(block.conv1(active))))
    if branch:
        return out
    if block.downsample is None:
        shortcut = active if way == "active" else x
    else:
        shortcut = block.downsample(x if way == "x" else active)
    out = out + shortcut
    return F.relu(out) if last else out


def _deepen(stage, *, new="zero gamma", share=False, twice=False):
    blocks = []
    for block in stage if share else copy.deepcopy(stage):
        if new == "identity":
            more = nn.Identity()
        else:
            more = BasicBlock(block.out_channels, width=block.out_channels)
            if new in ("zero gamma", "both"):
                nn.init.zeros_(more.bn2.weight)
            if new == "both":
                nn.init.zeros_(more.conv2.weight)
            if new == "first gamma":
                nn.init.zeros_(more.bn1.weight)
                nn.init.ones_(more.bn2.bias)
        blocks += [block, block if twice else more]
    return nn.Sequential(*blocks)


NEAR_MISSES = {
    "resnet.depth": [
        (lambda layers, block: _depth(layers, block, more=0), "stem and the linear layer"),
        (lambda layers, block: _depth(layers, block, more=2 + len(layers)), "projections"),
        (lambda layers, block: _depth(layers, block, inside=2), "three convolutions"),
        (lambda layers, block: sum(layers), "Expected 50"),
    ],
    "resnet.safe_add": [
        (lambda branch, shortcut: branch + shortcut, "broadcasting"),
        (_channels_only, "broadcasting"),
        (_asserts, "raise a ValueError yourself"),
        (_in_place, "in place"),
    ],
    "resnet.zero_padding": [
        (lambda x, out, s: _option_a(x, out, s, pad=lambda extra: (0, 0, 0, 0, extra, 0)), "behind them"),
        (lambda x, out, s: _option_a(x, out, s, average=True), "averaged"),
        (lambda x, out, s: _option_a(x, out, s, pad=None), "zeros"),
    ],
    "resnet.bottleneck_parameters": [
        (lambda c, w, s: _bottleneck(c, w, s, norm=0), "γ and a β"),
        (lambda c, w, s: _bottleneck(c, w, s, way=lambda *_: False), "projection is missing"),
        (lambda c, w, s: _bottleneck(c, w, s, way=lambda c, w, s: s > 1), "projection is missing"),
        (lambda c, w, s: _bottleneck(c, w, s, norm=4), "buffers"),
        (lambda c, w, s: _bottleneck(c, w, s, way=lambda *_: True), "shapes agree"),
    ],
    "resnet.shortcut_term": [
        (lambda s: torch.tensor(s).flip(0).cumprod(0).flip(0), "L + 1"),
        (lambda s: torch.cat([torch.ones(1), torch.tensor(s).cumprod(0)]), "starts at the end"),
        (lambda s: torch.cat([torch.ones(1), torch.tensor(s).flip(0).cumprod(0)]), "turned round"),
    ],
    "resnet.preactivation": [
        (lambda block, x: _pre(block, x, way="active"), "passes x itself"),
        (lambda block, x: _pre(block, x, way="x"), "reads the activated map"),
        (lambda block, x: _pre(block, x, last=True), "Nothing follows the sum"),
        (lambda block, x: _pre(block, x, branch=True), "branch alone"),
    ],
    "resnet.cancel": [
        (lambda d: (torch.eye(d), -torch.eye(d)), "negative half"),
        (lambda d: (torch.cat([torch.eye(d), -torch.eye(d)]), torch.cat([torch.eye(d), -torch.eye(d)]).T), "doubles x"),
        (lambda d: (torch.zeros(d, d), torch.zeros(d, d)), "not zero for all x"),
        (lambda d: torch.eye(d), "pair of matrices"),
    ],
    "resnet.deepen": [
        (lambda stage: _deepen(stage, new="random"), "something else"),
        (lambda stage: _deepen(stage, new="identity"), "cannot learn"),
        (lambda stage: _deepen(stage, new="both"), "never start"),
        (lambda stage: _deepen(stage, share=True), "shares parameters"),
        (lambda stage: _deepen(stage, twice=True), "twice"),
        (lambda stage: copy.deepcopy(stage), "Expected 4 blocks"),
    ],
}
