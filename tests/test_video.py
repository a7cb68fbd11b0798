"""Clips hold the frames that they should, in order, with time as depth."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlnotes.data.video import VideoClips, clip_starts


def frames(folder, numbers, size=(6, 5), pattern="frame{}.png"):
    """Frames whose grey value is their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        Image.fromarray(np.full((*size, 3), n, np.uint8)).save(folder / pattern.format(n))
    return folder


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 4), st.integers(1, 7))
def test_clips_start_wherever_they_fit(count, length, stride, hop):
    """Every start is a multiple of hop at which the last frame still exists, and none is left out."""
    fits = [s for s in range(0, count, hop) if s + (length - 1) * stride < count]
    assert list(clip_starts(count, length, stride, hop)) == fits


def test_by_default_clips_neither_overlap_nor_leave_a_gap():
    used = [s + i for s in clip_starts(20, 5) for i in range(5)]
    assert used == list(range(20))


@settings(deadline=None, max_examples=20)
@given(st.integers(8, 20), st.integers(1, 4), st.integers(1, 2), st.sampled_from([1, 3]))
def test_a_clip_of_a_tensor_holds_its_frames_in_order(count, length, stride, channels):
    video = torch.rand(count, channels, 4, 5)
    clips = VideoClips(video, length, stride, hop=1)
    for i in range(len(clips)):
        clip = clips[i]["image"]
        assert clip.shape == (channels, length, 4, 5) and clip.is_contiguous()
        for d in range(length):
            assert torch.equal(clip[:, d], video[i + d * stride])


def test_a_careless_reshape_has_the_shape_and_not_the_picture():
    video = torch.rand(8, 3, 4, 5)
    clip = VideoClips(video, 8)[0]["image"]
    careless = video.reshape(3, 8, 4, 5)
    assert careless.shape == clip.shape and not torch.equal(careless, clip)


def test_frames_come_in_the_order_of_their_numbers_not_of_their_letters(tmp_path):
    clips = VideoClips(frames(tmp_path / "film", range(8, 13)), length=5)
    assert len(clips) == 1 and clips.videos == ["film"]
    item = clips[0]
    assert item["image"].shape == (3, 5, 6, 5) and item["image"].dtype == torch.float32 and item["name"] == "film_00000"
    assert (item["image"][0, :, 0, 0] * 255).round().tolist() == [8, 9, 10, 11, 12]


def test_several_videos_with_labels_and_no_clip_across_two(tmp_path):
    frames(tmp_path / "run", range(7))
    frames(tmp_path / "walk 10", range(100, 105), size=(3, 4))              # another size is fine in another video
    frames(tmp_path / "walk 9", range(200, 202))                            # shorter than a clip
    clips = VideoClips(tmp_path, length=3, hop=2, labels=[0, 5, 1])
    assert clips.videos == ["run", "walk 9", "walk 10"]
    seen = [(item["label"], (item["image"][0, :, 0, 0] * 255).round().int().tolist())
            for item in (clips[i] for i in range(len(clips)))]
    assert seen == [(0, [0, 1, 2]), (0, [2, 3, 4]), (0, [4, 5, 6]), (1, [100, 101, 102]), (1, [102, 103, 104])]


def test_grey_clips_and_eight_bits(tmp_path):
    clips = VideoClips(frames(tmp_path / "film", range(4)), length=2, channels=1)
    assert clips[1]["image"].shape == (1, 2, 6, 5)
    eight = VideoClips(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8), 2)[0]["image"]
    assert torch.allclose(eight, torch.tensor(0.2))


def test_clips_go_through_a_loader_into_a_3d_convolution(tmp_path):
    clips = VideoClips(frames(tmp_path / "film", range(12)), length=4)
    batch = next(iter(torch.utils.data.DataLoader(clips, batch_size=3)))["image"]
    assert torch.nn.Conv3d(3, 7, (3, 3, 3))(batch).shape == (3, 7, 2, 4, 3)


def test_a_missing_frame_is_named_and_may_be_allowed(tmp_path):
    frames(tmp_path / "film", [1, 2, 3, 5, 6])
    with pytest.raises(ValueError, match="expected frame numbers without a gap in film, got 5 after 3"):
        VideoClips(tmp_path / "film", length=2)
    assert len(VideoClips(tmp_path / "film", length=2, gaps=True)) == 2
    frames(tmp_path / "every second", [2, 4, 6, 8])
    assert len(VideoClips(tmp_path / "every second", length=2)) == 2


def test_frames_of_two_sizes_in_one_clip_are_named(tmp_path):
    frames(tmp_path / "film", [1, 2])
    frames(tmp_path / "film", [3], size=(9, 9))
    with pytest.raises(ValueError, match=r"frames of one size, got \(6, 5\) in .*frame1.png and \(9, 9\) in .*frame3"):
        VideoClips(tmp_path / "film", length=3)[0]


@pytest.mark.parametrize("call, error, words", [
    (lambda p: VideoClips(p / "none"), FileNotFoundError, "expected a folder of frames at .*none, found none"),
    (lambda p: VideoClips(p), ValueError, "expected pictures in .* found none"),
    (lambda p: VideoClips(torch.rand(9, 4, 5, 3)), ValueError, r"expected a video \(t, c, h, w\) of 1 or 3 channels"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), length=0), ValueError,
     "expected length to be an integer of at least 1, got 0"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), 3, hop=0), ValueError, "expected hop"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), 4, 3), ValueError, "expected a video of at least 10 frames .* got 9"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), 3, labels=[1, 2]), ValueError,
     "expected one label for each of 1 videos, got 2"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), 3)[3], IndexError, "from 0 to 2, got 3"),
    (lambda p: VideoClips(torch.rand(9, 3, 4, 5), 3, channels=2), ValueError, "expected channels to be one of 1, 3, got 2"),
])
def test_bad_input(tmp_path, call, error, words):
    with pytest.raises(error, match=words):
        call(tmp_path)
