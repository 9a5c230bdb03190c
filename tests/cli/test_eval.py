"""`logpose eval`: what every task has in common."""

from __future__ import annotations

import json

from logpose.cli.eval import print_figures


def test_options_and_outputs_are_checked(refused, tiny_run, coco_folder, tmp_path):
    words = ("eval", tiny_run / "best.ckpt", coco_folder)
    assert "--batch-size" in refused(*words, "--batch-size", 0)
    assert f"{tmp_path}: " in refused(*words, "--save-json", tmp_path)
    assert f"{tmp_path}: " in refused(*words, "--report", tmp_path)
    assert "warp" in refused(*words, "--device", "warp")
    assert "nowhere.ckpt" in refused("eval", "nowhere.ckpt", coco_folder)
    assert "--task lifting" in refused(*words, "--task", "lifting")


def test_flags_of_another_task_are_refused_with_the_task_that_takes_them(refused, tiny_run, coco_folder):
    best = tiny_run / "best.ckpt"
    message = refused("eval", best, coco_folder, "--grader", 1)
    assert all(token in message for token in ("--grader", str(best), "pose", "boundaries"))


def test_help_with_a_checkpoint_is_about_its_task(command, tiny_run, lifters):
    everything = command("eval", "--help")[1]
    of_pose, of_lifting = (
        command("eval", model, "--help")[1] for model in (tiny_run / "best.ckpt", lifters["windows"])
    )
    for flag, shown in (("--boxes", of_pose), ("--cameras", of_lifting)):
        assert flag in everything
        assert flag in shown
    assert "--cameras" not in of_pose
    assert "--boxes" not in of_lifting


def test_figures(capsys) -> None:
    figures = {"people": 3, "mpjpe": 43.6, "nll": float("nan")}
    print_figures(figures)
    assert capsys.readouterr().out.split() == ["people", "3", "mpjpe", "43.6000", "nll", "nan"]
    print_figures({"a": 1.0, "a_name_that_is_longer_than_the_others": 20})
    first, second = capsys.readouterr().out.splitlines()
    assert first.index("1.0000") == second.index("20"), "values stand below each other"
    print_figures({})
    print_figures(figures, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"people": 3, "mpjpe": 43.6, "nll": None}
