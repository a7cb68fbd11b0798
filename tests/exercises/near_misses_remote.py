"""Plausible wrong answers of chapter 10c, each with words that its hint must contain."""

import base64
import fnmatch
import hashlib


def _ssh(text, host, *, overwrite=False, lower=True, everyone=True):
    found, active = {}, True
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        key, value = line.split(None, 1)
        if key == "Host":
            active = fnmatch.fnmatch(host, value) if everyone else host == value
        elif active:
            key = key.lower() if lower else key
            if overwrite or key not in found:
                found[key] = value
    return found


def _digest(line, *, decode=True, hexadecimal=False, padding=False):
    word = line.split()[1]
    digest = hashlib.sha256(base64.b64decode(word) if decode else word.encode()).digest()
    text = digest.hex() if hexadecimal else base64.b64encode(digest).decode()
    return "SHA256:" + (text if padding else text.rstrip("="))


OUT = ("/root/autodl-tmp", "/root/autodl-fs", "/root/autodl-pub")

NEAR_MISSES = {
    "remote.address": [(lambda f: f"http://localhost:{f.rsplit(':', 1)[1]}", "far end"),
                       (lambda f: f"http://{f.split()[1].split(':')[0]}:{f.split()[0]}" if f[0] == "9" else f"http://localhost:{f.split()[0]}",
                        "opens your own machine"),
                       (lambda f: f"localhost:{f.split()[0]}", "begins with http")],
    "remote.lives": [(lambda c, e: "&" in c or "tmux" in c or "nohup" in c or "setsid" in c, "& alone"),
                     (lambda c, e: e == "exit" or "nohup" in c or "tmux" in c or "setsid" in c, "first word"),
                     (lambda c, e: c.split()[0] in ("tmux", "nohup", "setsid"), "leaves its jobs alone"),
                     (lambda c, e: c.split()[0] == "tmux" or (e == "exit" and c.endswith("&")), "nohup makes it ignore")],
    "remote.landing": [(lambda s, t, n: f"{t.rstrip('/')}/{n}", "the folder itself"),
                       (lambda s, t, n: f"{t.rstrip('/')}/{s.rstrip('/').split('/')[-1]}/{n}", "not repeated"),
                       (lambda s, t, n: f"{t}/{n}" if s.endswith("/") else f"{t}/{s}/{n}", "two slashes"),
                       (lambda s, t, n: f"{t.rstrip('/')}/{n}" if s.endswith("/") else f"{t.rstrip('/')}/{s}/{n}", "only the last part")],
    "remote.line": [("TRAIN > run.log 2>&1 && STOP", "never stopped"), ("TRAIN > run.log; STOP", "2>&1"), ("TRAIN 2>&1 > run.log; STOP", "2>&1"),
                    ("TRAIN > run.log 2>&1 & STOP", "had ended"), ("TRAIN; STOP", "no run.log"), ("TRAIN > run.log 2>&1; shutdown; STOP", "not a real command")],
    "remote.fingerprint": [(lambda line: _digest(line, padding=True), "padding"), (lambda line: _digest(line, decode=False), "hashed the letters"),
                           (lambda line: _digest(line, hexadecimal=True), "hexadecimal"), (lambda line: _digest(line).split(":")[1], "begins with")],
    "remote.image": [(lambda paths: [p for p in paths if not p.startswith(OUT[:1])], "network disks"),
                     (lambda paths: [p for p in paths if not p.startswith(OUT)], "only looks like"),
                     (lambda paths: [p for p in paths if any(p == o or p.startswith(o + "/") for o in OUT)], "stays behind"),
                     (lambda paths: [p for p in paths if not any(p.startswith(o + "/") for o in OUT)], "is mounted"),
                     (lambda paths: [p for p in paths if not any(p == o or p.startswith(o + "/") for o in OUT) and "/." not in p], "Hidden")],
    "remote.ssh": [(lambda t, h: _ssh(t, h, overwrite=True), "does not overwrite"), (lambda t, h: _ssh(t, h, lower=False), "lower case"),
                   (lambda t, h: _ssh(t, h, everyone=False), "every host")],
}
