"""Plausible wrong answers to the exercises of chapter 1, each with words that its hint must contain."""

import torch
import torch.nn.functional as F
from einops import rearrange

RIGHT_QUIZ = [(8, 9, 3, 1), (8, 90), (8, 18, 5, 2), (8, 2, 9, 5, 2), (8, 2, 5, 9)]


def quiz(number, answer):
    return [answer if i == number else right for i, right in enumerate(RIGHT_QUIZ, 1)]


def scale_in_place(x, weight):
    x *= weight[:, :, None, None]
    return x


def gate_by_trailing_axes(x, weight):
    return x * weight if x.shape[:2] == x.shape[2:] else x * weight[:, :, None, None]


def pad(left_top=False, swapped=False, always=False, crop=False):
    def answer(x, m):
        h, w = x.shape[2:]
        bottom, right = (m - h % m, m - w % m) if always else (-h % m, -w % m)
        if crop:
            return x[:, :, :h - h % m, :w - w % m]
        if swapped:
            return F.pad(x, (0, bottom, 0, right))
        return F.pad(x, (right, 0, bottom, 0) if left_top else (0, right, 0, bottom))
    return answer


def mask_in_place(scores, k):
    losers = torch.ones_like(scores, dtype=torch.bool).scatter(-1, scores.topk(k).indices, False)
    return scores.masked_fill_(losers, -torch.inf)


def mask_with_zeros(scores, k):
    losers = torch.ones_like(scores, dtype=torch.bool).scatter(-1, scores.topk(k).indices, False)
    return scores.masked_fill(losers, 0)


def mask_with_a_large_number(scores, k):
    return mask_with_zeros(scores, k).masked_fill(mask_with_zeros(scores, k) != scores, -1e9)


def mask_the_best(scores, k):
    losers = torch.ones_like(scores, dtype=torch.bool).scatter(-1, scores.topk(k, largest=False).indices, False)
    return scores.masked_fill(losers, -torch.inf)


def mask_below_threshold(scores, k):
    return scores.masked_fill(scores < scores.topk(k).values[..., -1:], -torch.inf)


def mask_globally(scores, k):
    flat = scores.flatten()
    return torch.full_like(flat, -torch.inf).scatter(0, flat.topk(k).indices, flat.topk(k).values).view_as(scores)


def chain_everywhere(shape, strides, new):
    """Contiguity under another name: asks every border, crossed or not."""
    return all(strides[i] == shape[i + 1] * strides[i + 1] for i in range(len(shape) - 1))


def count_size_one_axes(shape, strides, new):
    borders, total = {1}, 1
    for size in new:
        total *= size
        borders.add(total)
    total = 1
    for i in range(len(shape) - 1):
        total *= shape[i]
        if total not in borders and strides[i] != shape[i + 1] * strides[i + 1]:
            return False
    return True


NEAR_MISSES = {
    "tensors.quiz": [
        (quiz(1, (8, 9, 2, 1)), "Question 1"),
        (quiz(2, (72, 5, 2)), "has 3 axes, the result has 2"),
        (quiz(4, (8, 18, 5, 2)), "Does the operation add an axis"),
        (quiz(5, (8, 5, 2, 9)), "wrong order"),
        (RIGHT_QUIZ[:4], "list of 5"),
        (quiz(3, ...), "still open"),
    ],
    "tensors.vectors": [
        (lambda x: x.squeeze(), "lost its batch axis"),
        (lambda x: x.squeeze() if x.shape[0] > 1 else x.squeeze()[None], "channel axis vanished"),
        (lambda x: x.squeeze(-1), "One axis of size 1 is left"),
    ],
    "tensors.to_chw": [
        (lambda photo: photo.reshape(1, 3, *photo.shape[:2]).float() / 255, "mixed the colours"),
        (lambda photo: photo.permute(2, 1, 0)[None].float() / 255, "lies on its side"),
        (lambda photo: photo.permute(2, 0, 1)[None].float(), "divide"),
        (lambda photo: photo.permute(2, 0, 1).float() / 255, "batch axis"),
        (lambda photo: photo.permute(2, 0, 1)[None], "uint8"),
    ],
    "tensors.gate": [
        (lambda x, weight: x * weight, "two more axes"),
        (gate_by_trailing_axes, "nobody complained"),
        (lambda x, weight: x * weight[:, None, None, :], "behind c"),
        (lambda x, weight: x * weight[0][:, None, None], "share one gate"),
        (lambda x, weight: x + weight[:, :, None, None], "you added"),
        (scale_in_place, "in place"),
    ],
    "tensors.pad": [
        (pad(swapped=True), "starts with the last axis"),
        (pad(left_top=True), "at the left and at the top"),
        (pad(always=True), "already fits"),
        (pad(crop=True), "cropped"),
    ],
    "tensors.without_class_token": [
        (lambda t, h, w: rearrange(t, "b (h w) c -> b c h w", h=h, w=w), "drop the class token"),
        (lambda t, h, w: t[:, 1:].reshape(len(t), -1, h, w), "scrambled"),
        (lambda t, h, w: rearrange(t[:, :-1], "b (h w) c -> b c h w", h=h), "first one"),
        (lambda t, h, w: rearrange(t[:, 1:], "b (h w) c -> b c h w", h=w), "changed places"),
        (lambda t, h, w: rearrange(t[:, 1:], "b (h w) c -> b h w c", h=h), "channels-last"),
    ],
    "tensors.mae_pictures": [
        (lambda t, p, h, w: rearrange(t, "b (h w) (c p q) -> b c (h p) (w q)", h=h, p=p, q=p), "colour last"),
        (lambda t, p, h, w: rearrange(t, "b (h w) (p q c) -> b c (h q) (w p)", h=h, p=p, q=p), "transposed"),
        (lambda t, p, h, w: t.reshape(len(t), -1, h * p, w * p), "no axis was moved"),
    ],
    "tensors.scores_bytes": [
        (lambda a, b, size: torch.empty(a, device="meta").matmul(torch.empty(b, device="meta")).numel(), "counts elements"),
        (lambda a, b, size: a[-2] * b[-1] * size, "one matrix"),
        (lambda a, b, size: torch.Size(a).numel() * b[-1] * size, "summed away"),
        (lambda a, b, size: torch.Size(a[:-1]).numel() * b[-1] * size, "batch axes broadcast"),
    ],
    "tensors.keep_topk": [
        (mask_with_zeros, "exp(0) = 1"),
        (lambda scores, k: scores, "still there"),
        (mask_with_a_large_number, "large negative number"),
        (mask_in_place, "in place"),
        (mask_the_best, "smaller than one that was thrown away"),
        (mask_below_threshold, "ties"),
        (mask_globally, "whole tensor"),
    ],
    "tensors.clip": [
        (lambda f: f.reshape(1, f.shape[3], *f.shape[:3]), "moved no axis"),
        (lambda f: f.permute(0, 3, 1, 2)[None], "sum over time"),
        (lambda f: f.permute(0, 3, 1, 2), "batch of t pictures"),
        (lambda f: f.permute(3, 0, 1, 2), "batch axis"),
        (lambda f: f.permute(3, 0, 2, 1)[None], "on its side"),
    ],
    "tensors.view_works": [
        (chain_everywhere, "contiguous or not"),
        (count_size_one_axes, "axis of size 1"),
        (lambda shape, strides, new: True, "you said True"),
    ],
}
