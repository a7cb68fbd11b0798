"""From files to batches: folders, augmentation, checks, tiles, and sets that come with the course or by name.

Every name loads its module when it is first used, so that ``import dlnotes.data`` costs nothing.
"""

from importlib import import_module

_MODULES = {
    ".files": ("PICTURES", "picture_size", "read_mask", "read_picture"),
    ".layouts": ("LAYOUTS", "Survey", "read_names", "survey", "survey_classes"),
    ".folders": ("ClassificationFolder", "IGNORE", "SegmentationFolder"),
    ".augment": ("Augment", "Draw", "Resize"),
    ".normalization": ("IMAGENET_MEAN", "IMAGENET_STD", "Normalize", "denormalize", "normalize"),
    ".seeds": ("Augmented", "EpochSeeds", "seed_worker", "seeded"),
    ".collate": ("pad_collate", "unpad"),
    ".splits": ("class_weights", "pixel_counts", "sample_weights", "split_names", "write_names"),
    ".cache": ("DecodedCache",),
    ".check": ("check_dataset",),
    ".report": ("Finding", "KINDS", "Report"),
    ".tiling": ("Grid", "grid_of", "predict_tiled", "tiles", "untile"),
    ".crops": ("TiledPictures", "read_crop"),
    "dlnotes.digits": ("DigitsOnTextures",),
    ".samples": ("SAMPLES", "Photographs", "Sample", "list_samples", "load_sample", "photographs"),
    ".textures": ("TexturedDigits",),
    ".small_targets": ("SCENES", "Scene", "SmallTargets", "write_sirst"),
    ".hyperspectral_scene": ("HyperspectralScene",),
    ".hyperspectral": ("BandPCA", "HyperspectralPatches", "PixelSplit", "measure_leak", "split_pixels"),
    ".video": ("VideoClips", "clip_starts"),
    ".degradations": ("Chain", "Downsample", "GaussianBlur", "GaussianNoise", "Haze", "Jpeg", "MotionBlur", "PoissonNoise",
                      "Rain", "gaussian_kernel", "ground_depth", "motion_kernel"),
    ".pairs": ("Degraded", "PairFolder"),
    ".named": ("NAMED", "NamedFile", "NamedSet", "load_named"),
    ".readers": ("Cifar10", "IndianPines", "OxfordPets", "read_indian_pines"),
    ".download": ("NoAnswer", "file_sum", "matches", "unpack"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name], __name__), name)
    if not name.startswith("_"):
        try:
            return import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module 'dlnotes.data' has no attribute {name!r}; it offers {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
