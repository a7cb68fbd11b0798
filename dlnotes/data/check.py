"""Everything that is wrong with a folder of pictures, found before training and told at once.

``check_dataset`` reads every file once and only reads: a bad file becomes a line of the report and never an exception at
hour nine. For scripts: ``python -m dlnotes.data.check FOLDER`` ends with status 0 if there is no error, 1 if there is one
(with ``--strict`` also for a warning), 2 if the folder could not be checked at all.
"""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .defects import Defects
from .facts import Facts, mask_facts, picture_facts
from .layouts import LAYOUTS, Survey, survey, survey_classes
from .report import KINDS, Report

__all__ = ["check_dataset"]


def check_dataset(folder: str | os.PathLike, *, classes: int | None = None, ignore: int | None = None,
                  values: str | Iterable[int] | None = None, layout: str | None = None, mask_ending: str | None = None,
                  near: bool = True, workers: int = 4) -> Report:
    """Read every file of a data set once and report all that is wrong. Changes nothing.

    Args:
        folder: pictures and masks in one of ``LAYOUTS``, or one folder per class.
        classes: number of classes. None: taken from the masks, strange numbers are then only probable errors.
        ignore: a number in the masks that marks pixels without truth; 255 on Pascal VOC's layout if not given.
        values: numbers that the masks may hold where they are not 0 to classes - 1: "binary" (0 and 255, or 0 and 1), or
            the numbers.
        layout: a key of ``LAYOUTS``, or "classes"; None tries them in order.
        mask_ending: as in ``SegmentationFolder``.
        near: look also for pictures that only look alike (how: see ``dlnotes.data.facts``).
        workers: threads that read.

    Returns:
        A :class:`Report`.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no layout fits, or an argument is none of these.
    """
    if classes is not None and (not isinstance(classes, int) or isinstance(classes, bool) or classes < 1):
        raise ValueError(f"check_dataset: expected classes to be an integer of at least 1, got {classes!r}; the background "
                         "counts as one")
    if isinstance(values, str) and values != "binary":
        raise ValueError(f"check_dataset: expected values to be 'binary' or numbers, got {values!r}; for example {{0, 128}}")
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"check_dataset: expected workers to be an integer of at least 1, got {workers!r}; pass a number "
                         "of threads")
    found = _walk(folder, layout, mask_ending)
    if found.layout == "voc" and ignore is None:
        ignore = 255
    check = Defects(found)
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore")                             # of PIL, about metadata; what matters is in the report
        pictures = _read(pool, picture_facts, found.pictures)
        masks = _read(pool, mask_facts, found.masks)
    check.files(pictures, masks)
    check.names()
    check.lists()
    check.duplicates(pictures, masks, near)
    if not found.classes:
        check.pairs(pictures, masks)
        check.mask_values(masks, classes, ignore, values)
    else:
        check.class_folders()
    order = {kind: i for i, kind in enumerate(KINDS)}
    return Report(str(found.root), "classification" if found.classes else "segmentation", found.layout, len(found.pictures),
                  len(found.masks), {split: len(names) for split, names in found.splits.items()},
                  sorted(check.findings, key=lambda f: (order[f.kind], f.files, f.detail)))


def _walk(folder: str | os.PathLike, layout: str | None, mask_ending: str | None) -> Survey:
    """Segmentation if a layout fits, else classification."""
    if layout == "classes":
        return survey_classes(folder)
    try:
        return survey(folder, layout, mask_ending)
    except ValueError as error:
        if layout is not None:
            raise
        try:
            return survey_classes(folder)
        except ValueError:
            raise error from None


def _read(pool: ThreadPoolExecutor, look, files: dict[str, list[Path]]) -> dict[str, list[Facts]]:
    """Facts of every file, in parallel: PIL lets go of Python's lock while it decodes."""
    facts = iter(list(pool.map(look, [path for paths in files.values() for path in paths])))
    return {name: [next(facts) for _ in paths] for name, paths in files.items()}


def main(arguments: list[str] | None = None) -> int:
    """``python -m dlnotes.data.check``; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dlnotes.data.check", description="Check a data set before training.")
    parser.add_argument("folder")
    parser.add_argument("--classes", type=int, help="number of classes, background included")
    parser.add_argument("--ignore", type=int, help="number in the masks that marks pixels without truth")
    parser.add_argument("--values", help="'binary', or the numbers that masks may hold, such as 0,128,255")
    parser.add_argument("--layout", choices=[*LAYOUTS, "classes"])
    parser.add_argument("--no-near", action="store_true", help="leave out pictures that only look alike")
    parser.add_argument("--strict", action="store_true", help="status 1 also for a warning")
    parser.add_argument("--all", action="store_true", help="every file, not the first 5 of each kind")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")           # a terminal that cannot show every name
    try:
        values = given.values
        if values not in (None, "binary"):
            values = {int(number) for number in values.split(",")}
        report = check_dataset(given.folder, classes=given.classes, ignore=given.ignore, values=values, layout=given.layout,
                               near=not given.no_near)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report.to_dict(), indent=1) if given.json else report.text(None if given.all else 5))
    return report.exit_status(given.strict)


if __name__ == "__main__":
    sys.exit(main())
