"""Checkers of chapter 10c, a rented machine over SSH."""

import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path

from ._core import Hint, exercise

__all__: list[str] = []


def _some(got, kind, what):
    if got is None or got is ...:
        raise Hint("Your function returned nothing: end it with a return.")
    if not isinstance(got, kind):
        raise Hint(f"Expected {what}, got {type(got).__name__}.")
    return got


@exercise("remote.address")
def address(answer):
    cases = {"18890 localhost:8890": "http://localhost:18890", "6006 localhost:6006": "http://localhost:6006",
             "9000 10.0.0.7:80": "http://localhost:9000"}
    for forward, expected in cases.items():
        got = _some(answer(forward), str, "an address as text").rstrip("/")
        got = got.replace("127.0.0.1", "localhost")
        if got == expected:
            continue
        port, _, far = forward.replace(" ", ":").split(":")
        if got == f"http://localhost:{far}":
            raise Hint(f"{far} is the port at the far end. Your browser runs at home: it needs the first number.")
        if not got.startswith("http://"):
            raise Hint(f"Expected an address that begins with http://, got {got!r}.")
        if "localhost" not in got:
            raise Hint("Your browser opens your own machine; SSH carries it to the other end.")
        raise Hint(f"For 'LocalForward {forward}' expected {expected}, got {got}.")
    return "The host behind the first number is looked up at the far end: there, localhost is the rented machine."


@exercise("remote.lives")
def lives(answer):
    cases = [("python train.py", "break", False, "a program in the foreground gets the hang-up signal"),
             ("python train.py &", "break", False, "& alone does not save it: the shell passes the signal on to its jobs"),
             ("python train.py &", "exit", True, "bash that ends by `exit` leaves its jobs alone, unless told otherwise"),
             ("nohup python train.py &", "break", True, "nohup makes it ignore the signal"),
             ("nohup python train.py", "break", True, "nohup makes it ignore the signal, with or without &"),
             ("tmux new -d 'python train.py'", "break", True, "it is a child of tmux's server, which has no terminal to lose"),
             ("setsid python train.py", "break", True, "setsid gives it a session of its own"),
             ("python tmux_report.py", "break", False, "look at the first word, not for letters anywhere"),
             ("python train.py --name nohup", "break", False, "look at the first word, not for letters anywhere")]
    for command, ending, expected, why in cases:
        got = answer(command, ending)
        if got is None or got is ...:
            raise Hint("Your function returned nothing: end it with a return.")
        if not isinstance(got, bool):
            raise Hint(f"Expected True or False, got {got!r}.")
        if got != expected:
            raise Hint(f"`{command}`, then {ending}: expected {expected}; {why}.")
    return "If you remember one of them, remember tmux: it also keeps what was printed."


@exercise("remote.landing")
def landing(answer):
    cases = [("data/", "/root/autodl-tmp/data/", "a.png", "/root/autodl-tmp/data/a.png"),
             ("data", "/root/autodl-tmp/", "a.png", "/root/autodl-tmp/data/a.png"),
             ("data", "/root/autodl-tmp/data/", "a.png", "/root/autodl-tmp/data/data/a.png"),
             ("pets/train", "/d", "x/b.png", "/d/train/x/b.png"), ("pets/train/", "/d", "x/b.png", "/d/x/b.png")]
    for source, target, name, expected in cases:
        got = _some(answer(source, target, name), str, "a path as text")
        if got == expected:
            continue
        if "//" in got:
            raise Hint(f"{got} has two slashes in a row: take the one off the end of the target first.")
        if source.endswith("/"):
            raise Hint(f"rsync {source} {target}: the slash says 'what is in it', so the folder's own name is not repeated; "
                       f"expected {expected}.")
        if not got.endswith(f"{source.split('/')[-1]}/{name}") or expected.count("/") > got.count("/"):
            raise Hint(f"rsync {source} {target}: without a slash the folder itself is copied, name and all; expected {expected}.")
        raise Hint(f"rsync {source} {target}: expected {expected}, got {got}; only the last part of the source's path is kept.")
    return "A slash at the end of the target changes nothing here; one at the end of the source changes everything."


@exercise("remote.line")
def line(answer):
    text = _some(answer, str, "a line of shell as text")
    words = {"TRAIN", "STOP"}
    if not all(word in text for word in words):
        raise Hint("The line needs both words, TRAIN and STOP.")
    if any(word in text for word in ("shutdown", "poweroff", "reboot", "rm ", "sudo", "`", "$(")):
        raise Hint("Write STOP, not a real command: the checker runs this line on your machine.")
    for code in (0, 1):
        with tempfile.TemporaryDirectory() as folder:
            train = f"sh -c 'echo loss; sleep 0.15; echo ending >&2; exit {code}'"
            filled = text.replace("TRAIN", train).replace("STOP", "{ cp run.log at_stop || : > at_stop; }")
            ran = subprocess.run(["sh", "-c", filled + "\nwait"], cwd=folder, capture_output=True, text=True, timeout=20)
            log, stopped = Path(folder, "run.log"), Path(folder, "at_stop")
            if not log.exists():
                raise Hint("There is no run.log afterwards: send what TRAIN prints there.")
            written = log.read_text()
            if not stopped.exists():
                if "syntax" in ran.stderr.lower():
                    raise Hint("The shell does not understand this line.")
                raise Hint("TRAIN crashed, and the machine was never stopped: `&&` goes on only after success." if code else
                           "TRAIN succeeded, and the machine was never stopped.")
            if "ending" not in written:
                raise Hint("The error message is not in run.log: errors go to stream 2, and `2>&1` must stand behind the redirection.")
            if "loss" not in written:
                raise Hint("What TRAIN prints is not in run.log.")
            if "ending" not in stopped.read_text():
                raise Hint("STOP came before TRAIN had ended: one `&` does not wait.")
    return "The bill stops either way, and in the morning the log says which of the two it was."


@exercise("remote.fingerprint")
def fingerprint(answer):
    for seed in (b"one", b"two"):
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + hashlib.sha256(seed).digest()
        text = f"ssh-ed25519 {base64.b64encode(blob).decode()} me@laptop"
        digest = hashlib.sha256(blob).digest()
        expected = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
        got = _some(answer(text), str, "text")
        if got == expected:
            continue
        if got == expected + "=":
            raise Hint("OpenSSH drops the padding: no '=' at the end.")
        if digest.hex() in got:
            raise Hint("The digest is written in base64, not in hexadecimal.")
        if got == expected.removeprefix("SHA256:"):
            raise Hint("It begins with 'SHA256:', so that everybody knows the method.")
        if got == "SHA256:" + base64.b64encode(hashlib.sha256(text.split()[1].encode()).digest()).decode().rstrip("="):
            raise Hint("You hashed the letters. Decode the middle word (base64) first: the bytes are hashed.")
        raise Hint(f"Expected {expected}, got {got}; only the middle word counts, decoded from base64.")
    return "ssh-keygen -lf prints the same. Compare it with what the provider shows before you type yes."


@exercise("remote.image")
def image(answer):
    paths = ["/root/miniconda3/bin/python", "/root/autodl-tmp/data.zip", "/root/autodl-tmp2/notes.txt", "/root/autodl-fs/best.safetensors",
             "/root/.ssh/authorized_keys", "/root/project/train.py", "/root/autodl-pub/coco.zip", "/root/autodl-tmp"]
    expected = [paths[i] for i in (0, 2, 4, 5)]
    got = list(_some(answer(list(paths)), (list, tuple, set), "a list of paths"))
    if sorted(got) == sorted(expected):
        return "The key of a stranger is in it, too, if it was on the machine: look before you share an image."
    if sorted(got) == sorted(set(paths) - set(expected)):
        raise Hint("This is what stays behind: return what the image keeps.")
    if paths[1] in got:
        raise Hint("The data disk, /root/autodl-tmp, is not part of an image.")
    if paths[3] in got or paths[6] in got:
        raise Hint("/root/autodl-fs and /root/autodl-pub are network disks: an image keeps the system disk only.")
    if paths[7] in got:
        raise Hint("The folder /root/autodl-tmp itself is where the data disk is mounted: leave it out, too.")
    if paths[2] not in got:
        raise Hint("/root/autodl-tmp2 only looks like the data disk: compare whole names of folders.")
    if paths[4] not in got:
        raise Hint("Hidden folders such as /root/.ssh lie on the system disk as well.")
    raise Hint(f"Expected {expected}, got {got}.")


@exercise("remote.ssh")
def ssh(answer):
    text = "Host gpu\n  HostName 10.0.0.5\n  Port 2222\n\nHost other\n  HostName 10.0.0.6\n  User me\n\n" \
           "# all\nHost *\n  User root\n  Port 22\n"
    cases = {"gpu": {"hostname": "10.0.0.5", "port": "2222", "user": "root"}, "other": {"hostname": "10.0.0.6", "user": "me", "port": "22"},
             "else": {"user": "root", "port": "22"}}
    for host, expected in cases.items():
        got = dict(_some(answer(text, host), dict, "a dict from lower-case names to text"))
        if got == expected:
            continue
        if any(key != key.lower() for key in got):
            raise Hint("Names of settings are not case-sensitive: give them in lower case.")
        if "host" in got:
            raise Hint("Host begins a block; it is no setting.")
        if host == "gpu" and got.get("port") == "22":
            raise Hint("The first value that is found counts: a later 'Host *' fills gaps, it does not overwrite.")
        if "user" not in got:
            raise Hint("'Host *' holds for every host.")
        if got.get("hostname") != expected.get("hostname"):
            raise Hint(f"For {host!r} a block of another host was read: {got}.")
        raise Hint(f"For {host!r} expected {expected}, got {got}.")
    return "First come, first served: put the special blocks above the general one."
