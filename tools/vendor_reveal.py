"""Vendor reveal.js for the lecture decks: take from its npm package what the decks use, and nothing else.

    npm pack reveal.js@6.0.2
    python tools/vendor_reveal.py reveal.js-6.0.2.tgz

Not taken: themes (we have our own) and all plugins. The speaker view of the notes plugin works from a folder, too, but it
starts two more copies of the deck, each with its widgets in their first state; ours, in ``static/slides.js``, shows what is on
the screen, and the time of the section.
"""

import gzip
import hashlib
import sys
import tarfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "static" / "vendor"
VERSION = "6.0.2"
SHA256 = "2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91"
WANTED = {"package/dist/reveal.js": f"reveal-{VERSION}.js.gz", "package/dist/reveal.css": f"reveal-{VERSION}.css.gz",
          "package/LICENSE": "reveal-LICENSE.txt"}


def main(archive: str) -> None:
    """Write the wanted files of ``archive`` to static/vendor; exits if it is not the archive that was reviewed."""
    found = hashlib.sha256(Path(archive).read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"vendor_reveal: expected the archive of version {VERSION} with SHA-256 {SHA256}, got {found}; "
                 "review the new version, then change VERSION and SHA256 here")
    with tarfile.open(archive) as files:
        for name, target in WANTED.items():
            content = files.extractfile(name).read()
            (VENDOR / target).write_bytes(gzip.compress(content, 9, mtime=0) if target.endswith(".gz") else content)
            print(f"{target}: {(VENDOR / target).stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
