"""`logpose convert`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file


def test_a_checkpoint_becomes_a_folder_that_every_command_takes(command, refused, coco_folder, tiny_run, tmp_path):
    out = tmp_path / "mine"
    code, printed, err = command("convert", tiny_run / "best.ckpt", "--out", out)
    assert (code, printed) == (0, "")
    assert "17 joints" in err
    assert sorted(file.name for file in out.iterdir()) == ["config.json", "model.safetensors"]
    ckpt = tiny_run / "best.ckpt"
    figures = [command("eval", each, coco_folder, "--json")[1] for each in (ckpt, out)]
    assert figures[0] == figures[1]
    kept = json.loads((out / "config.json").read_text())
    assert kept["pixels"] == {"mean": pytest.approx([0.485, 0.456, 0.406]), "std": pytest.approx([0.229, 0.224, 0.225])}
    assert kept["figures"]["error_px"] > 0
    recipe = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert kept["recipe"] == recipe | {"data": Path(recipe["data"]).name}  # not where it lay
    assert kept["converted_from"] == "best.ckpt"
    again = tmp_path / "again"
    assert command("convert", out, "--out", again)[0] == 0
    assert json.loads((again / "config.json").read_text()) == kept | {"converted_from": "mine"}
    image = next((coco_folder / "val").iterdir())
    assert command("predict", out, image)[0] == 0
    assert "not empty" in refused("convert", ckpt, "--out", out)
    other = tmp_path / "other"
    assert "config.json: no such checkpoint" in refused("convert", coco_folder, "--out", other)
    assert image.name in refused("convert", image, "--out", other)
    assert "best.ckpt" in refused("convert", ckpt, "--out", other, "--origin", "mmpose")
    torch.save({"state_dict": {}, "when": Path("x")}, tmp_path / "objects.pth")
    assert "it holds an object of pathlib" in refused("convert", tmp_path / "objects.pth", "--out", other)
    assert not other.exists()


def test_half_precision_halves_the_file_and_moves_joints_by_less_than_a_twentieth_of_a_pixel(
    command, coco_folder, tiny_run, tmp_path
):
    whole, half = tmp_path / "whole", tmp_path / "half"
    for out, flags in ((whole, ()), (half, ("--half",))):
        assert command("convert", tiny_run / "best.ckpt", "--out", out, *flags)[0] == 0
    sizes = [(out / "model.safetensors").stat().st_size for out in (whole, half)]
    assert sizes[1] < 0.55 * sizes[0]
    kept = load_file(half / "model.safetensors")
    exact = [tensor for name, tensor in kept.items() if tensor.ndim < 2 or "pixel_" in name or name.startswith("loss.")]
    assert {tensor.dtype for tensor in exact} <= {torch.float32, torch.int64}
    image = next((coco_folder / "val").iterdir())
    found = [json.loads(command("predict", out, image, "--json", "--looks", 1)[1])[0] for out in (whole, half)]
    keypoints = [np.reshape(row["keypoints"], (-1, 3)) for row in found]
    np.testing.assert_allclose(keypoints[1], keypoints[0], atol=0.05)
    np.testing.assert_allclose(found[1]["sigma"], found[0]["sigma"], rtol=1e-3)
