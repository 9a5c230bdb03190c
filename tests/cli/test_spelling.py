"""Spelling of flags."""

from __future__ import annotations

from logpose.cli.spelling import in_dashes


def test_flags_in_a_text_have_dashes() -> None:
    text = "--batch_size/--no_flip_test=a_b, my_file and --augmentation.flip_probability: batch_size"
    expected = "--batch-size/--no-flip-test=a_b, my_file and --augmentation.flip-probability: batch_size"
    assert in_dashes(text) == expected
