"""Checkers of chapter 8 (SVD and Sobel)."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ._core import Hint, exercise, expect_equal, expect_number


def _noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _same(got, expected: torch.Tensor, atol: float = 1e-6) -> bool:
    return (isinstance(got, torch.Tensor) and got.shape == expected.shape and got.is_floating_point()
            and torch.allclose(got.detach().to(expected), expected, atol=atol, rtol=1e-4))


@exercise("svd.rank_k")
def rank_k(answer):
    for h, w, k in [(7, 5, 2), (4, 9, 3), (6, 6, 1)]:
        x = _noise(h, w)
        U, s, Vh = torch.linalg.svd(x, full_matrices=False)
        expected = U[:, :k] * s[:k] @ Vh[:k]                                               # h w
        got = answer(x.clone(), k)
        if _same(got, expected):
            continue
        wrong = {
            "The singular values are missing: U[:, :k] @ Vh[:k] gives every term the same weight.": U[:, :k] @ Vh[:k],
            "That is only term k. Add the first k terms.": s[k - 1] * torch.outer(U[:, k - 1], Vh[k - 1]),
            "You kept the last k terms: the largest come first.": U[:, -k:] * s[-k:] @ Vh[-k:],
            "That is the picture minus the sum, the part that should go.": x - expected,
        }
        for hint, mistake in wrong.items():
            if _same(got, mistake):
                raise Hint(hint)
        if h == w and _same(got, U[:, :k] * s[:k] @ Vh.T[:k]):
            raise Hint("torch returns Vh, which is transposed already: take its first k rows.")
        expect_equal(got, expected, hint="Keep k columns of U, k values and k rows of Vh; torch returns Vh, transposed already.")
    return "Dropping the small terms of U, s and Vh first is what keeps this cheap: the product costs h k w."


@exercise("svd.smallest_rank")
def smallest_rank(answer):
    values = torch.tensor([12.0, 4.0, 3.0, 0.0, 0.0], dtype=torch.float64)                 # norm 13
    q, _ = torch.linalg.qr(_noise(8, 5, seed=1))
    p, _ = torch.linalg.qr(_noise(5, 5, seed=2))
    exact = q * values @ p.T                                                               # 8 5; errors 5/13, 3/13, 0
    rough = _noise(12, 9, seed=3)
    squares = torch.linalg.svdvals(rough).square()
    cases = [(exact, 0.39, 1), (exact, 0.30, 2), (exact, 0.2, 3)]
    cases += [(rough, t, next(k for k in range(1, 10) if (squares[k:].sum() / squares.sum()).sqrt() <= t)) for t in (0.7, 0.5, 0.2)]
    for x, tolerance, expected in cases:
        got = expect_number(answer(x.clone(), tolerance), "the rank")
        if got == expected:
            continue
        s = torch.linalg.svdvals(x)

        def first(rule):
            return next((k for k in range(1, len(s) + 1) if rule(k)), len(s))

        by_energy = first(lambda k: s[k:].square().sum() / s.square().sum() <= tolerance)
        by_values = first(lambda k: s[k:].sum() / s.sum() <= tolerance)
        if got == by_energy:
            raise Hint("You compared the lost energy with the tolerance: the error is its square root.")
        if got == by_values:
            raise Hint("You added the singular values: add their squares.")
        if got == expected - 1:
            raise Hint("One term too few. s[k:] are the values that k terms leave out, counted from zero.")
        if got == expected + 1:
            raise Hint("One term too many: an error equal to the tolerance is allowed, and s[k:] is what k terms leave out.")
        raise Hint(f"For a tolerance of {tolerance:g} the answer is {expected}, yours is {got}. Use Eckart and Young: the error is "
                   "the root of the discarded squares over all squares.")
    return "No sum was ever computed: the values alone decide."


@exercise("svd.break_even")
def break_even(answer):
    for h, w, size in [(512, 512, 1), (512, 512, 4), (100, 4, 1), (3, 8, 1), (100, 30, 2), (3, 4, 4), (27, 10, 1),
                       (480, 640, 2), (3, 3, 1)]:
        expected = (h * w - 1) // (size * (h + w + 1))
        got = expect_number(answer(h, w, size), "the rank")
        if got == expected and got == int(got):
            continue
        if got != int(got):
            raise Hint("k is a whole number: round down.")
        if got == (h * w - 1) // (h + w + 1):
            raise Hint("You counted numbers, not bytes: each stored number takes `size` bytes.")
        if got == h * w // (size * (h + w + 1)):
            raise Hint("Fewer, not as many: where the bytes are equal nothing is saved.")
        if got == (h * w - 1) // (size * (h + w)) or got == h * w // (size * (h + w)):
            raise Hint("You left out the singular values: a term costs h + w + 1 numbers.")
        raise Hint(f"For a picture of {h} by {w} and {size} bytes a number the answer is {expected}, yours is {got}.")
    return "With four bytes a number a square picture must be cut to an eighth of its side before anything is saved."


@exercise("svd.thin_layer")
def thin_layer(answer):
    for m, n, r in [(7, 5, 2), (4, 9, 3)]:
        layer = nn.Linear(n, m).double()
        with torch.no_grad():
            layer.weight.copy_(_noise(m, n, seed=m))
            layer.bias.copy_(_noise(m, seed=n))
        weight = layer.weight.detach().clone()
        U, s, Vh = torch.linalg.svd(weight, full_matrices=False)
        expected = U[:, :r] * s[:r] @ Vh[:r]                                               # m n
        got = answer(layer.float(), r)
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if not isinstance(got, nn.Module):
            raise Hint(f"Expected an nn.Sequential of two linear layers, got {type(got).__name__}.")
        count = sum(p.numel() for p in got.parameters())
        x = _noise(6, n, seed=9).float()
        zero = got(torch.zeros(1, n))
        if zero.shape != (1, m):
            raise Hint(f"Expected {m} outputs, got {tuple(zero.shape)[-1]}: the second layer leads back to all outputs.")
        if count > r * (m + n) + m + r:
            raise Hint(f"There are {count} parameters: the two layers should meet in {r} numbers.")
        linear = (got(x) - zero).double()                                                  # without any bias
        if _same(linear, x.double() @ (U[:, :r] @ Vh[:r]).T, 1e-4):
            raise Hint("The singular values are missing: put them into one of the layers, or their roots into both.")
        if not _same(linear, x.double() @ expected.T, 1e-4):
            raise Hint("The weights are not those of the nearest layer. A linear layer computes x @ weight.T: the first has the "
                       "weight Vh[:r], the second U[:, :r] times s[:r].")
        if not _same(zero[0].double(), layer.bias.double(), 1e-4):
            raise Hint("The bias is not the layer's: the second layer must have exactly that bias, and the first none.")
        if not torch.equal(layer.weight.double(), weight.float().double()):
            raise Hint("You changed the layer that was passed in.")
    return "Root singular values in both factors give the same product, and keep both weights of one size for further training."


@exercise("svd.sobel")
def sobel(answer):
    x = _noise(2, 1, 6, 9)
    across = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=x.dtype) / 8

    def both(padded, first=across):
        return F.conv2d(padded, first[None, None]), F.conv2d(padded, first.T[None, None])

    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    expected = both(padded)
    got = answer(x.clone())
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise Hint(f"Expected a pair (gx, gy), got {type(got).__name__}.")
    wrong = {
        "gx and gy are exchanged: gx compares a pixel's right neighbours with its left ones.": expected[::-1],
        "The signs are wrong: conv2d does not flip the kernel, and brightness that grows to the right has gx > 0.":
            tuple(-g for g in expected),
        "A ramp of 1 a pixel gives 8: divide the whole-number weights by 8.": both(padded, 8 * across),
        "A ramp of 1 a pixel gives 2: divide by 8, not by 4; the difference spans two pixels.": both(padded, 2 * across),
        "The border is padded with zeros, which draws an edge around the picture: repeat the border pixel (replicate).":
            both(F.pad(x, (1, 1, 1, 1))),
        "F.pad's \"reflect\" leaves out the border pixel: use \"replicate\".": both(F.pad(x, (1, 1, 1, 1), mode="reflect")),
    }
    for hint, mistake in wrong.items():
        if all(_same(g, m) for g, m in zip(got, mistake)):
            raise Hint(hint)
    for name, g, e in zip(("gx", "gy"), got, expected):
        if isinstance(g, torch.Tensor) and g.shape == (2, 1, 4, 7):
            raise Hint("The result is smaller than the picture: pad by one pixel before the convolution.")
        expect_equal(g, e, atol=1e-6, hint=f"Check {name}: weights 1 2 1 along the edge, -1 0 1 across it, divided by 8.")
    return "Sums of weights: zero across, so flat areas are silent; one along, so a ramp keeps its slope."


@exercise("svd.split")
def split(answer):
    cases = [torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64), torch.outer(_noise(5), _noise(5, seed=1)),
             -torch.ones(3, 3, dtype=torch.float64)]
    for kernel in cases:
        got = answer(kernel.clone())
        if got is None or got is ...:
            raise Hint("Your function returned nothing yet: replace the ... and return the result.")
        if got is False:
            raise Hint("You found no pair for a kernel of rank 1. Compare the second singular value with the first, with a "
                       "tolerance: rounding leaves it a little above zero.")
        if not isinstance(got, (tuple, list)) or len(got) != 2 or not all(isinstance(g, torch.Tensor) and g.ndim == 1 for g in got):
            raise Hint("Expected a pair of vectors (column, row), or False.")
        product = torch.outer(*got).to(kernel)
        if _same(product, kernel.T) and not _same(product, kernel):
            raise Hint("Column and row are exchanged: the first of the pair is the column.")
        if _same(product / product.norm(), kernel / kernel.norm()):
            if not _same(product, kernel):
                raise Hint("The scale is wrong: the first singular value belongs into one of the two, once.")
        elif _same(-product / product.norm(), kernel / kernel.norm()):
            raise Hint("The sign is wrong: take column and row from the same SVD, without abs.")
        expect_equal(product, kernel, hint="The outer product of the two must be the kernel.")
    for kernel in (torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64), _noise(4, 4, seed=3)):
        if answer(kernel.clone()) is not False:
            raise Hint("This kernel has no such pair, for example the Laplacian: return False when the rank is above 1.")
    return "Prewitt, Sobel, Scharr and the Gaussian split; the Laplacian is a sum of two such kernels."


@exercise("svd.gain")
def gain(answer):
    for f, n in [(0.25, 1), (0.125, 1), (0.1, 2), (0.4, 3), (0.5, 1), (0.0, 2)]:
        expected = abs(math.sin(2 * math.pi * f)) ** n
        got = expect_number(answer(f, n), "the gain")
        if math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-9):
            continue
        wrong = {
            "That is the gain of the whole-number weights: in grey levels per pixel divide by 8.": (8 * math.sin(2 * math.pi * f)) ** n,
            "That is the difference of the neighbours; the derivative is half of it.": (2 * math.sin(2 * math.pi * f)) ** n,
            "That is the gain of an exact derivative, 2 pi f: a difference over two pixels falls behind it and is blind at 1/2.":
                (2 * math.pi * f) ** n,
            "Half the angle: the neighbours are two pixels apart, so the phase between them is 2 times 2 pi f.":
                abs(math.sin(math.pi * f)) ** n,
            "Filters in a row multiply their gains: the power n, not the factor n.": n * abs(math.sin(2 * math.pi * f)),
            "You left n out: filters in a row multiply their gains.": abs(math.sin(2 * math.pi * f)),
        }
        for hint, mistake in wrong.items():
            if math.isclose(got, mistake, rel_tol=1e-6, abs_tol=1e-9):
                raise Hint(hint)
        raise Hint(f"At f = {f:g} and n = {n} the gain is {expected:.4f}, yours is {got:.4f}. Half of e^(iw) - e^(-iw) is i sin w, "
                   "with w = 2 pi f; the mean over the rows changes nothing here.")
    return "The second derivative by Sobel twice has the gain sin squared; the Laplacian has 4 sin(pi f) squared along an axis."


@exercise("svd.components")
def components(answer):
    base = _noise(3, 6 * 7, seed=1) * torch.tensor([5.0, 2.0, 1.0], dtype=torch.float64)[:, None]
    cube = (_noise(8, 3, seed=2) @ base + 0.05 * _noise(8, 42, seed=3) + 10 * _noise(8, 1, seed=4)).reshape(8, 6, 7)
    x = cube.flatten(1)
    centred = x - x.mean(1, keepdim=True)
    _, s, Vh = torch.linalg.svd(centred, full_matrices=False)
    expected = s[:3, None] * Vh[:3]                                                        # 3 42
    got = answer(cube.clone(), 3)
    if got is None or got is ...:
        raise Hint("Your function returned nothing yet: replace the ... and return the result.")
    if not isinstance(got, torch.Tensor):
        raise Hint(f"Expected a tensor (k, h, w), got {type(got).__name__}.")
    if got.shape != (3, 6, 7):
        raise Hint(f"Expected shape (3, 6, 7) for a cube (8, 6, 7) and k = 3, got {tuple(got.shape)}.")

    def matches(other):
        return all(_same(g, o) or _same(-g, o) for g, o in zip(got.flatten(1), other))

    if matches(expected):
        return "Their variances are the squared singular values, divided by the number of pixels less one."
    _, s_raw, Vh_raw = torch.linalg.svd(x, full_matrices=False)
    across = torch.linalg.svd(x - x.mean(0, keepdim=True), full_matrices=False)
    if matches(s_raw[:3, None] * Vh_raw[:3]):
        raise Hint("The means are still in: subtract each band's own mean first.")
    if matches(across[1][:3, None] * across[2][:3]) or matches((x - x.mean())[:3]):
        raise Hint("You subtracted the wrong mean: each band has its own, over all pixels.")
    if matches(Vh[:3]) or matches(Vh[:3] * math.sqrt(x.shape[1] - 1)) or matches(Vh[:3] * math.sqrt(x.shape[1])):
        raise Hint("These are whitened: multiply by the singular values, so that the first has the largest variance.")
    if matches(centred[:3]):
        raise Hint("That is the first bands, centred, not combinations of all bands.")
    raise Hint("Flatten to (bands, pixels), subtract each band's mean, take the SVD: component i is s[i] times row i of Vh.")
