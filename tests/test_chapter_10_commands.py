"""Every command in chapter 10 is one that its program accepts.

Each block of shell and each command in the running text is read by bash, then checked word by word: by the program's own parser
where that is a Python package of the course (pip, JupyterLab, TensorBoard, Accelerate, torchrun), by a table of its manual page's
options otherwise. What can run without another machine runs: copies with stand-ins for the far end, JupyterLab and TensorBoard on a
free port. `ssh`, `tmux` and `rsync` themselves are asked where they are installed, and CI installs them.
"""

import getopt
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
CHAPTERS = ("10_platforms", "10b_memory", "10c_remote")
FENCE = re.compile(r"(?ms)^```(\S*)\n(.*?)^```$")


def prose(stem):
    return [cell.source for cell in nbformat.read(BOOK / f"{stem}.ipynb", as_version=4).cells if cell.cell_type == "markdown"]


BLOCKS = [(stem, language, text) for stem in CHAPTERS for source in prose(stem) for language, text in FENCE.findall(source)]
SHELL = [(stem, text) for stem, language, text in BLOCKS if language == "bash"]
SPANS = [(stem, span.replace("\\|", "|")) for stem in CHAPTERS for source in prose(stem)
         for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", source))]


# ---------------------------------------------------------------- reading a line of shell

class Wrong(Exception):
    """A command that its program would not accept."""


REDIRECTION = re.compile(r"(?<=\s)(?:\d?>&\d|\d?>>?\s*[^\s;|&]+|<\s*[^\s;|&]+)")


def commands(text):
    """The simple commands of some lines of shell, as lists of words: redirections and assignments are taken off."""
    found, words = [], []
    for line in text.strip().splitlines():
        lexer = shlex.shlex(REDIRECTION.sub(" ", line), posix=True, punctuation_chars=";|&")
        lexer.whitespace_split, lexer.commenters = True, "#"
        for word in [*lexer, ";"]:
            if word in (";", "|", "&&", "||", "&"):
                found.append(words)
                words = []
            else:
                words.append(word)
    bare = (words[next((i for i, word in enumerate(words) if not re.match(r"\w+=", word)), len(words)):] for words in found)
    return [words for words in bare if words]


def test_a_line_of_shell_is_taken_apart_as_the_shell_does():
    assert commands("python -u a.py --n x 2>&1 | tee -a b.log; stop") == [
        ["python", "-u", "a.py", "--n", "x"], ["tee", "-a", "b.log"], ["stop"]]
    assert commands("EXT=1 pip install b   # why\ncd d && unzip p.zip > out") == [["pip", "install", "b"], ["cd", "d"], ["unzip", "p.zip"]]
    assert commands("nvidia-smi -l 1 > a.csv") == [["nvidia-smi", "-l", "1"]]
    assert commands("ssh gpu 'cd /d && ls -l'") == [["ssh", "gpu", "cd /d && ls -l"]]


# ---------------------------------------------------------------- what each program accepts

@dataclass
class Accepts:
    """Options as getopt writes them, from the manual page; positional words at least and at most; subcommands."""

    short: str = ""
    long: tuple = ()
    words: tuple = (0, 99)
    sub: dict = field(default_factory=dict)
    mixed: bool = True                                                              # options may follow words


TABLE = {
    "ssh": Accepts("46AaCfGgKkMNnqsTtVvXxYyB:b:c:D:E:e:F:I:i:J:L:l:m:O:o:P:p:Q:R:S:W:w:", words=(1, 99), mixed=False),
    "ssh-keygen": Accepts("qlyvHiepN:C:t:f:a:b:R:F:m:", words=(0, 0)),
    "ssh-copy-id": Accepts("fnsxi:p:o:F:t:", words=(1, 1)),
    "ssh-add": Accepts("lLdDxXt:", words=(0, 9)),
    "scp": Accepts("346ABCOpqRrsTvc:D:F:i:J:l:o:P:S:X:", words=(2, 99)),
    "rsync": Accepts("avqcrRubltpogDzhnPxSHAXIWe:f:B:T:", words=(2, 99),
                     long=("exclude=", "include=", "delete", "dry-run", "progress", "partial", "rsh=", "info=")),
    "tar": Accepts("cxtzjJvpkhf:C:X:T:", ("exclude=",), (0, 99)),
    "tmux": Accepts("2CDlNuVvc:f:L:S:T:", mixed=False, sub={
        "new": Accepts("AdDEPXc:e:f:F:n:s:t:x:y:", mixed=False),
        "attach": Accepts("dErxc:f:t:", words=(0, 0)),
        "ls": Accepts("F:f:", words=(0, 0)),
        "kill-session": Accepts("aCt:", words=(0, 0)), "kill-server": Accepts(words=(0, 0))}),
    "sha256sum": Accepts("bctwz", ("check", "quiet"), (0, 99)),
    "shasum": Accepts("bctpa:", (), (0, 99)),
    "du": Accepts("achHkLmsxd:t:B:", ("max-depth=",)),
    "sort": Accepts("bdfghnRrVcCmosuzk:t:", ()),
    "tail": Accepts("fFqvzc:n:"),
    "cat": Accepts("AbeEnstTuv", words=(0, 99)),
    "tee": Accepts("aip", words=(1, 9)),
    "ls": Accepts("lahtrR1S"),
    "xargs": Accepts("0rtpxa:d:E:I:L:n:P:s:", words=(1, 99), mixed=False),
    "unzip": Accepts("toqlnpd:", words=(1, 9)), "cd": Accepts(words=(1, 1)), "chmod": Accepts("Rv", words=(2, 9)), "echo": Accepts("ne"),
    "which": Accepts("as", words=(1, 9)), "command": Accepts("vVp", words=(1, 9), mixed=False), "where": Accepts(words=(1, 9)),
    "nvidia-smi": Accepts("Lqi:l:f:x", ("query-gpu=", "format=", "loop="), (0, 0)),
    "nvcc": Accepts("", ("version",), (0, 0)), "java": Accepts(words=(1, 99)), "mvn": Accepts(words=(1, 99)),
    "shutdown": Accepts("hPrcHk", words=(0, 2)), "unset": Accepts("v", words=(1, 9)), "history": Accepts("c"), "man": Accepts(words=(1, 2)),
    "nohup": Accepts(words=(1, 99), mixed=False),
    "setsid": Accepts("cfw", words=(1, 99), mixed=False),
    "ss": Accepts("ltnuap", words=(0, 9)),
    "apt-get": Accepts("yq", sub={"install": Accepts("yq", ("no-install-recommends",), (1, 99)), "update": Accepts("q", words=(0, 0))}),
    "git": Accepts(mixed=False, sub={"clone": Accepts("b:", ("depth=",), (0, 2)), "remote": Accepts("v", words=(0, 0))}),
    "conda": Accepts(mixed=False, sub={
        "create": Accepts("n:p:yc:", ("name=", "prefix=", "offline"), (0, 99)),
        "install": Accepts("n:yc:", ("offline",), (1, 99)),
        "init": Accepts(words=(0, 9)),
        "activate": Accepts(words=(0, 1)),
        "deactivate": Accepts(words=(0, 0)),
        "run": Accepts("n:p:", ("no-capture-output",), (1, 99), mixed=False),
        "clean": Accepts("aiptfy", ("all", "yes", "dry-run"), (0, 0)), "list": Accepts("n:", ("export",), (0, 1)),
        "env": Accepts(mixed=False, sub={"create": Accepts("n:f:", ("file=",), (0, 0)),
                                         "export": Accepts("n:f:", ("no-builds", "from-history"), (0, 0)),
                                         "remove": Accepts("n:y", ("name=",), (0, 0)), "list": Accepts()})}),
}
EXACT = ("java -version", "mvn -version")                                               # long options with one dash
FIND = {"-name": 1, "-iname": 1, "-type": 1, "-maxdepth": 1, "-printf": 1, "-print": 0, "-print0": 0}
MODULES = {"venv": Accepts("", ("system-site-packages", "clear", "without-pip", "upgrade-deps", "prompt="), (1, 9)),
           "ipykernel": Accepts(sub={"install": Accepts("", ("user", "name=", "display-name=", "prefix=", "sys-prefix"), (0, 0))}),
           "pdb": Accepts("c:m", words=(1, 99), mixed=False),
           "dlnotes.doctor": Accepts("", ("json",), (0, 0)),
           "http.server": Accepts("b:d:", ("bind=",), (0, 1))}


def by_table(name, words, accepts):
    if name == "tar" and words and not words[0].startswith("-"):
        words = [f"-{words[0]}", *words[1:]]                                        # the old way: tar cf - folder
    reads = getopt.gnu_getopt if accepts.mixed and not accepts.sub else getopt.getopt
    try:
        _, rest = reads(words, accepts.short, list(accepts.long))
    except getopt.GetoptError as error:
        raise Wrong(f"{name}: {error}") from None
    full = {f"--{long.rstrip('=')}" for long in accepts.long}
    own = words if reads is getopt.gnu_getopt else words[:len(words) - len(rest)]
    if shortened := [word for word in own if word.startswith("--") and word.partition("=")[0] not in full]:
        raise Wrong(f"{name}: {shortened} is short for another option, if that")
    if accepts.sub:
        if not rest or rest[0] not in accepts.sub:
            raise Wrong(f"{name}: expected one of {', '.join(accepts.sub)}, got {rest[:1]}")
        return by_table(f"{name} {rest[0]}", rest[1:], accepts.sub[rest[0]])
    if not accepts.words[0] <= len(rest) <= accepts.words[1]:
        raise Wrong(f"{name}: expected {accepts.words} words, got {rest}")
    return rest


def quietly(name, parse):
    try:
        parse()
    except (SystemExit, Exception) as error:
        raise Wrong(f"{name}: {error}") from None


def by_pip(words):
    from pip._internal.commands import commands_dict, create_command

    if words == ["--version"]:
        return
    if not words or words[0] not in commands_dict:
        raise Wrong(f"pip: there is no command {words[:1]}")
    quietly("pip", lambda: create_command(words[0], isolated=True).parser.parse_args(words[1:]))


def by_jupyter(words):
    if words[:1] == ["kernelspec"]:
        kinds = {"list": Accepts("", ("json",), (0, 0)), "remove": Accepts("fy", (), (1, 9))}
        return by_table("jupyter kernelspec", words[1:], Accepts(sub=kinds))
    if words == ["server", "list"] or words == ["lab"]:
        return
    from jupyter_server.serverapp import ServerApp
    from jupyterlab.labapp import LabApp

    if words[:1] != ["lab"]:
        raise Wrong(f"jupyter: {words}")
    apps = ServerApp(), LabApp()
    known, flags = ({name for app in apps for name in getattr(app, kind)} for kind in ("aliases", "flags"))
    rest = iter(words[1:])
    for word in rest:
        name, _, value = word.removeprefix("--").partition("=")
        owner, _, trait = name.partition(".")
        if trait and not (owner == "ServerApp" and trait in ServerApp.class_trait_names(config=True)):
            raise Wrong(f"jupyter lab: there is no setting {name}")
        if not trait and name not in known and name not in flags:
            raise Wrong(f"jupyter lab: there is no option {word}")
        if name in known and not value:
            next(rest, None)


def by_python(words):
    if words and words[0] in ("-u", "-I"):
        return by_python(words[1:])
    if words[:1] == ["-m"]:
        if words[1] == "pip":
            return by_pip(words[2:])
        if words[1] not in MODULES:
            raise Wrong(f"python -m {words[1]}: not in the table")
        return by_table(f"python -m {words[1]}", words[2:], MODULES[words[1]])
    if words and not words[0].endswith((".py", "...")):
        raise Wrong(f"python {words}")


def by_accelerate(words):
    from accelerate.commands.launch import launch_command_parser

    if words[:1] != ["launch"]:
        raise Wrong(f"accelerate {words}")
    quietly("accelerate", lambda: launch_command_parser().parse_args(words[1:]))


def by_torchrun(words):
    from torch.distributed.run import get_args_parser

    quietly("torchrun", lambda: get_args_parser().parse_args(words))


def by_tensorboard(words):
    from tensorboard import program

    quietly("tensorboard", lambda: program.TensorBoard().configure(["tensorboard", *words]))


def by_find(words):
    rest = iter(words)
    for word in rest:
        if word.startswith("-"):
            if word not in FIND:
                raise Wrong(f"find: {word}")
            for _ in range(FIND[word]):
                next(rest)


def by_dlnotes(words):
    if words not in (["doctor"], ["doctor", "--json"]):
        raise Wrong(f"dlnotes {words}")


OWN = {"pip": by_pip, "jupyter": by_jupyter, "python": by_python, "env/bin/python": by_python, "accelerate": by_accelerate,
       "torchrun": by_torchrun,        "tensorboard": by_tensorboard, "find": by_find, "dlnotes": by_dlnotes}


def accept(words):
    """Raise Wrong unless the program takes these words; a command inside of a command is looked at as well."""
    name, rest = words[0], words[1:]
    if name in OWN:
        return OWN[name](rest)
    if name not in TABLE:
        raise Wrong(f"{name}: not in the table")
    left = by_table(name, rest, TABLE[name])
    if name == "ssh" and left[1:]:
        for inner in commands(" ".join(left[1:])):
            accept(inner)
    elif name in ("xargs", "nohup", "setsid"):
        accept(left)


# ---------------------------------------------------------------- the chapters

def test_every_block_says_what_it_is():
    assert len(SHELL) >= 15
    assert {language for _, language, _ in BLOCKS} == {"bash", "text"}


@pytest.mark.parametrize(("stem", "text"), SHELL)
def test_bash_reads_every_block(stem, text):
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("stem", "text"), SHELL)
def test_every_command_of_a_block_is_one_that_its_program_takes(stem, text):
    assert commands(text)
    for words in commands(text):
        accept(words)


def begins(words):
    """Raise Wrong unless these words are a command, or the beginning of one: running text names `scp -r` without its files."""
    for rest in ([], ["list"], ["train.py"], ["a", "b"]):
        try:
            return accept(words + rest)
        except Wrong as error:
            first = error if not rest else first
    raise first


def test_every_command_in_the_running_text_is_one_that_its_program_takes():
    seen = []
    for stem, span in SPANS:
        span = span.removeprefix("!")
        first = span.partition(" ")[0]
        if (first in TABLE or first in OWN) and " " in span.strip() and span not in EXACT:
            for words in commands(span):
                begins(words)
            seen.append(span)
    assert len(seen) >= 40, seen


@pytest.mark.parametrize("line", [
    "ssh -Z gpu", "ssh", "rsync --partal a gpu:b", "rsync a", "tmux nwe -s train", "tmux attach --t train",
    "ssh-keygen -t ed25519 me@laptop", "pip downlod torch", "python -m pip install --no-indx torch", "pip list --format=frozen",
    "jupyter lab --no-browsr", "jupyter lab --ServerApp.port_retry=0", "tensorboard --logdr runs",
    "accelerate launch --num_process_es 2 train.py", "torchrun --nproc-for-node=2 a.py", "conda clean --everything", "conda env make",
    "scp a.zip", "ssh gpu 'sha256sum --chek a'", "find . -nam x", "find . -print0 | xargs -0 pip instal", "dlnotes docter",
    "nvidia-smi --query=gpu", "apt-get instal tmux"])
def test_a_command_with_a_typing_error_is_found(line):
    with pytest.raises(Wrong):
        for words in commands(line):
            accept(words)


# ---------------------------------------------------------------- the file for ssh

YES = r"yes|no"
PORT = r"[1-9]\d{0,4}"
KEYWORDS = {"Host": r"\S+", "HostName": r"[\w.-]+", "Port": PORT, "User": r"[\w-]+", "IdentityFile": r"\S+", "IdentitiesOnly": YES,
            "ServerAliveInterval": r"\d+", "ServerAliveCountMax": r"\d+", "LocalForward": rf"{PORT} [\w.]+:{PORT}"}


def ssh_config():
    cell = next(c for c in nbformat.read(BOOK / "10c_remote.ipynb", as_version=4).cells if c.source.startswith('template = """'))
    space = {"write": lambda *_: None}
    exec(cell.source, space)
    return space["template"]


def bad_lines(text):
    return [line for line in filter(None, map(str.strip, text.splitlines()))
            if not ((rule := KEYWORDS.get(line.split(None, 1)[0])) and re.fullmatch(rule, line.split(None, 1)[1]))]


def test_the_ssh_config_has_known_keywords_with_values_of_their_kind(tmp_path):
    text = ssh_config()
    assert bad_lines(text) == []
    for wrong in ("Prot 22", "Port ssh", "LocalForward 18890:localhost:8890", "IdentitiesOnly maybe"):
        assert bad_lines(text + wrong) == [wrong]
    if shutil.which("ssh"):                                                         # OpenSSH's own reading
        (tmp_path / "config").write_text(text)
        said = subprocess.run(["ssh", "-G", "-F", tmp_path / "config", "gpu"], capture_output=True, text=True)
        lines = said.stdout.splitlines()
        assert {"port 34567", "user root", "identitiesonly yes", "localforward 18890 [127.0.0.1]:8890"} <= set(lines), said.stderr
        other = subprocess.run(["ssh", "-G", "-F", tmp_path / "config", "me@example.org"], capture_output=True, text=True).stdout
        assert "user me" in other and "identitiesonly no" in other and "id_ecdsa" in other    # no other machine loses its keys
        (tmp_path / "config").write_text(text + "Prot 22\n")
        assert subprocess.run(["ssh", "-G", "-F", tmp_path / "config", "gpu"], capture_output=True).returncode


def test_in_ci_the_programs_are_there_that_the_chapter_asks():
    missing = [program for program in ("ssh", "ssh-keygen", "tmux", "rsync") if not shutil.which(program)]
    assert not (missing and os.environ.get("DLNOTES_REQUIRE_BROWSER")), f"install {' '.join(missing)}"


# ---------------------------------------------------------------- what can run here, runs

def block(word):
    found = [text for _, text in SHELL if word in text]
    assert len(found) == 1, word
    return found[0]


@pytest.fixture
def home(tmp_path):
    """A home folder with stand-ins for `ssh` and `scp` that reach another folder instead of another machine."""
    for name, text in {"ssh": 'shift\nexec sh -c "$*"\n', "scp": 'for w in "$@"; do last=${w#gpu:}; done\nfor w in "$@"; do w=${w#gpu:}; '
                       '[ "$w" = "$last" ] || cp -r "$w" "$last"; done\n'}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
    for name in ("home/pets", "home/project/runs", "far/runs/unet-1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "home/pets/a.txt").write_text("a picture")
    (tmp_path / "home/pets.zip").write_bytes(b"zip" * 1000)
    (tmp_path / "far/runs/unet-1/best.safetensors").write_text("weights")

    def go(text, **variables):
        text = text.replace("/root/autodl-tmp", str(tmp_path / "far")).replace("/kaggle/input", str(tmp_path / "input"))
        return subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=tmp_path / "home", capture_output=True, text=True,
                              env={**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables})
    return go


def test_the_lines_that_copy_do_copy(home, tmp_path):
    lines = [line for line in block("tar cf - pets").splitlines() if not line.startswith("rsync")]
    assert len(lines) == 3
    done = home("\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "far/pets/a.txt").exists() and (tmp_path / "far/pets.zip").exists() and (tmp_path / "home/best.safetensors").exists()


def test_the_checksum_is_compared_at_the_far_end_and_finds_damage(home, tmp_path):
    done = home(block("sha256sum -c"))
    assert done.returncode == 0 and "pets.zip: OK" in done.stdout
    (tmp_path / "far/pets.zip").write_bytes(b"zip" * 999 + b"zap")
    assert home(block("sha256sum -c").splitlines()[-1]).returncode != 0


def test_rsync_lands_where_the_exercise_says(tmp_path):
    """The solution of the exercise, and rsync itself where it is installed."""
    notebook = nbformat.read(BOOK / "10c_remote.ipynb", as_version=4)
    space = {"check": lambda *_: None}
    exec(next(c.source for c in notebook.cells if "solution:remote.landing" in c.metadata.get("tags", [])), space)
    for source, target in (("data", "to"), ("data/", "to"), ("sub/data", "to/"), ("sub/data/", "to/x")):
        folder = tmp_path / re.sub(r"\W", "_", source + target)
        (folder / source).mkdir(parents=True)
        (folder / source / "a.txt").touch()
        (folder / "to").mkdir()
        expected = space["landing"](source, target, "a.txt")
        assert "//" not in expected
        if shutil.which("rsync"):
            subprocess.run(["rsync", "-a", source, target], cwd=folder, check=True)
            assert (folder / expected).exists()


def test_wheels_are_found_and_installed_wherever_kaggle_mounts_them(home, tmp_path):
    for place in ("a", "datasets/me/b"):
        (tmp_path / "input" / place).mkdir(parents=True)
        (tmp_path / "input" / place / f"dlnotes-9.9-{len(place)}.whl").touch()
    log = tmp_path / "log"
    fake = tmp_path / "bin/python"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {log}\n')
    fake.chmod(0o755)
    listing, install = block("find /kaggle/input").splitlines()
    assert home(listing).stdout.split() == [str(tmp_path / "input" / place) for place in ("a", "datasets/me/b")]
    assert home(install).returncode == 0
    words = log.read_text().split()
    assert words[:5] == ["-m", "pip", "install", "--no-index", "--no-deps"] and len(words) == 7


def test_the_night_line_stops_after_a_crash_and_keeps_the_message(home, tmp_path):
    (tmp_path / "home/train.py").write_text("print('epoch 1')\nraise RuntimeError('CUDA out of memory')\n")
    stop = tmp_path / "bin/shutdown"
    stop.write_text(f"#!/bin/sh\ntouch {tmp_path}/stopped\n")
    stop.chmod(0o755)
    home(f"set +e +o pipefail; {block('; shutdown')}".replace("python -u", f"{sys.executable} -u"))
    assert (tmp_path / "stopped").exists()
    assert re.search(r"(?s)epoch 1.*out of memory", (tmp_path / "far/unet-1.log").read_text())


def typed(tmp_path, first, then=b"exit\n", wait=None):
    """Type into an interactive bash with a history of its own; the second text once the file `wait` is there."""
    (tmp_path / "history").write_text("export TOKEN=1\n")
    environ = {**os.environ, "HISTFILE": str(tmp_path / "history"), "TERM": "dumb"}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        signal.signal(signal.SIGINT, signal.SIG_DFL)         # who runs these tests in the background may ignore it, and bash would, too
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environ)
    os.write(terminal, first)
    end = time.monotonic() + 20
    while wait and not (tmp_path / wait).exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.write(terminal, then)
    if then != b"exit\n":
        os.write(terminal, b"exit\n")
    try:
        while os.read(terminal, 65536):                                             # until bash has ended
            pass
    except OSError:
        pass
    os.close(terminal)
    os.waitpid(child, 0)


def test_ctrl_c_drops_the_rest_of_the_night_line_and_a_kill_does_not(tmp_path):
    (tmp_path / "train.py").write_text("import os, pathlib, sys, time\npathlib.Path('pid').write_text(str(os.getpid()))\n"
                                       "if sys.argv[1:] == ['dies']:\n    os.kill(os.getpid(), 9)\ntime.sleep(20)\n")
    line = block("; shutdown").strip().replace("python -u", f"{sys.executable} -u").replace("/root/autodl-tmp/", "")
    line = line.replace("; shutdown", "; touch stopped")
    typed(tmp_path, f"{line}\n".encode(), then=b"\x03", wait="pid")
    assert not (tmp_path / "stopped").exists()
    typed(tmp_path, f"{line.replace('--name unet-1', 'dies')}\n".encode())
    assert (tmp_path / "stopped").exists()


def test_bash_writes_a_deleted_history_again_unless_it_is_told_not_to(tmp_path):
    assert "`unset HISTFILE`" in "".join(prose("10c_remote"))
    typed(tmp_path, b"rm history\n")
    assert (tmp_path / "history").exists()
    typed(tmp_path, b"unset HISTFILE\nrm history\n")
    assert not (tmp_path / "history").exists()


def test_the_list_of_versions_holds_versions_only():
    line = next(line for line in block("pip list --format=freeze").splitlines() if "pip list" in line)
    words = commands(line)[0]
    said = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True,
                          env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    assert said.returncode == 0 and len(said.stdout.splitlines()) > 20
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in said.stdout.splitlines())


def in_terminal(words, environ, until, timeout=20):
    """Run a command in a terminal of its own and return what it showed, as soon as it holds the text."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(words[0], words, {**environ, "TERM": "xterm"})
    shown, end = "", time.monotonic() + timeout
    os.set_blocking(terminal, False)
    while until not in shown and time.monotonic() < end:
        try:
            shown += os.read(terminal, 65536).decode(errors="replace")
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            break
    os.close(terminal)
    os.waitpid(child, 0)
    return shown


def test_tmux_does_what_each_line_says(tmp_path):
    """Each line of the block, against a server of its own: begin, list, come back after the line was cut, end."""
    lines = [shlex.split(line) for line in block("tmux kill-session").splitlines()]
    assert [words[1] for words in lines] == ["new", "ls", "attach", "new", "kill-session"]
    if not shutil.which("tmux"):
        return                                                                      # CI has it: see above
    environ = {**os.environ, "TMUX_TMPDIR": str(tmp_path), "SHELL": "/bin/sh", "HOME": str(tmp_path)}
    environ.pop("TMUX", None)
    assert "[train]" in in_terminal(lines[0], environ, "[train]")
    assert subprocess.run(lines[1], env=environ, capture_output=True, text=True).stdout.startswith("train: 1 windows")
    for words in lines[2:4]:
        assert "[train]" in in_terminal(words, environ, "[train]")
    assert subprocess.run(lines[1], env=environ, capture_output=True, text=True).stdout.count("train:") == 1
    assert subprocess.run(lines[4], env=environ).returncode == 0
    assert subprocess.run(lines[1], env=environ, capture_output=True).returncode == 1


# ---------------------------------------------------------------- JupyterLab and TensorBoard, started as the text says

def answers(address, path, process, timeout=60):
    opener, end = urllib.request.build_opener(urllib.request.ProxyHandler({})), time.monotonic() + timeout
    while time.monotonic() < end and process.poll() is None:
        try:
            return opener.open(f"http://{address}{path}", timeout=5).status
        except OSError:
            time.sleep(0.1)
    return None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def start(words, folder):
    environ = {**os.environ, "HOME": str(folder), "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
               "JUPYTER_CONFIG_DIR": str(folder / "config"), "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    module = {"jupyter": ["jupyterlab"], "tensorboard": ["tensorboard.main"]}[words[0]]
    rest = words[2:] if words[0] == "jupyter" else words[1:]
    return subprocess.Popen([sys.executable, "-m", *module, *rest], cwd=folder, env=environ, text=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_the_two_servers_answer_on_the_loopback_address_and_nowhere_else(tmp_path):
    lab, board = (commands(line)[0] for line in block("tensorboard --logdir").splitlines())
    ports = {"8890": free_port(), "6016": free_port()}
    lab, board = ([re.sub(r"8890|6016", lambda m: str(ports[m[0]]), word).replace("/root/autodl-tmp", str(tmp_path)) for word in words]
                  for words in (lab, board))
    running = [start(lab, tmp_path), start(board, tmp_path)]
    try:
        for process, port, path in zip(running, ports.values(), ("/api", "/")):
            assert answers(f"127.0.0.1:{port}", path, process) == 200
            if sys.platform == "linux":
                with pytest.raises(ConnectionRefusedError):                         # another address of the same machine
                    socket.create_connection(("127.0.0.2", port), timeout=5)
        second = start(lab, tmp_path)                                               # the port is taken: it must not move on
        _, said = second.communicate(timeout=60)
        assert second.returncode and "not available" in said
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="JupyterLab's refusal concerns root only")
def test_without_allow_root_jupyterlab_refuses_on_a_rented_machine(tmp_path):
    words = commands(block("tensorboard --logdir").splitlines()[0])[0]
    assert "--allow-root" in words
    process = start([word for word in words if word != "--allow-root"], tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode and "--allow-root" in said
