"""Checkers of chapter 10, Kaggle, Colab, AutoDL."""

import codecs

from ._core import Hint, exercise

__all__: list[str] = []

_NOTHING = "Your function returned nothing: end it with a return."


def _some(got, kind, what):
    if got is None or got is ...:
        raise Hint(_NOTHING)
    if not isinstance(got, kind):
        raise Hint(f"Expected {what}, got {type(got).__name__}.")
    return got


@exercise("platforms.which")
def which(answer):
    files = {"/opt/conda/bin/python", "/usr/bin/python", "/home/me/bin/python", "/usr/bin/pip", "/home/me/bin/pip", "/opt/conda/bin/conda"}
    for path in ("/opt/conda/bin:/home/me/bin:/usr/bin", "/usr/bin:/opt/conda/bin:/home/me/bin", "/usr/local/bin:/usr/bin"):
        for name in ("python", "pip", "conda"):
            expected = next((f"{folder}/{name}" for folder in path.split(":") if f"{folder}/{name}" in files), None)
            got = answer(name, path, set(files))
            if got is ...:
                raise Hint(_NOTHING)
            if got == expected:
                continue
            hits = [f"{folder}/{name}" for folder in path.split(":") if f"{folder}/{name}" in files]
            if expected is None:
                raise Hint(f"{name} is in no folder of {path}: return None; files that lie elsewhere are not searched.")
            if got is None:
                raise Hint(f"{expected} was not found on {path}.")
            if got == hits[-1]:
                raise Hint("You kept the last hit: the search stops at the first folder that has the command.")
            if got in hits:
                raise Hint("You sorted: the order is that of the PATH, whatever the names of its folders are.")
            if isinstance(got, str) and not got.endswith(f"/{name}"):
                raise Hint(f"Expected the whole path of the file, such as {expected}, got {got!r}.")
            raise Hint(f"For {name} on {path} expected {expected}, got {got!r}.")
    return "shutil.which does this, and asks the system whether the file may be executed."


@exercise("platforms.cmd_order")
def cmd_order(answer):
    system, user = [r"C:\Windows\System32", r"C:\Java\bin"], [r"C:\Users\me\Java\bin", r"C:\Users\me\bin"]
    got = list(_some(answer(list(system), list(user)), (list, tuple), "a list of folders"))
    if got == [".", *system, *user]:
        if list(answer(list(user), list(system))) != [".", *user, *system]:
            raise Hint("The answer depends on the names of the folders: use the two arguments.")
        return "So a Java of the user's own never wins against one of the system's, unless the system's entry goes."
    if got == [*system, *user]:
        raise Hint("cmd looks into the current folder first: '.' comes before everything.")
    if got in ([".", *user, *system], [*user, *system]):
        raise Hint("Users' entries come after the system's: for Path the two lists are joined, and the user's are appended.")
    raise Hint(f"Expected '.', then the system's folders, then the user's, got {got}.")


@exercise("platforms.decode")
def decode(answer):
    for text in ("模型: unet\nbatch: 8\n", "plain ascii\n", "学习率: 0.001\n"):
        for raw, name in ((text.encode("utf-8"), "UTF-8"), (codecs.BOM_UTF8 + text.encode("utf-8"), "UTF-8 with a byte-order mark"),
                          (text.encode("gbk"), "GBK")):
            try:
                got = _some(answer(raw), str, "text")
            except UnicodeDecodeError as error:
                raise Hint(f"{name} made {error.encoding} fail: catch UnicodeDecodeError and try the other encoding.") from None
            if got == text:
                continue
            if got.startswith("\ufeff"):
                raise Hint("The byte-order mark is still the first character: the codec 'utf-8-sig' removes it.")
            if name != "GBK":
                raise Hint("UTF-8 was read as GBK: try UTF-8 first. It rejects almost every other file; GBK accepts almost all bytes.")
            raise Hint("Characters were lost or replaced without a word: errors='ignore' hides the damage; decode again as GBK.")
    return "The order matters because one of the two encodings can say no."


@exercise("platforms.arguments")
def arguments(answer):
    kernel = ["-f", "/root/.local/share/jupyter/runtime/kernel-1.json"]
    for given, expected in (([], (10, 0.1)), (["--epochs", "3"], (3, 0.1)), (["--lr", "0.5", "--epochs", "7"], (7, 0.5))):
        for argv in (given, kernel + given):
            try:
                got = answer(list(argv))
            except SystemExit:
                raise Hint(f"argparse ended the session on {argv}: drop the kernel's -f and the file behind it first.") from None
            got = tuple(_some(got, (tuple, list), "a pair (epochs, lr)"))
            if got != expected:
                if got == (10, 0.1):
                    raise Hint(f"{given} had no effect: parse what is left of argv, not an empty list.")
                raise Hint(f"For {argv} expected {expected}, got {got}.")
    for wrong in (["--epohcs", "50"], ["--lrr", "0.5"], kernel + ["--batch", "4"]):
        try:
            got = answer(list(wrong))
        except (SystemExit, ValueError):
            continue
        raise Hint(f"{wrong} was swallowed, and training would run with {got}: anything unknown must be an error.")
    return "dlnotes.platforms.parse_arguments does this, and names the nearest option."


@exercise("platforms.serves")
def serves(answer):
    cases = [((8, 9), ["sm_80", "sm_86", "sm_90"], True, "sm_86 runs on 8.9: same major number, minor not larger"),
             ((6, 1), ["sm_75", "sm_90"], False, "nothing here is old enough for 6.1"),
             ((8, 9), ["sm_75", "sm_90"], False, "sm_75 is machine code of another major number, and sm_90 is newer than the GPU"),
             ((8, 0), ["sm_86"], False, "a binary for 8.6 does not run on 8.0: minor numbers go upwards only"),
             ((8, 9), ["sm_75", "compute_75"], True, "compute_75 is PTX, which the driver compiles for any newer GPU"),
             ((12, 0), ["sm_90", "compute_90"], True, "compute_90 is PTX, which the driver compiles for any newer GPU"),
             ((12, 0), ["sm_80", "sm_90"], False, "a new major number needs new machine code or PTX"),
             ((7, 5), ["compute_80"], False, "PTX for 8.0 is newer than the GPU")]
    for capability, built, expected, why in cases:
        got = answer(capability, list(built))
        if got is None or got is ...:
            raise Hint(_NOTHING)
        if not isinstance(got, bool):
            raise Hint(f"Expected True or False, got {got!r}.")
        if got != expected:
            raise Hint(f"GPU {capability[0]}.{capability[1]}, build {', '.join(built)}: expected {expected}; {why}.")
    return "torch.cuda.get_arch_list() gives the list, torch.cuda.get_device_capability() the pair."


@exercise("platforms.lint")
def lint(answer):
    text = "# tensorflow-gpu is history\ntensorflow-gpu==2.4.0\nTensorFlow_GPU>=2.1  # old\ntorch>=2.4\n" \
           "tensorflow-gpu-estimator\n\ntensorflow[and-cuda]\n  tensorflow-gpu ; python_version < '3.8'\n"
    got = list(_some(answer(text), (list, tuple), "a list of line numbers"))
    if got == [2, 3, 8]:
        return "Line 5 is another package, and line 1 a comment: names have ends."
    if got == [1, 2, 7]:
        raise Hint("Lines count from 1, as editors show them.")
    if 1 in got:
        raise Hint("Line 1 is a comment: cut each line at '#'.")
    if 5 in got:
        raise Hint("tensorflow-gpu-estimator is another package: compare whole names, not beginnings.")
    if 7 in got:
        raise Hint("Line 7 is the new spelling: tensorflow[and-cuda] is fine.")
    if 3 not in got:
        raise Hint("Names are compared in lower case, with '_' and '.' as '-': line 3 is the same package.")
    if 8 not in got:
        raise Hint("Line 8 has blanks before the name and a marker after ';'.")
    raise Hint(f"Expected the lines 2, 3 and 8, got {got}.")
