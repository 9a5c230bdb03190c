"""The command `logpose`: one subcommand for each thing a person wants to do.

Results go to stdout or files, everything else to stderr. Bad input ends in one sentence and exit code 2.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from logpose.arguments import command_parser
from logpose.structures import InputError

__all__ = ["main"]

log = logging.getLogger("logpose")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process when None.

    Returns:
        exit code: 0 done, 2 bad input, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _log_to_stderr()
    try:
        if words[:1] == ["train"]:
            return _train(words[1:])
        if words[:1] in (["synth"], ["convert"]):
            from logpose.recipe_flags import as_parsed

            words = as_parsed(words, {"size": (0, 0), "people": (0, 0)})
        arguments = [_with_dashes(word) for word in words]
        parser = command_parser()
        if not arguments:
            parser.print_help(sys.stderr)
            return 2
        parsed = parser.parse_args(arguments)
        return COMMANDS[parsed.command](parsed[parsed.command])
    except InputError as error:
        # One from a loader's process carries that process's traceback before what it says.
        said = str(error).splitlines()[-1].removeprefix(f"{InputError.__module__}.{InputError.__name__}: ")
        print(f"logpose: {said}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        return 0
    except OSError as error:  # an output that cannot be written, a folder where a file is wanted, …
        print(f"logpose: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("logpose: interrupted", file=sys.stderr)
        return 130


# Each command imports what it needs, so that the others do not wait for it.


def _demo(given: Namespace) -> int:
    from logpose.demo import run_demo

    run_demo(given.out, given.seed, given.epochs, given.people)
    return 0


def _train(arguments: list[str]) -> int:
    """`logpose train RECIPE [--FIELD VALUE …]`: the flags are the recipe's plain fields."""
    wants_help = arguments[:1] in (["--help"], ["-h"])
    if not arguments or arguments[0].startswith("-"):
        print(TRAIN_USAGE, file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 2
    from logpose.recipe import FIRST
    from logpose.recipe_flags import parse_recipe
    from logpose.recipes import find
    from logpose.training import fit

    name = arguments[0]
    recipe, out, resume = parse_recipe(name, find(name)(), arguments[1:])
    # Lightning starts the further processes of a run with the same words; the first one has made the folder by then.
    first = os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("RANK", "0") == "0"
    if out.is_file():
        raise InputError(f"{out}: is a file, not a folder for a run")
    if first and resume is None and out.exists() and any(out.iterdir()):
        raise InputError(f"{out}: is not empty; choose another folder, or go on from it with --resume {out}")
    run = fit(recipe, out, resume)
    if run.interrupted:
        begun = any((place / "last.ckpt").exists() for place in (run.folder, run.folder / FIRST))
        again = f"go on with: logpose train {name} --resume {run.folder}" if begun else "no epoch was finished"
        print(f"logpose: interrupted; {again}", file=sys.stderr)
        return 130
    if first:
        _print_figures(run.figures)
        print(f"best checkpoint: {run.best}", file=sys.stderr)
    return 0


TRAIN_USAGE = """usage: logpose train RECIPE [--data DATA] [--out DIR] [--resume DIR] [--config FILE] [--FIELD …]
RECIPE is a name from `logpose recipes`, or my_recipes.py:my_run.
`logpose train RECIPE --help` lists the recipe's fields: what they mean and what they are."""


def _eval(given: Namespace) -> int:
    from logpose.checkpoint import load
    from logpose.data.detections import DetectedBoxes
    from logpose.data.files import annotation_files, open_people
    from logpose.evaluation import check_skeletons, evaluate
    from logpose.training import say_problems

    if given.batch_size < 1 or given.workers < 0:
        raise InputError("--batch-size must be at least 1, --workers at least 0")
    _check_output(given.save_json)
    model, loss = load(given.checkpoint)
    files = annotation_files(given.data)
    wanted = given.part or ("val" if given.data.is_dir() else "all")
    part = wanted if files["train"] == files["val"] and wanted != "all" else None
    people = open_people(files["train" if wanted == "train" else "val"], given.images, part=part)
    say_problems(people)
    check_skeletons(given.checkpoint, model, people)
    detected = DetectedBoxes(people, given.boxes) if given.boxes else None
    if detected is not None and detected.passed_over:
        log.warning(
            "%s: %d boxes on other images or of other categories were passed over", given.boxes, detected.passed_over
        )
    log.info("measuring %d people of %s%s", len(people), people.file, f", its part {part!r}" if part else "")
    evaluation = evaluate(
        model,
        people if detected is None else detected,
        loss,
        flip_test=given.flip_test,
        nms=detected is not None,
        scoring=given.score,
        batch_size=given.batch_size,
        workers=given.workers,
        device=_device(given.device),
        show_progress=True,
    )
    figures = evaluation.compute()
    if given.save_json:
        _write_json(given.save_json, evaluation.results(getattr(people, "category", 1)))
    _print_figures(figures, as_json=given.json)
    return 0


def _predict(given: Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from logpose.data.images import check_image, read_image
    from logpose.predict import Predictor, coco_results, find_images, read_boxes
    from logpose.report import overlay, save_picture

    if given.batch_size < 1:
        raise InputError(f"--batch-size must be at least 1, got {given.batch_size}")
    if given.boxes is None and (given.box_score or given.box_category is not None):
        raise InputError("--box-score and --box-category are about a file of --boxes")
    if given.nms and given.boxes is None:
        raise InputError("--nms chooses among several --boxes of a picture, and there are none")
    if given.image_folder is not None and not any(path.suffix == ".json" for path in given.images):
        raise InputError("--image-folder is about a JSON file that lists images, and none is given")
    _check_output(given.save_json)
    device = _device(given.device)
    predictor = Predictor(given.checkpoint, device, given.flip_test, given.batch_size, given.score, given.nms)
    images = find_images(given.images, given.image_folder)
    boxes = read_boxes(given.boxes, images, given.box_score, given.box_category) if given.boxes else {}
    places = _places(list(images), given.save_images) if given.save_images else {}
    for image in images:  # one bad picture is told before the first result is written
        if fault := check_image(image):
            raise InputError(f"{image}: {fault}")
    if boxes and (empty := sum(not len(rows) for rows in boxes.values())):
        log.warning("%s: no box for %d of %d pictures; nobody is looked for in them", given.boxes, empty, len(boxes))
    rows: list[dict[str, Any]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("predicting", total=len(images))
        found = predictor.many((image, boxes.get(image)) for image in images)
        for (image, number), poses in zip(images.items(), found, strict=True):
            rows += coco_results(poses, number)
            if places:
                save_picture(overlay(read_image(image), poses), places[image])
            progress.advance(task)
    if given.save_json:
        _write_json(given.save_json, rows)
    if given.json:
        print(json.dumps(rows))
    elif not given.save_json and not given.save_images:
        _print_people(rows, predictor.model.skeleton.joints)
    for saved in filter(None, (given.save_json, given.save_images)):
        print(f"wrote {saved}", file=sys.stderr)
    return 0


def _recipes(_: Namespace) -> int:
    from logpose.recipes import available

    recipes = available()
    width = max(map(len, recipes))
    for name, make in recipes.items():
        print(f"{name:{width}}  {(make.__doc__ or '').strip().splitlines()[0]}")
    return 0


def _inspect(given: Namespace) -> int:
    from logpose.inspection import inspect_data, tell

    found = inspect_data(given.data, given.images, given.out, given.model, _device(given.device))
    print(json.dumps(found, indent=2) if given.json else tell(found))
    return 0


def _complexity(given: Namespace) -> int:
    from logpose.systems import SYSTEMS, count_flows, count_models, tell

    models = count_models(given.models or list(SYSTEMS))
    flows = {} if given.models else count_flows()
    print(json.dumps({"models": models, "flows": flows}, indent=2) if given.json else tell(models, flows))
    return 0


def _synth(given: Namespace) -> int:
    from logpose.data.synthetic import LabelNoise, SyntheticPeople, write_coco

    fewest, most = given.people
    if min(given.train, given.val) < 1 or not 1 <= fewest <= most <= 20 or min(given.size) < 32 or given.seed < 0:
        raise InputError(
            "synth needs an image or more in each part, 1 to 20 people in one, 32 pixels a side, seed >= 0"
        )
    parts = {
        part: SyntheticPeople(
            count, seed=2 * given.seed + i, size=given.size, people=given.people, easy=given.easy,
            noise=LabelNoise() if given.noise and part == "train" else None,
        )
        for i, (part, count) in enumerate((("train", given.train), ("val", given.val)))
    }  # fmt: skip
    write_coco(parts, given.out)
    print(f"wrote {given.out}; look at it with: logpose inspect {given.out}", file=sys.stderr)
    return 0


def _convert(given: Namespace) -> int:
    from logpose import skeletons
    from logpose.checkpoint import save
    from logpose.interop import load_weights, push_to_hub

    if given.out.is_file() or (given.out.is_dir() and any(given.out.iterdir())):
        raise InputError(f"{given.out}: is a file, or a folder that is not empty; choose another --out")
    skeleton = None if given.skeleton is None else getattr(skeletons, given.skeleton.upper())
    model, loss = load_weights(given.source, given.origin, skeleton, given.size)
    save(model, loss, given.out, converted_from=given.source.name)
    print(f"wrote {given.out}: {len(model.skeleton)} joints, crops of {model.size[0]}×{model.size[1]}", file=sys.stderr)
    if given.push_to:
        print(push_to_hub(model, loss, given.push_to))
    return 0


def _places(images: list[Path], folder: Path) -> dict[Path, Path]:
    """Where each picture's overlay goes: NAME-poses.jpg, with a number where two images have the same name."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a folder for pictures")
    originals = {image.resolve() for image in images}
    places: dict[Path, Path] = {}
    taken: set[str] = set()
    for image in images:
        name, number = f"{image.stem}-poses.jpg", 1
        while name in taken or (folder / name).resolve() in originals:
            number += 1
            name = f"{image.stem}-poses-{number}.jpg"
        taken.add(name)
        places[image] = folder / name
    return places


def _print_people(rows: list[dict[str, Any]], joints: Sequence[str]) -> None:
    """People as text: a line for each, and one for each joint."""
    for row in rows:
        print(f"{row['file_name']}  score {row['score']:.3f}")
        for i, joint in enumerate(joints):
            x, y, confidence = row["keypoints"][3 * i : 3 * i + 3]
            sigma = "" if row["sigma"] is None else "  ± {:6.1f} {:6.1f}".format(*row["sigma"][2 * i : 2 * i + 2])
            print(f"  {joint:16} {x:8.1f} {y:8.1f}{sigma}  confidence {confidence:.3f}")


def _print_figures(figures: dict[str, float], as_json: bool = False) -> None:
    if as_json:
        print(json.dumps({k: None if math.isnan(v) else v for k, v in figures.items()}, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:16} {value:.4f}" if isinstance(value, float) else f"{name:16} {value}")


def _check_output(path: Path | None) -> None:
    if path is not None and path.is_dir():
        raise InputError(f"{path}: is a folder, not a file for results")


def _write_json(path: Path, content: Any) -> None:
    """A JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(content) + "\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _device(name: str) -> str:
    """The device of a --device flag; of "auto", a GPU if there is one."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return name


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "demo": _demo, "eval": _eval, "predict": _predict, "recipes": _recipes, "inspect": _inspect, "synth": _synth,
    "convert": _convert, "complexity": _complexity,
}  # fmt: skip


def _log_to_stderr() -> None:
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("logpose: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def _with_dashes(word: str) -> str:
    """A flag as the commands spell it: --save_json is --save-json."""
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word


if __name__ == "__main__":
    sys.exit(main())
