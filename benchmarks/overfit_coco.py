"""The whole path on real photographs: overfit a small part of COCO from random weights on a CPU.

    python benchmarks/overfit_coco.py COCO_FOLDER --out runs/overfit

Uses `annotations/person_keypoints_train2017.json` of a folder in COCO's layout (a true subset with some dozens of
images is meant), and the commands that a user has. Writes `figures.json` and images. A model that cannot reach AP
0.9 on the very people it learned from has a fault somewhere between file and figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from logpose.cli.main import main as logpose
from logpose.data.coco import CocoKeypoints
from logpose.tasks.pose.evaluate import evaluate
from logpose.training.checkpoint import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder in COCO's layout")
    parser.add_argument("--out", type=Path, default=Path("runs/overfit"), help="folder of the run")
    parser.add_argument("--epochs", type=int, default=300)
    given = parser.parse_args()
    file = given.data / "annotations" / "person_keypoints_train2017.json"
    still = [f"--augmentation.{name}=0" for name in ("scale", "rotation", "half_body_probability", "flip_probability")]
    started = time.monotonic()
    code = logpose(
        [
            *("train", "coco_resnet18_rle", str(file), "--val-data", str(file), "--out", str(given.out)),
            *(f"--epochs={given.epochs}", f"--validate-every={max(1, given.epochs // 8)}", "--batch-size=16"),
            *("--workers=0", "--no-flip-test", "--watch=ap", *still),
        ]
    )
    if code:
        raise SystemExit(code)
    minutes = (time.monotonic() - started) / 60
    model, loss = load(given.out / "best.ckpt")
    people = CocoKeypoints(file)
    figures = evaluate(model, people, loss, flip_test=False).compute()
    boxes = {path.name: [] for path in people.images.values()}
    for sample in people.samples:
        assert isinstance(sample.image, Path)
        boxes[sample.image.name].append(sample.box.tolist())
    (given.out / "boxes.json").write_text(json.dumps(boxes))
    words = ["--boxes", str(given.out / "boxes.json"), "--save-json", str(given.out / "people.json")]
    images = sorted(str(path) for path in people.images.values())
    code = logpose(
        ["predict", str(given.out / "best.ckpt"), *images, *words, "--save-images", str(given.out / "images")]
    )
    about = {
        "minutes": round(minutes, 1),
        "epochs": given.epochs,
        "torch": torch.__version__,
        "cpu": platform.processor(),
    }
    (given.out / "figures.json").write_text(json.dumps({**about, **figures}, indent=2) + "\n")
    print(json.dumps({**about, "ap": figures["ap"], "error_px": figures["error_px"]}))
    raise SystemExit(code or (0 if figures["ap"] > 0.9 else 1))


if __name__ == "__main__":
    main()
