"""Choosing a device and repeating a run."""

import random

import numpy as np
import pytest
import torch

from dlnotes.device import pick_device, seed_everything


def test_the_device_is_cuda_where_there_is_one_and_the_cpu_elsewhere(monkeypatch):
    monkeypatch.delenv("DLNOTES_DEVICE", raising=False)
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_whole_session_can_insist_on_the_cpu(monkeypatch):
    monkeypatch.setenv("DLNOTES_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")


@pytest.mark.parametrize("wrong", ["gpu", "tpu:0", "meta", "cpu:x", ""])
def test_another_word_is_refused_with_the_words_that_work(wrong, monkeypatch):
    monkeypatch.setenv("DLNOTES_DEVICE", wrong or "gpu")
    with pytest.raises(ValueError, match=r"expected 'cpu', 'cuda' or 'cuda:N', got"):
        pick_device(wrong)


def test_a_card_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="a CUDA device that is present"):
        pick_device(f"cuda:{torch.cuda.device_count()}")


def test_the_same_seed_gives_the_same_numbers_everywhere():
    def draw():
        generator = seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(3).tolist(), torch.rand(3, generator=generator).tolist()

    assert draw() == draw()


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "0", True, None])
def test_a_seed_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="expected an integer seed from 0 to 4294967295"):
        seed_everything(wrong)
