"""Plausible wrong answers of chapter 10, each with words that its hint must contain."""

import argparse


def _which(name, path, files, order=lambda folders: folders, last=False):
    hits = [f"{folder}/{name}" for folder in order(path.split(":")) if f"{folder}/{name}" in files]
    return (hits[-1] if last else hits[0]) if hits else None


def _parser():
    made = argparse.ArgumentParser(add_help=False, exit_on_error=True)
    made.add_argument("--epochs", type=int, default=10)
    made.add_argument("--lr", type=float, default=0.1)
    return made


def _pair(space):
    return space.epochs, space.lr


def _first(raw, *names, **how):
    for name in names:
        try:
            return raw.decode(name, **how)
        except UnicodeDecodeError:
            pass


def _lint(text, *, comment=True, whole=True, normal=True, start=1):
    found = []
    for number, line in enumerate(text.splitlines(), start):
        line = line.split("#")[0] if comment else line
        line = line.lower().replace("_", "-") if normal else line
        name = "".join(c if c.isalnum() or c in "-_." else " " for c in line).split()
        if (whole and name and name[0] == "tensorflow-gpu") or (not whole and "tensorflow-gpu" in line):
            found.append(number)
    return found


def _number(arch):
    return int(arch.split("_")[1])


NEAR_MISSES = {
    "platforms.which": [(lambda n, p, f: _which(n, p, f, last=True), "last hit"),
                        (lambda n, p, f: _which(n, p, f, order=sorted), "sorted"),
                        (lambda n, p, f: next(iter(sorted(x for x in f if x.endswith("/" + n)))), "sorted"),
                        (lambda n, p, f: next((d for d in p.split(":") if f"{d}/{n}" in f), None), "whole path")],
    "platforms.cmd_order": [(lambda s, u: [".", *u, *s], "after the system's"), (lambda s, u: [*s, *u], "current folder"),
                            (lambda s, u: [*s, *u, "."], "Expected '.'")],
    "platforms.decode": [(lambda raw: _first(raw, "gbk", "utf-8"), "UTF-8 first"), (lambda raw: raw.decode("utf-8", "ignore"), "byte-order mark"),
                         (lambda raw: raw.decode("utf-8-sig", "ignore"), "without a word"),
                         (lambda raw: raw.decode("utf-8-sig"), "catch UnicodeDecodeError")],
    "platforms.arguments": [(lambda argv: _pair(_parser().parse_known_args(argv)[0]), "swallowed"),
                            (lambda argv: _pair(_parser().parse_args([])), "had no effect")],
    "platforms.serves": [(lambda c, built: any(_number(b) <= 10 * c[0] + c[1] for b in built if b.startswith("sm")), "another major number"),
                         (lambda c, built: f"sm_{c[0]}{c[1]}" in built, "same major number"),
                         (lambda c, built: any(_number(b) // 10 == c[0] for b in built), "upwards only"),
                         (lambda c, built: any(b.startswith("sm") and _number(b) // 10 == c[0] and _number(b) % 10 <= c[1] for b in built), "PTX")],
    "platforms.lint": [(lambda t: _lint(t, comment=False, whole=False), "comment"), (lambda t: _lint(t, whole=False), "whole names"),
                       (lambda t: _lint(t, normal=False), "lower case"), (lambda t: _lint(t, start=0), "from 1")],
}
