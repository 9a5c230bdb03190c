"""`logpose predict`: what every task has in common."""

from __future__ import annotations

import shutil

import torch


def test_checkpoints_that_are_none_are_refused(refused, coco_folder, tiny_run, tmp_path):
    photo = next((coco_folder / "val").iterdir())
    assert "no such checkpoint" in refused("predict", tmp_path / "no.ckpt", photo)
    (tmp_path / "text.ckpt").write_text("hello")
    assert "not a checkpoint" in refused("predict", tmp_path / "text.ckpt", photo)
    shutil.copy2(tiny_run / "config.yaml", tmp_path)
    shutil.copy2(tiny_run / "last.ckpt", tmp_path)
    assert str(tmp_path / "last.ckpt") in refused("predict", tmp_path, photo)
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    assert "not a checkpoint of logpose" in refused("predict", tmp_path / "other.ckpt", photo)


def test_a_folder_of_neither_checkpoint_nor_images_is_refused(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    for words in ((tmp_path,), (tmp_path, tmp_path / "photo.jpg")):
        assert f"{tmp_path}: a folder without a checkpoint and without images" in refused("predict", *words)


def test_an_unknown_device_is_refused(refused, coco_folder, tiny_run):
    photo = next((coco_folder / "val").iterdir())
    assert "warp" in refused("predict", tiny_run / "best.ckpt", photo, "--device", "warp")


def test_an_input_is_not_overwritten(command, tiny_run, coco_folder, tmp_path):
    image = tmp_path / "photo.jpg"
    image.write_bytes(sorted((coco_folder / "val").iterdir())[0].read_bytes())
    before = image.read_bytes()
    code, out, err = command("predict", tiny_run / "best.ckpt", image, "--save-json", image)
    assert (code, out) == (2, "")
    assert "photo.jpg" in err
    assert image.read_bytes() == before
