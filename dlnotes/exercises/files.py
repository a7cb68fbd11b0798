"""Checkers of chapter 9b (Files, leaks and real sets)."""

import io

import numpy as np
import torch

from ._core import Hint, exercise, expect_equal

_NOTHING = "Your function returned nothing yet: replace the ... and return the result."


def _list(got, what: str) -> list:
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if isinstance(got, torch.Tensor):
        got = got.tolist()
    if isinstance(got, (str, dict, set)) or not hasattr(got, "__iter__"):
        raise Hint(f"Expected {what} as a list, got {type(got).__name__}.")
    return list(got)


@exercise("files.in_two")
def in_two(answer):
    for lists, expected in [({"train": ["a", "b"], "test": ["c"]}, []), ({"train": ["d", "a", "b"], "test": ["b", "d"]}, ["b", "d"]),
                            ({"train": ["a", "a"], "test": ["c"]}, []), ({"train": ["a"], "test": ["c"], "val": ["c", "x"]}, ["c"]),
                            ({"one": ["q"], "two": ["q"], "three": ["q", "p"]}, ["q"])]:
        got = _list(answer({k: list(v) for k, v in lists.items()}), "the names")
        if got == expected:
            continue
        if sorted(got) == expected:
            raise Hint("The names are right, their order is not: sort them.")
        if expected == [] and got == ["a"]:
            raise Hint("A name twice in one list is not in two lists: take the set of each list first.")
        if sorted(set(got)) == expected:
            raise Hint("Each name once, please, however many lists it stands in.")
        if list(lists) == ["train", "test", "val"] and not got:
            raise Hint("You compared train with test only: any two of the lists can meet.")
        if list(lists) == ["train", "test", "val"] or not set(expected) <= set(got):
            raise Hint(f"For {lists} expected {expected}, got {got}: in at least two of the lists, not in all of them.")
        raise Hint(f"For {lists} expected {expected}, got {got}.")
    return "A test of one line, and the first to write beside any data set with lists."


@exercise("files.names")
def names(answer):
    cases = [("a.png\nb.JPG\n", ["a", "b"]), ("\ufeffMisc_1\r\nMisc_2.png\r\n\r\n", ["Misc_1", "Misc_2"]),
             ("  first one.png \n\nx.v2\n", ["first one", "x.v2"]), ("gpnp\nbig.jpgs\n", ["gpnp", "big.jpgs"])]
    for text, expected in cases:
        got = _list(answer(text), "the names")
        if got == expected:
            continue
        if any("\ufeff" in str(x) for x in got):
            raise Hint("The first name still carries the byte-order mark, an invisible character: text.lstrip('\\ufeff').")
        if any("\r" in str(x) for x in got):
            raise Hint("Names end in a carriage return: Windows ends lines with two characters; splitlines() knows.")
        if "" in got:
            raise Hint("A blank line became a name: leave it out.")
        if "first" in got and "one" in str(got):
            raise Hint("'first one' is one name: split at the ends of lines, not at blanks.")
        if got != [str(x).strip() for x in got]:
            raise Hint("Blanks around a name remain: strip() each line.")
        if "x" in got:
            raise Hint("'x.v2' lost its end: .v2 is no ending of a picture, so do not cut at the last dot.")
        if any(str(x).lower().endswith((".png", ".jpg")) for x in got):
            raise Hint("An ending is still there: .png and .jpg go, in capitals as well.")
        if expected[0] == "gpnp":
            raise Hint("rstrip('.png') takes away letters, not an ending: test with endswith, cut four characters.")
        raise Hint(f"For {text!r} expected {expected}, got {got}.")
    return "dlnotes.data.read_names does this, and names the byte that is not UTF-8."


@exercise("files.imdecode")
def imdecode(answer):
    from PIL import Image

    for shape in ((5, 7, 3), (5, 7)):
        array = np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)
        stream = io.BytesIO()
        Image.fromarray(array).save(stream, "PNG")
        expected = torch.from_numpy(array)
        expected = expected[None] if expected.ndim == 2 else expected.movedim(-1, 0)
        got = answer(np.frombuffer(stream.getvalue(), np.uint8).copy())
        if isinstance(got, torch.Tensor):
            if got.ndim == 1:
                raise Hint("Those are the bytes of the file, compressed: decode them, Image.open(io.BytesIO(...)).")
            if got.shape == (5, 7, 3):
                raise Hint("The channels are still last: movedim(-1, 0).")
            if got.shape == (5, 7):
                raise Hint("A grey picture is (1, h, w): add the channel.")
            if expected.shape[0] == 1 and got.shape == (3, 5, 7):
                raise Hint("You turned a grey picture into colour: keep its one channel.")
            if got.shape == expected.shape and got.dtype != torch.uint8:
                raise Hint(f"Expected uint8, got {got.dtype}.")
            if got.shape == expected.shape and not torch.equal(got, expected) and torch.equal(got.flatten().sort().values,
                                                                                            expected.flatten().sort().values):
                raise Hint("The pixels are scrambled: an axis moves with movedim or permute, reshape cuts the numbers anew.")
        expect_equal(got, expected, hint="Pixel (row, column) of channel c must stand at [c, row, column].", atol=0)
    return "The name of the file never reaches the decoder, so no character in it can hurt."


@exercise("files.complaints")
def complaints(answer):
    pictures = {"a": (4, 6), "b": (4, 6), "c": (6, 4), "e": (2, 2)}
    masks = {"a": (4, 6), "c": (4, 6), "d": (1, 1), "e": (2, 2)}
    expected = [("b", "no mask"), ("c", "size"), ("d", "no picture")]
    got = _list(answer(dict(pictures), dict(masks)), "the complaints")
    got = [tuple(x) if isinstance(x, (list, tuple)) else x for x in got]
    if got != expected:
        if len(got) == 1 and got[0] in expected:
            raise Hint("You stopped at the first complaint: collect all of them, that is the point.")
        if set(map(str, got)) == set(map(str, expected)):
            raise Hint("All found; sort them.")
        if set(got) == set(expected) - {("d", "no picture")}:
            raise Hint("A mask without a picture was missed: walk over both dicts.")
        if set(got) == set(expected) - {("c", "size")}:
            raise Hint("(6, 4) and (4, 6) hold as many pixels, and differ: compare the sizes themselves.")
        raise Hint(f"Expected {expected}, got {got}.")
    if _list(answer({"a": (1, 2)}, {"a": (1, 2)}), "the complaints"):
        raise Hint("A perfect pair gives no complaint: an empty list.")
    return "One run, one list, one evening of repairs."


@exercise("files.folds")
def folds(answer):
    for groups, k in [(["ann", "ann", "bob", "eve", "bob", "eve", "eve"], 3), ([3, 3, 1, 1, 2, 4, 4, 4], 2), (["x", "y", "z", "x"], 3),
                      (list("aabbccddee"), 4)]:
        got = _list(answer(list(groups), k), "the folds")
        if len(got) != len(groups):
            raise Hint(f"Expected one fold for each of {len(groups)} samples, got {len(got)}.")
        if any(not isinstance(f, int) or isinstance(f, bool) or not 0 <= f < k for f in got):
            raise Hint(f"Folds are whole numbers from 0 to {k - 1}, got {got}.")
        of = {}
        for group, fold in zip(groups, got):
            of.setdefault(group, set()).add(fold)
        torn = [g for g, f in of.items() if len(f) > 1]
        if torn:
            raise Hint(f"Group {torn[0]!r} lies in folds {sorted(of[torn[0]])}: deal out groups, not samples.")
        if set(got) != set(range(k)):
            raise Hint(f"With k={k} the folds {sorted(set(range(k)) - set(got))} stay empty: number the groups, then take them in turn.")
        if got != _list(answer(list(groups), k), "the folds"):
            raise Hint("A second call gives other folds: a split has to be the same every time.")
    return "Python's hash of a string changes from run to run, so hash(group) % k would not have been repeatable."


@exercise("files.tile_starts")
def tile_starts(answer):
    for length, tile, overlap, count in [(100, 64, 16, 2), (64, 64, 16, 1), (1356, 480, 240, 5), (128, 64, 0, 2), (129, 64, 0, 3),
                                         (200, 64, 32, 6)]:
        got = _list(answer(length, tile, overlap), "the starts")
        where = f"length={length}, tile={tile}, overlap={overlap}"
        if not got or got[0] != 0:
            raise Hint(f"{where}: the first tile starts at 0, got {got}.")
        if any(x != int(x) for x in got):
            raise Hint(f"{where}: pixels are whole numbers, got {got}.")
        if max(got) + tile > length:
            raise Hint(f"{where}: the tile at {max(got)} reaches to {max(got) + tile}, beyond the picture.")
        if got != sorted(set(got)):
            raise Hint(f"{where}: expected rising starts, each once, got {got}.")
        if got[-1] + tile < length:
            raise Hint(f"{where}: pixels {got[-1] + tile} to {length - 1} are covered by no tile.")
        if any(a + tile - b < overlap for a, b in zip(got, got[1:])):
            raise Hint(f"{where}: neighbours must share at least {overlap} pixels, got starts {got}.")
        if len(got) > count:
            raise Hint(f"{where}: {count} tiles are enough, you took {len(got)}.")
    return "Spread evenly, as grid_of does, or with a last tile pushed back to the border: both are right here."


@exercise("files.clips")
def clips(answer):
    for frames, length, stride, hop, expected in [(20, 8, 1, 8, 2), (20, 8, 2, 2, 3), (16, 8, 2, 1, 2), (15, 8, 2, 1, 1), (14, 8, 2, 1, 0),
                                                  (3, 8, 1, 1, 0), (100, 16, 4, 10, 4)]:
        got = answer(frames, length, stride, hop)
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if isinstance(got, bool) or not isinstance(got, (int, float)) or got != int(got):
            raise Hint(f"Expected a whole number of clips, got {got!r}.")
        where = f"frames={frames}, length={length}, stride={stride}, hop={hop}"
        if got == expected:
            continue
        if got < 0 or (expected == 0 and got > 0 and frames < (length - 1) * stride + 1):
            raise Hint(f"{where}: the video is shorter than a clip, so there is none.")
        if stride > 1 and got == (frames - length) // hop + 1:
            raise Hint(f"{where}: with stride {stride} a clip of {length} frames spans more than {length} frames.")
        if stride > 1 and got == max(0, (frames - length * stride) // hop + 1):
            raise Hint(f"{where}: after the last frame of a clip no stride is needed: it spans (length - 1) * stride + 1 frames.")
        if got == expected - 1:
            raise Hint(f"{where}: the clip at frame 0 counts, too.")
        if got == expected + 1:
            raise Hint(f"{where}: the last clip does not fit: round down.")
        raise Hint(f"{where}: expected {expected}, got {got}.")
    return "The same formula as the output size of a convolution with dilation: stride is the dilation, hop is the stride."
