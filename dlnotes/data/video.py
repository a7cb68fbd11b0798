"""Video clips: frames in a row as one block of numbers, for 3-D convolutions.

A video is a folder of numbered frames, or an array. A clip takes ``length`` frames, ``stride`` frames apart, and the next
clip starts ``hop`` frames later. Time becomes the depth axis: (c, d, h, w), so that a kernel of ``Conv3d`` slides over time
as it does over height and width. A reshape from (d, c, h, w) to that shape keeps the numbers and destroys the picture; it
takes a transpose.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import Dataset

from dlnotes._check import check_choice, check_integers

from ._draw import check_index

__all__ = ["VideoClips", "clip_starts"]


def clip_starts(frames: int, length: int, stride: int = 1, hop: int | None = None) -> range:
    """First frames of the clips of a video.

    Args:
        frames: in the video.
        length: frames in a clip.
        stride: from one frame of a clip to the next; 2 leaves out every other.
        hop: from the start of a clip to the start of the next; by default the frames that a clip spans, so that clips
            neither overlap nor leave a gap.

    Returns:
        The starts; empty if the video is shorter than a clip. What is left at the end is not used.

    >>> list(clip_starts(20, length=4, stride=2)), list(clip_starts(20, length=8, hop=4))
    ([0, 8], [0, 4, 8, 12])
    """
    check_integers("clip_starts", at_least=0, frames=frames)
    check_integers("clip_starts", length=length, stride=stride)
    hop = length * stride if hop is None else hop
    check_integers("clip_starts", hop=hop)
    last = frames - ((length - 1) * stride + 1)                     # a clip reaches from its first frame to its last
    return range(0, last + 1, hop) if last >= 0 else range(0)


class VideoClips(Dataset):
    """Clips of one or several videos.

    Args:
        source: a folder of frames; a folder of such folders, one for each video; or one video as a tensor (t, c, h, w),
            uint8 or floats in [0, 1].
        length: frames in a clip.
        stride: from one frame of a clip to the next.
        hop: from one clip to the next, in frames; by default clips lie end to end. 1 gives all that there are.
        channels: 3 or 1; of a tensor they stay as they are.
        labels: class of each video, in the order of ``videos``; items then have a ``"label"``.
        gaps: allow frame numbers that jump, which join frames that were not neighbours.

    Attributes:
        videos: names of the videos, in order.

    Raises:
        FileNotFoundError: if the folder is missing.
        ValueError: if there are no frames, numbers jump, labels are too few, or every video is shorter than a clip.

    >>> clips = VideoClips(torch.zeros(20, 3, 32, 48), length=8, stride=2, hop=1)
    >>> len(clips), clips[5]["image"].shape, clips[5]["name"]
    (6, torch.Size([3, 8, 32, 48]), 'video_00005')
    """

    def __init__(self, source: str | os.PathLike | torch.Tensor, length: int = 16, stride: int = 1, *,
                 hop: int | None = None, channels: int = 3, labels: Sequence[int] | None = None, gaps: bool = False):
        check_integers("VideoClips", length=length, stride=stride)
        check_choice("VideoClips", (1, 3), channels=channels)
        self.length, self.stride, self.channels = length, stride, channels
        if isinstance(source, torch.Tensor):
            _check_tensor(source)
            self._frames: list[torch.Tensor | list[Path]] = [source]
            self.videos = ["video"]
        else:
            found = _find(Path(source), gaps)
            self.videos, self._frames = list(found), list(found.values())
        if labels is not None and len(labels) != len(self.videos):
            raise ValueError(f"VideoClips: expected one label for each of {len(self.videos)} videos, got {len(labels)}; "
                             "their order is that of the attribute videos (of a VideoClips without labels)")
        self.labels = None if labels is None else [int(k) for k in labels]
        self.clips = [(v, start) for v, frames in enumerate(self._frames)
                      for start in clip_starts(len(frames), length, stride, hop)]
        if not self.clips:
            span = (length - 1) * stride + 1
            raise ValueError(f"VideoClips: expected a video of at least {span} frames (length={length}, stride={stride}), "
                             f"got {max(map(len, self._frames))} in the longest; take a smaller length or stride")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict:
        """``{"image": (c, d, h, w) float32 in [0, 1], "name": video and first frame}``, and ``"label"`` if there are any.

        Raises:
            IndexError: if ``index`` is out of range.
            ValueError: if frames of the clip differ in size.
        """
        video, start = self.clips[check_index("VideoClips", index, len(self))]
        frames = self._frames[video]
        where = range(start, start + self.length * self.stride, self.stride)
        clip = frames[list(where)] if isinstance(frames, torch.Tensor) else self._read([frames[i] for i in where])  # d c h w
        clip = clip.float() / 255 if clip.dtype == torch.uint8 else clip.float()
        item = {"image": clip.transpose(0, 1).contiguous(), "name": f"{self.videos[video]}_{start:05d}"}            # c d h w
        return item if self.labels is None else {**item, "label": self.labels[video]}

    def _read(self, paths: list[Path]) -> torch.Tensor:
        from .files import read_picture

        pictures = [read_picture(path, self.channels) for path in paths]
        for path, picture in zip(paths, pictures):
            if picture.shape != pictures[0].shape:
                raise ValueError(f"VideoClips: expected frames of one size, got {tuple(pictures[0].shape[1:])} in "
                                 f"{paths[0]} and {tuple(picture.shape[1:])} in {path}; resize the frames, or keep the "
                                 "videos in folders apart")
        return torch.stack(pictures)                                                        # d c h w


def _check_tensor(video: torch.Tensor) -> None:
    if video.ndim != 4 or video.shape[1] not in (1, 3) or not (video.dtype == torch.uint8 or video.is_floating_point()):
        raise ValueError(f"VideoClips: expected a video (t, c, h, w) of 1 or 3 channels, uint8 or floats, got "
                         f"{tuple(video.shape)} {video.dtype}; x.movedim(-1, 1) brings channels forward")


def _find(root: Path, gaps: bool) -> dict[str, list[Path]]:
    """The frames of each video, in the order of their numbers."""
    if not root.is_dir():
        raise FileNotFoundError(f"VideoClips: expected a folder of frames at {root}, found none; extract the frames first, "
                                "for example with ffmpeg -i film.mp4 frames/%05d.png")
    from .files import PICTURES

    folders = [root, *sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=_by_number)]
    videos = {folder.name: frames for folder in folders
              if (frames := sorted((p for p in folder.iterdir() if p.suffix.lower() in PICTURES
                                    and not p.name.startswith(".")), key=_by_number))}
    if not videos:
        raise ValueError(f"VideoClips: expected pictures in {root} or in folders inside it, found none; the endings "
                         f"{', '.join(sorted(PICTURES))} count")
    for name, frames in videos.items():
        numbers = [int(found[-1]) for path in frames if (found := re.findall(r"\d+", path.stem))]
        jumps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + (numbers[1] - numbers[0])]
        if jumps and not gaps and len(numbers) == len(frames):
            raise ValueError(f"VideoClips: expected frame numbers without a gap in {name}, got {jumps[0][1]} after "
                             f"{jumps[0][0]}; find the missing frames, or pass gaps=True to join what is there")
    return videos


def _by_number(path: Path) -> list:
    """Sorts frame10 behind frame9: digits compare as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.stem) if part]
