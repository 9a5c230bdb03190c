"""The flags of every command, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from jsonargparse import ActionYesNo

from logpose import __version__
from logpose.cli import complexity
from logpose.cli.parser import ArgumentParser
from logpose.core.structures import Origin, Scoring
from logpose.data.keypoint_files import Layout

__all__ = ["command_parser"]

SCORE_HELP = (
    "of a person: sum, the box's + mean + greatest confidence of the joints; product, the box's × mean of the joints "
    "above 0.2; oks, the box's × the OKS that their sigmas let expect; box, the box's"
)
BATCH_HELP = "crops (64), poses (1024) or, of detectors, pictures (8) at a time"
CATEGORY_HELP = "of a COCO file in which several categories have joints of their own: the name of one"
HEIGHT_HELP = "of B-scans: height of a pixel in micrometres; unless given, what their file says"
PART_HELP = (
    "which people; unless said, a folder's validation part (held out, where it has one file), or all of a file; of "
    "B-scans: val, those that were not learned from, unless said"
)


def command_parser() -> ArgumentParser:
    """The parser of `logpose COMMAND …`; the flags of `train` come from its recipe (`recipe_flags`)."""
    parser = ArgumentParser(prog="logpose", description="Keypoints with a confidence that can be trusted.")
    parser.add_argument("--version", action="version", version=f"logpose {__version__}")
    subcommands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")

    demo = ArgumentParser(description="Train on built-in synthetic people by RLE and by L1, and show what was learned.")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder for checkpoint, pictures, report")
    demo.add_argument("--seed", type=int, default=0, help="of both runs")
    demo.add_argument("--epochs", type=int | None, default=None, help="instead of the recipe's")
    demo.add_argument("--people", type=int | None, default=None, help="to learn from, instead of the recipe's number")
    subcommands.add_subcommand("demo", demo, help="train on synthetic people and show what was learned, in minutes")

    train = ArgumentParser()
    subcommands.add_subcommand("train", train, help="train a recipe on your data; `logpose train RECIPE --help`")

    _add_eval(subcommands)
    _add_predict(subcommands)

    recipes = ArgumentParser(description="The recipes that come with logpose.")
    subcommands.add_subcommand("recipes", recipes, help="list the recipes that `train` knows")

    inspect = ArgumentParser(
        description="Counts, label problems and a contact sheet of labelled people, of B-scans and their boundaries, "
        "or of poses to be lifted."
    )
    inspect.add_argument(
        "data",
        type=Path,
        help="annotation file, or a folder with annotations and images; or B-scans, or data_3d_NAME.npz, as for train",
    )
    inspect.add_argument("--images", type=Path | None, default=None, help="folder of the images, if not beside it")
    inspect.add_argument("--category", type=str | None, default=None, help=CATEGORY_HELP)
    inspect.add_argument("--grader", type=Literal[1, 2] | None, default=None, help="of B-scans: whose labels (1)")
    inspect.add_argument("--um-per-px", type=float | None, default=None, help=HEIGHT_HELP)
    inspect.add_argument(
        "--model", type=Path | None, default=None, help="checkpoint: name the labels it finds unlikely"
    )
    inspect.add_argument("--device", type=str, default="auto", help="of --model: cpu, cuda, cuda:1, mps, auto")
    inspect.add_argument("--out", type=Path, default=Path("runs/inspect"), help="folder for contact sheets")
    inspect.add_argument("--json", action="store_true", help="print what was found as JSON")
    subcommands.add_subcommand("inspect", inspect, help="look at a data set before learning from it")

    subcommands.add_subcommand("complexity", complexity.parser(), help=complexity.HELP)

    synth = ArgumentParser(description="Write synthetic people as a COCO keypoint data set.")
    synth.add_argument("out", type=Path, help="folder to make")
    synth.add_argument("--train", type=int, default=2000, help="images of the training part")
    synth.add_argument("--val", type=int, default=200, help="images of the validation part")
    synth.add_argument("--size", type=tuple[int, int], default=(240, 180), help="height and width of the images")
    synth.add_argument("--people", type=tuple[int, int], default=(1, 3), help="fewest and most people in an image")
    synth.add_argument(
        "--noise", action=ActionYesNo(no_prefix="no-"), default=False, help="noise on the labels of the training part"
    )
    synth.add_argument("--easy", action="store_true", help="all stand, walk or run, face the camera, are seen whole")
    synth.add_argument("--seed", type=int, default=0, help="of the people")
    subcommands.add_subcommand("synth", synth, help="write synthetic people as a COCO data set")

    convert = ArgumentParser(description="A checkpoint of ours, of the paper's code or of mmpose, as a safe folder.")
    convert.add_argument(
        "source", type=Path, help="checkpoint: ours, the released code's, mmpose's RLE head, SimplePose or HRNet"
    )
    convert.add_argument("--out", type=Path, required=True, help="folder for model.safetensors and config.json")
    convert.add_argument(
        "--origin",
        type=Origin,
        default="auto",
        help="whose it is",
    )
    convert.add_argument(
        "--skeleton", type=Literal["coco", "mpii", "lsp", "h36m"] | None, default=None,
        help="of another code's checkpoint; by the number of its joints unless given",
    )  # fmt: skip
    convert.add_argument("--size", type=tuple[int, int] | None, default=None, help="height and width of its crops")
    convert.add_argument("--push-to", type=str | None, default=None, help="OWNER/NAME on the Hugging Face Hub, besides")
    subcommands.add_subcommand("convert", convert, help="turn a checkpoint, also another code's, into a safe folder")
    return parser


def _add_eval(subcommands: Any) -> None:
    evaluate = ArgumentParser(
        description="Measure a checkpoint on a data set: AP/AR, PCK, error in pixels, NLL; or, of a model that lifts "
        "keypoints into space, MPJPE, PA-MPJPE, NLL; of one that finds boundaries in B-scans, distances and bands."
    )
    evaluate.add_argument("checkpoint", type=Path, help="best.ckpt of a run")
    evaluate.add_argument(
        "--data", type=Path, required=True,
        help="annotation file, or a folder: its validation part; of a model that lifts: data_3d_NAME.npz; of B-scans: "
        "a .mat file in the Duke layout, or a folder of them, or of pictures with CSV files of boundaries",
    )  # fmt: skip
    evaluate.add_argument("--part", type=Literal["val", "train", "all"] | None, default=None, help=PART_HELP)
    evaluate.add_argument("--images", type=Path | None, default=None, help="folder of the images, if not beside it")
    evaluate.add_argument("--category", type=str | None, default=None, help=CATEGORY_HELP)
    evaluate.add_argument("--boxes", type=Path | None, default=None, help="detected boxes (a COCO detections file)")
    evaluate.add_argument(
        "--keypoints", type=Path | None, default=None,
        help="to lift: data_2d_NAME_gt.npz; unless given the one beside the data, or what cameras placed around see",
    )  # fmt: skip
    evaluate.add_argument(
        "--detected", type=Path | None, default=None,
        help="to lift instead: what a detector found of the same frames, in their form; --keypoints tell the cameras",
    )  # fmt: skip
    evaluate.add_argument(
        "--subjects",
        type=str,
        nargs="+",
        default=None,
        help="to lift: names, or Val for all of Val/…; all unless given",
    )
    evaluate.add_argument(
        "--picture", type=tuple[int, int] | None, default=None,
        help="to lift: height and width of the keypoints' pictures; unless given, Human3.6M's or HumanEva's",
    )  # fmt: skip
    evaluate.add_argument(
        "--cameras", type=int | None, default=None, help="to lift: placed around a sequence without keypoints (4)"
    )
    evaluate.add_argument("--camera-seed", type=int | None, default=None, help="to lift: of their places (0)")
    evaluate.add_argument("--grader", type=Literal[1, 2] | None, default=None, help="of B-scans: whose labels (1)")
    evaluate.add_argument(
        "--columns", type=int | None, default=None,
        help="of B-scans: measure so many columns in the middle of each (the Duke protocol: 500); all unless given",
    )  # fmt: skip
    evaluate.add_argument("--um-per-px", type=float | None, default=None, help=HEIGHT_HELP)
    evaluate.add_argument(
        "--save-images", type=Path | None, default=None,
        help="of B-scans: folder for their pictures, with what was found, its bands and the labels",
    )  # fmt: skip
    evaluate.add_argument(
        "--flip-test", action=ActionYesNo(no_prefix="no-"), default=None, help="average with the mirrored input"
    )
    evaluate.add_argument("--score", type=Scoring | None, default=None, help=f"{SCORE_HELP} (sum; of detectors box)")
    evaluate.add_argument("--batch-size", type=int | None, default=None, help=BATCH_HELP)
    evaluate.add_argument("--workers", type=int, default=0, help="processes that cut crops")
    evaluate.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, mps, auto")
    evaluate.add_argument(
        "--save-json", type=Path | None, default=None, help="write a COCO results file, of the official keys"
    )
    evaluate.add_argument(
        "--report", type=Path | None, default=None,
        help="write a page (HTML): the figures and what they mean, pictures, what sigma is worth, the error's density",
    )  # fmt: skip
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")
    subcommands.add_subcommand("eval", evaluate, help="measure a checkpoint on a data set")


def _add_predict(subcommands: Any) -> None:
    predict = ArgumentParser(
        description="Find joints in photographs: positions, sigma in pixels, confidence; by a model of three "
        "dimensions also in millimetres in the camera's frame. A model that lifts keypoints takes files of keypoints, "
        "and gives millimetres relative to the root joint: how far away a person is, it does not know."
    )
    predict.add_argument("checkpoint", type=Path, help="best.ckpt of a run")
    predict.add_argument(
        "inputs", type=Path, nargs="+",
        help="pictures, folders of pictures, and COCO files that list them; of a model that lifts: COCO annotations "
        "or results, VideoPose3D's data_2d_NAME.npz, .npz with keypoints (frames × joints × 2) and size (height, "
        "width); of one that finds boundaries: B-scans, in pictures or .mat files in the Duke layout",
    )  # fmt: skip
    predict.add_argument(
        "--image-folder", type=Path | None, default=None, help="folder of the pictures of such a file, if not beside it"
    )
    predict.add_argument(
        "--boxes", type=Path | None, default=None, help="boxes of people; without, an image is one person"
    )
    predict.add_argument(
        "--detector", type=Path | None, default=None, help="checkpoint of a model that finds people: its boxes instead"
    )
    predict.add_argument(
        "--box-score",
        type=float | None,
        default=None,
        help="least score of a box (0; of those of a detector 0.5, of point-set anchors 0.3)",
    )
    predict.add_argument("--score", type=Scoring | None, default=None, help=f"{SCORE_HELP} (product; of detectors box)")
    predict.add_argument("--box-category", type=int | None, default=None, help="category_id of the boxes to take")
    predict.add_argument("--um-per-px", type=float | None, default=None, help=HEIGHT_HELP)
    predict.add_argument(
        "--focal", type=tuple[float, ...] | None, default=None,
        help="3-D: focal length in pixels, or two, along x and y; the picture's diagonal unless given",
    )  # fmt: skip
    predict.add_argument(
        "--centre", type=tuple[float, float] | None, default=None,
        help="3-D: principal point x y in pixels; the picture's middle unless given",
    )  # fmt: skip
    predict.add_argument(
        "--root-depth", type=float | None, default=None,
        help="3-D: from the camera to each person's root along its axis, millimetres; unless given, where the limbs "
        "are as long as those of an adult 1,700 mm tall",
    )  # fmt: skip
    predict.add_argument(
        "--picture", type=tuple[int, int] | None, default=None,
        help="to lift: height and width of the keypoints' pictures, where their file does not say it",
    )  # fmt: skip
    predict.add_argument(
        "--skeleton", type=Layout | None, default=None,
        help="to lift: whose joints a file has that does not name them; where several sets have as many (17: COCO's "
        "and Human3.6M's) it is needed",
    )  # fmt: skip
    predict.add_argument(
        "--flip-test", action=ActionYesNo(no_prefix="no-"), default=False, help="average with the mirrored input"
    )
    predict.add_argument("--nms", action="store_true", help="of people found in several boxes keep the best, as eval")
    predict.add_argument("--batch-size", type=int | None, default=None, help=BATCH_HELP)
    predict.add_argument("--device", type=str, default="auto", help="cpu, cuda, cuda:1, mps, auto")
    predict.add_argument(
        "--save-json", type=Path | None, default=None,
        help="write a COCO results file: of a COCO list of images with the official keys only, as the test server "
        "takes them, of others with sigma, box and what is in mm; of lifted keypoints a row for each pose, of B-scans "
        "one for each",
    )  # fmt: skip
    predict.add_argument("--save-npz", type=Path | None, default=None, help="write the same as arrays of NumPy")
    predict.add_argument(
        "--save-images", type=Path | None, default=None,
        help="folder for pictures with the poses drawn in, in space beside it; of lifted keypoints at most 50; of "
        "B-scans with boundaries and their 90 % bands",
    )  # fmt: skip
    predict.add_argument("--json", action="store_true", help="print the people as JSON")
    subcommands.add_subcommand("predict", predict, help="find joints in photographs, or lift keypoints into space")
