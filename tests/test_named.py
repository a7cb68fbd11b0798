"""Named sets: downloads that resume, mirrors, sums that are checked, archives that stay inside, readers of the true formats.

Everything happens on this machine: a small server that can break off, forget about ranges, or lie.
"""

import hashlib
import io
import re
import subprocess
import tarfile
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from dlnotes.data import named
from dlnotes.data.download import download, file_sum, matches, unpack
from dlnotes.data.hyperspectral import HyperspectralPatches
from dlnotes.data.named import NAMED, NamedFile, load_named
from dlnotes.data.readers import Cifar10, OxfordPets, read_indian_pines

CONTENT = np.random.default_rng(0).integers(0, 256, 700_000, np.uint8).tobytes()


def sha(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves ``files``; ``breaks`` says after how many bytes the next answers end, ``ranges`` whether it knows them."""

    files: dict[str, bytes] = {}
    breaks: list[int] = []
    ranges = True
    asked: list[tuple[str, str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.asked.append((self.path, wanted))
        content = self.files.get(self.path)
        if content is None:
            return self.send_error(404)
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = self.breaks.pop(0) if self.breaks else len(content)
        self.wfile.write(content[start:start + end])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Server.files, Server.breaks, Server.ranges, Server.asked = {"/data": CONTENT}, [], True, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()


# ---------------------------------------------------------------- downloading

def test_a_file_arrives_whole_and_alone_and_is_not_asked_for_again(server, tmp_path):
    path = tmp_path / "new" / "file.bin"
    assert download([server.url + "/data"], path, sha(CONTENT)) == path
    assert path.read_bytes() == CONTENT and [p.name for p in path.parent.iterdir()] == ["file.bin"]
    download([server.url + "/data"], path, sha(CONTENT))
    assert Server.asked == [("/data", None)]


def test_a_broken_connection_is_resumed_at_once(server, tmp_path):
    Server.breaks = [100_000, 250_000]
    download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in Server.asked] == [None, "bytes=100000-", "bytes=350000-"]


def test_after_three_breaks_the_rest_waits_for_the_next_call(server, tmp_path):
    Server.breaks = [100_000, 100_000, 100_000]
    with pytest.raises(ConnectionError, match="broke after 300000 of 700000 bytes.*call again to go on where it stopped"):
        download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["file.part"] and (tmp_path / "file.part").stat().st_size == 300_000
    download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert Server.asked[-1] == ("/data", "bytes=300000-")
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:5000])
    Server.ranges = False
    download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_complete_part_is_not_loaded_again_and_a_longer_one_is(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    (tmp_path / "other.part").write_bytes(CONTENT + b"more")
    download([server.url + "/data"], tmp_path / "other", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == (tmp_path / "other").read_bytes() == CONTENT
    assert [wanted for _, wanted in Server.asked] == ["bytes=700000-", "bytes=700004-", None]


def test_a_part_of_another_version_is_thrown_away(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"\0" * 5000)
    download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in Server.asked] == ["bytes=5000-", None]


def test_the_next_mirror_steps_in(server, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as gone:
        closed = f"http://127.0.0.1:{gone.server_port}/data"
    Server.files["/tampered"] = b"evil" + CONTENT[4:]
    mirrors = [closed, server.url + "/missing", server.url + "/tampered", server.url + "/data"]
    download(mirrors, tmp_path / "file", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT and [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("checksum", [sha(CONTENT), "git:" + "0" * 40, "md5:" + "0" * 32])
def test_a_wrong_sum_is_refused_and_nothing_is_left(server, tmp_path, checksum):
    Server.files["/data"] = b"evil" + CONTENT[4:]
    with pytest.raises(ValueError, match="expected .*:[0-9a-f]* for file, got 127.0.0.1.*: .*; nothing was kept"):
        download([server.url + "/data"], tmp_path / "file", checksum)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_yours_is_never_overwritten(server, tmp_path):
    (tmp_path / "file").write_bytes(b"my thesis")
    with pytest.raises(ValueError, match="got sha256:.*; move it away, it is not overwritten"):
        download([server.url + "/data"], tmp_path / "file", sha(CONTENT))
    assert (tmp_path / "file").read_bytes() == b"my thesis" and Server.asked == []


def test_other_kinds_of_addresses_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected an http or https address, got file:///etc/passwd"):
        download(["file:///etc/passwd"], tmp_path / "file", sha(CONTENT))


def test_sums_are_those_of_hashlib_and_git(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert file_sum(tmp_path / "file") == sha(CONTENT)
    assert file_sum(tmp_path / "file", "md5") == "md5:" + hashlib.md5(CONTENT).hexdigest()
    try:
        theirs = subprocess.run(["git", "hash-object", "--no-filters", str(tmp_path / "file")], capture_output=True,
                                text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no git here")
    assert file_sum(tmp_path / "file", "git") == f"git:{theirs}" and matches(tmp_path / "file", f"git:{theirs}")


# ---------------------------------------------------------------- unpacking

def zipped(files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(files, mode="w:gz"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, content in files.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return packed.getvalue()


def files_under(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("pack", [zipped, tarred, lambda f: tarred(f, "w:xz")], ids=["zip", "tar.gz", "tar.xz"])
def test_archives_unpack_without_their_top_folder_and_without_macs_extras(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack({"set/images/1.png": b"one", "set/größe 2.txt": b"two", "__MACOSX/set/._1.png": b"x",
                                       "set/images/._1.png": b"x", "set/.DS_Store": b"x"}))
    unpack(tmp_path / "a", tmp_path / "out")
    assert files_under(tmp_path / "out") == {"images/1.png": b"one", "größe 2.txt": b"two"}
    (tmp_path / "b").write_bytes(pack({"1.txt": b"one", "sub/2.txt": b"two"}))
    unpack(tmp_path / "b", tmp_path / "both")
    assert files_under(tmp_path / "both") == {"1.txt": b"one", "sub/2.txt": b"two"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "both", "out"]


def link(kind, target):
    entry = tarfile.TarInfo("link")
    entry.type, entry.linkname = kind, target
    return entry


@pytest.mark.parametrize("content, words", [
    (zipped({"good.txt": b"1", "../evil.txt": b"2"}), r"expected names inside the folder in archive, got '../evil.txt'"),
    (zipped({"good.txt": b"1", "/evil.txt": b"2"}), "names inside the folder"),
    (zipped({"good.txt": b"1", "C:/evil.txt": b"2"}), "names inside the folder"),
    (zipped({"good.txt": b"1", "..\\..\\evil.txt": b"2"}), "names inside the folder"),
    (tarred({"good.txt": b"1", "sub/../../evil.txt": b"2"}), "names inside the folder"),
    (tarred({"link": link(tarfile.SYMTYPE, "/etc/passwd")}), "expected only files and folders in archive, got a link"),
    (tarred({"link": link(tarfile.LNKTYPE, "../../evil.txt")}), "got a link or device 'link'"),
    (zipped({"bomb": bytes(2_000_000)}), "expected archive to take at most 1,000,000 bytes, got more"),
    (zipped({"a": CONTENT})[:-40_000], "expected a complete zip or tar archive in .*, got a damaged or different file"),
    (tarred({"a": CONTENT})[:-40_000], "damaged or different file"),
    (b"<html>404</html>", "damaged or different file"),
], ids=["up", "root", "drive", "backslashes", "up from a folder", "link", "hard link", "bomb", "cut zip", "cut tar", "a page"])
def test_bad_archives_are_refused_and_leave_nothing(tmp_path, content, words):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "archive").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        unpack(tmp_path / "sub" / "archive", tmp_path / "sub" / "out", limit=1_000_000)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["archive", "sub"]


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ValueError, match="got a link or device 'link'"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_nothing_is_unpacked_over_a_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "a.zip").write_bytes(zipped({"a": b"1"}))
    with pytest.raises(FileExistsError, match="expected .*out not to exist"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


# ---------------------------------------------------------------- tiny files of the true formats

def png(pixels, ending="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, ending, **options)
    return file.getvalue()


def blob(h, w):
    mask = np.zeros((h, w), np.uint8)
    mask[2:5, 3:7] = 255
    return mask


def cifar(batch, labels):
    pixels = np.random.default_rng(batch).integers(0, 256, (len(labels), 3072), np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1).tobytes()


def cifar_archive():
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    files = {f"data_batch_{i}.bin": cifar(i, [i, 9, 0]) for i in range(1, 6)}
    files |= {"test_batch.bin": cifar(6, [3, 4]), "batches.meta.txt": "\n".join([*names, "", ""]).encode()}
    return tarred({f"cifar-10-batches-bin/{name}": content for name, content in files.items()})


def kvasir_archive():
    files = {"Kvasir-SEG/kavsir_bboxes.json": b"{}"}
    for i in range(20):
        files[f"Kvasir-SEG/images/cju{i:02d}.jpg"] = png(np.full((16, 24, 3), 10 * i), "JPEG")
        files[f"Kvasir-SEG/masks/cju{i:02d}.jpg"] = png(np.repeat(blob(16, 24)[..., None], 3, 2), "JPEG", quality=95)
    return zipped(files)


def mat(name, array):
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {name: array})
    return file.getvalue()


CUBE = np.random.default_rng(1).integers(900, 9000, (14, 15, 20)).astype(np.uint16)
FIELD = np.random.default_rng(2).integers(0, 17, (14, 15)).astype(np.uint8)
PETS = {"Abyssinian_100": (1, 1, 1), "american_bulldog_2": (2, 2, 1)}


def pets():
    lists = "".join(f"{name} {k} {species} {breed}\n" for name, (k, species, breed) in PETS.items()).encode()
    trimap = np.full((12, 10), 2)
    trimap[3:8, 3:8], trimap[4:7, 4:7] = 3, 1
    annotations = {"annotations/README": b"", "annotations/trainval.txt": lists, "annotations/test.txt": lists,
                   "annotations/list.txt": b"#Image CLASS-ID SPECIES BREED ID\n" + lists}
    annotations |= {f"annotations/trimaps/{extra}{name}.png": png(trimap) for name in PETS for extra in ("", "._")}
    pictures = {f"images/{name}.jpg": png(np.full((12, 10, 3), 80), "JPEG") for name in PETS}
    return tarred(pictures), tarred(annotations)


def contents():
    """Set -> file of the set -> a tiny one of its format."""
    pictures, annotations = pets()
    misc = [f"Misc_{i}" for i in range(1, 7)]
    nudt = [f"{i:06d}" for i in range(1, 5)]
    return {
        "cifar10": {"cifar-10-binary.tar.gz": cifar_archive()},
        "kvasir_seg": {"kvasir-seg.zip": kvasir_archive()},
        "nuaa_sirst": {
            "images.zip": zipped({f"images/{m}.png": png(np.full((12, 14, 3), 9)) for m in misc} | {"__MACOSX/._a": b""}),
            "masks.zip": zipped({f"masks/{m}_pixels0.png": png(blob(12, 14)) for m in misc}
                                | {f"masks/{m}.xml": b"<a/>" for m in misc}),
            **{f"SIRST/idx_427/{s}.txt": "\n".join(n).encode() for s, n in (("train", misc[:3]), ("val", misc[3:4]),
                                                                            ("test", misc[4:]))}},
        "nudt_sirst": {
            "NUDT-SIRST.zip": zipped({f"NUDT-SIRST/images/{n}.png": png(np.full((16, 16), 9)) for n in nudt}
                                     | {f"NUDT-SIRST/masks/{n}.png": png(blob(16, 16)) for n in nudt}),
            "NUDT-SIRST/50_50/train.txt": b"000001\n000003\n", "NUDT-SIRST/50_50/test.txt": b"000002\n000004\n"},
        "indian_pines": {"Indian_pines_corrected.mat": mat("indian_pines_corrected", CUBE),
                         "Indian_pines_gt.mat": mat("indian_pines_gt", FIELD)},
        "oxford_pets": {"images.tar.gz": pictures, "annotations.tar.gz": annotations},
    }


@pytest.fixture
def sets(server, monkeypatch):
    """The true entries with the addresses and sums of tiny files on this machine."""
    tiny = contents()
    for name, known in NAMED.items():
        assert {file.path for file in known.files} == set(tiny[name])
        files = []
        for file in known.files:
            Server.files[f"/{name}/{file.path}"] = tiny[name][file.path]
            files.append(replace(file, urls=file.urls and (f"{server.url}/{name}/{file.path}",),
                                 checksum=file.checksum and sha(tiny[name][file.path])))
        monkeypatch.setitem(named.NAMED, name, replace(known, files=tuple(files)))
    return tiny


def put(folder, files):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def test_cifar10(sets, tmp_path):
    train, test = load_named("cifar10", tmp_path), load_named("cifar10", tmp_path, "test", fetch=False)
    assert len(train) == 15 and len(test) == 2 and train.classes[9] == "truck" and len(train.classes) == 10
    assert [train[i]["label"] for i in range(6)] == [1, 9, 0, 2, 9, 0] and train[3]["name"] == "data_batch_2_00000"
    raw = np.frombuffer(cifar(2, [2, 9, 0]), np.uint8).reshape(3, 3073)[1, 1:].reshape(3, 32, 32)
    item = train[4]
    assert item["image"].shape == (3, 32, 32) and torch.equal(item["image"], torch.from_numpy(raw.copy()).float() / 255)
    assert len(Server.asked) == 1                                           # one download for both splits


def test_what_is_unpacked_needs_its_archive_no_more(sets, tmp_path):
    load_named("cifar10", tmp_path, progress=False)
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    assert len(load_named("cifar10", tmp_path, fetch=False)) == 15


def test_kvasir_seg(sets, tmp_path):
    parts = [load_named("kvasir_seg", tmp_path, split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    assert len({part[i]["name"] for part in parts for i in range(len(part))}) == 20
    item = parts[0][3]
    assert item["image"].shape == (3, 16, 24) and torch.equal(item["mask"], torch.from_numpy(blob(16, 24)).long() // 255)


@pytest.mark.parametrize("name, sizes, shape", [("nuaa_sirst", {"train": 3, "val": 1, "test": 2}, (12, 14)),
                                                ("nudt_sirst", {"train": 2, "test": 2}, (16, 16))])
def test_the_infrared_sets(sets, tmp_path, name, sizes, shape):
    if name == "nudt_sirst":
        put(tmp_path / name, {"NUDT-SIRST.zip": sets[name]["NUDT-SIRST.zip"]})
    for split, size in sizes.items():
        pictures = load_named(name, tmp_path, split)
        assert len(pictures) == size and pictures[0]["image"].shape == (1, *shape)
        assert torch.equal(pictures[0]["mask"], torch.from_numpy(blob(*shape)).long() // 255)


def test_indian_pines(sets, tmp_path):
    scene = load_named("indian_pines", tmp_path)
    assert scene.cube.shape == (20, 14, 15) and scene.cube.dtype == torch.float32 and scene.labels.dtype == torch.int64
    assert scene.cube[7, 3, 5] == CUBE[3, 5, 7] and torch.equal(scene.labels, torch.from_numpy(FIELD).long())
    assert len(scene.classes) == 16
    assert HyperspectralPatches(scene.cube, scene.labels, 5)[0]["image"].shape == (1, 20, 5, 5)


def test_oxford_pets(sets, tmp_path):
    pictures = load_named("oxford_pets", tmp_path)
    item = pictures[0]
    assert len(pictures) == 2 and item["name"] == "Abyssinian_100" and item["image"].shape == (3, 12, 10)
    expected = torch.zeros(12, 10, dtype=torch.int64)
    expected[3:8, 3:8], expected[4:7, 4:7] = -100, 1
    assert torch.equal(item["mask"], expected)
    breeds = load_named("oxford_pets", tmp_path, "test", task="classification")
    assert [breeds[i]["label"] for i in range(2)] == [0, 1] and breeds.classes == ["Abyssinian", "american_bulldog"]
    assert "mask" not in breeds[0]


# ---------------------------------------------------------------- by name

@pytest.mark.parametrize("name", list(NAMED))
def test_files_put_there_by_hand_need_no_internet(sets, tmp_path, name):
    put(tmp_path / name, sets[name])
    if name == "nudt_sirst":                                                # lists in the folder that the archive makes
        unpack(tmp_path / name / "NUDT-SIRST.zip", tmp_path / name / "x")
        put(tmp_path / name / "NUDT-SIRST", files_under(tmp_path / name / "x"))
    load_named(name, tmp_path, fetch=False)
    assert Server.asked == []


@pytest.mark.parametrize("name", list(NAMED))
def test_offline_one_sentence_says_where_to_put_the_file(monkeypatch, tmp_path, name):
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as gone:
        closed = f"http://127.0.0.1:{gone.server_port}/file"
    known = NAMED[name]
    files = tuple(replace(file, urls=file.urls and (closed,)) for file in known.files)
    monkeypatch.setitem(named.NAMED, name, replace(known, files=files))
    first = known.files[0]
    for fetch in (True, False):
        with pytest.raises(FileNotFoundError) as caught:
            load_named(name, tmp_path, fetch=fetch, progress=False)
        message = str(caught.value)
        assert str(tmp_path / name / first.path) in message and "put it there" in message and "\n" not in message
        assert (closed if first.urls else known.page) in message


def test_licence_and_source_are_shown_before_a_download_and_only_then(sets, tmp_path, capsys):
    load_named("kvasir_seg", tmp_path)
    said = capsys.readouterr().out
    assert "research and education only" in said and "Jha et al." in said and "datasets.simula.no" in said
    load_named("kvasir_seg", tmp_path)
    assert capsys.readouterr().out == ""


def test_a_download_that_broke_goes_on_in_the_next_call(sets, tmp_path):
    Server.breaks = [1000, 1000, 1000]
    with pytest.raises(FileNotFoundError, match="got no connection .*broke after 3000 of"):
        load_named("cifar10", tmp_path, progress=False)
    assert len(load_named("cifar10", tmp_path, progress=False)) == 15
    assert Server.asked[-1] == ("/cifar10/cifar-10-binary.tar.gz", "bytes=3000-")


def test_tampering_is_refused_and_nothing_is_left(sets, tmp_path):
    Server.files["/kvasir_seg/kvasir-seg.zip"] = zipped({"Kvasir-SEG/images/evil.jpg": b""})
    with pytest.raises(ValueError, match="nothing was kept"):
        load_named("kvasir_seg", tmp_path, progress=False)
    assert list((tmp_path / "kvasir_seg").iterdir()) == []


def test_a_wrong_file_put_there_by_hand_is_refused_and_kept(sets, tmp_path):
    put(tmp_path / "kvasir_seg", {"kvasir-seg.zip": b"half of it"})
    with pytest.raises(ValueError, match="expected sha256:.* in .*kvasir-seg.zip, got sha256:.*; the file is damaged"):
        load_named("kvasir_seg", tmp_path)
    assert (tmp_path / "kvasir_seg" / "kvasir-seg.zip").read_bytes() == b"half of it" and Server.asked == []
    mine = {"kvasir-seg.zip": sha(kvasir_archive())}
    (tmp_path / "kvasir_seg" / "kvasir-seg.zip").write_bytes(kvasir_archive())
    assert len(load_named("kvasir_seg", tmp_path, checksums=mine)) == 16


def test_without_a_published_sum_the_first_file_is_noted_and_another_refused(sets, tmp_path):
    folder = tmp_path / "nudt_sirst"
    put(folder, {"NUDT-SIRST.zip": sets["nudt_sirst"]["NUDT-SIRST.zip"]})
    load_named("nudt_sirst", tmp_path, progress=False)
    note = folder / "NUDT-SIRST.zip.sha256"
    assert note.read_text().strip() == sha(sets["nudt_sirst"]["NUDT-SIRST.zip"])
    (folder / "NUDT-SIRST").rename(folder / "old")
    put(folder, {"NUDT-SIRST.zip": zipped({"NUDT-SIRST/images/evil.png": b""})})
    with pytest.raises(ValueError, match="as at first use, got .*; if you replaced it on purpose, delete NUDT-SIRST.zip"):
        load_named("nudt_sirst", tmp_path, progress=False)


def test_the_entries_are_complete():
    for name, known in NAMED.items():
        assert known.licence and known.cite and known.checked and known.page.startswith("https://")
        for file in known.files:
            assert all(url.startswith("https://") for url in file.urls)
            assert file.checksum is None or re.fullmatch("sha256:[0-9a-f]{64}|git:[0-9a-f]{40}", file.checksum)
            assert bool(file.urls) == (file.checksum is not None)           # what is downloaded is checked
    assert [name for name, known in NAMED.items() for file in known.files if file.checksum is None] == ["nudt_sirst"]


# ---------------------------------------------------------------- damaged files and bad arguments

def broken_cifar(folder, **changes):
    put(folder, {f"data_batch_{i}.bin": cifar(i, [0]) for i in range(1, 6)} | {"test_batch.bin": cifar(0, [1]),
                                                                              "batches.meta.txt": b"a b"} | changes)
    return folder


@pytest.mark.parametrize("call, error, words", [
    (lambda p: load_named("mnist", p), ValueError, "expected name to be one of 'cifar10', .*got 'mnist'"),
    (lambda p: load_named("cifar10", p, "val"), ValueError, "expected split to be one of 'train', 'test', got 'val'"),
    (lambda p: load_named("indian_pines", p, "train"), ValueError, "expected split=None for indian_pines, .*split_pixels"),
    (lambda p: load_named("cifar10", p, checksums={"a.zip": "x"}), ValueError,
     "expected checksums for cifar-10-.*, got 'a.zip'"),
    (lambda p: Cifar10(p), FileNotFoundError, "expected data_batch_1.bin, .* found none; unpack"),
    (lambda p: Cifar10(broken_cifar(p, **{"data_batch_2.bin": b"123"})), ValueError, "records of 3,073 bytes .*got 3 bytes"),
    (lambda p: Cifar10(broken_cifar(p, **{"test_batch.bin": cifar(0, [77])}), "test"), ValueError,
     "labels from 0 to 9 .*got 77"),
    (lambda p: Cifar10(broken_cifar(p))[5], IndexError, "from 0 to 4, got 5"),
    (lambda p: OxfordPets(p), FileNotFoundError, "expected the list .*trainval.txt, found none"),
    (lambda p: (put(p, {"annotations/trainval.txt": b"cat 1\n"}), OxfordPets(p)), ValueError,
     "'name class species breed' .*cat 1"),
    (lambda p: (put(p, {"annotations/trainval.txt": b"cat_1 1 1 1\n"}), OxfordPets(p)), FileNotFoundError,
     "found no .*cat_1.jpg"),
    (lambda p: read_indian_pines(p), FileNotFoundError, "expected .*Indian_pines_corrected.mat, found no file"),
    (lambda p: (put(p, {"Indian_pines_corrected.mat": b"<html>"}), read_indian_pines(p)), ValueError,
     "expected a MATLAB file in"),
    (lambda p: (put(p, {"Indian_pines_corrected.mat": mat("paviaU", CUBE)}), read_indian_pines(p)), ValueError,
     r"expected indian_pines_corrected with 3 axes in .*, got paviaU \(14, 15, 20\)"),
])
def test_bad_input(tmp_path, call, error, words):
    with pytest.raises(error, match=words):
        call(tmp_path)
