"""The command `logpose`: one subcommand for each thing a person wants to do.

Results go to stdout or files, everything else to stderr. Bad input ends in one sentence and exit code 2.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import Namespace

from logpose.cli.flags import command_parser
from logpose.cli.output import device_named
from logpose.core.errors import InputError

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
            from logpose.cli import train

            return train.run(train.parse(words[1:]))
        if words[:1] == ["reproduce"]:
            from logpose.cli import reproduce

            return reproduce.run(reproduce.parse(words[1:]))
        if lists := LISTS.get(words[0]) if words else None:
            from logpose.cli.recipe_flags import as_parsed

            words = as_parsed(words, lists)
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


LISTS: dict[str, dict[str, Any]] = {
    "synth": {"size": (0, 0), "people": (0, 0)},
    "convert": {"size": (0, 0)},
    "eval": {"picture": (0, 0)},
    "predict": {"picture": (0, 0), "focal": (0.0,), "centre": (0.0, 0.0)},
}
"""Of each command, flags that take several numbers, with an example."""


# Each command imports what it needs, so that the others do not wait for it.


def _demo(given: Namespace) -> int:
    from logpose.cli.demo import run_demo

    run_demo(given.out, given.seed, given.epochs, given.people)
    return 0


def _eval(given: Namespace) -> int:
    from logpose.cli.eval import run_eval

    return run_eval(given)


def _predict(given: Namespace) -> int:
    from logpose.cli.predict import run_predict

    return run_predict(given)


def _recipes(_: Namespace) -> int:
    from logpose.recipes import available

    recipes = available()
    width = max(map(len, recipes))
    for name, make in recipes.items():
        print(f"{name:{width}}  {(make.__doc__ or '').strip().splitlines()[0]}")
    return 0


def _inspect(given: Namespace) -> int:
    from logpose.report.inspection import inspect_data, tell

    found = inspect_data(
        given.data, given.images, given.out, given.model, device_named(given.device), given.category, given.grader,
        given.um_per_px,
    )  # fmt: skip
    print(json.dumps(found, indent=2) if given.json else tell(found))
    return 0


def _complexity(given: Namespace) -> int:
    from logpose.cli.complexity import run

    return run(given)


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
    from logpose.core import skeletons
    from logpose.training.checkpoint import notes, save
    from logpose.training.interop import load_weights, push_to_hub

    if given.out.is_file() or (given.out.is_dir() and any(given.out.iterdir())):
        raise InputError(f"{given.out}: is a file, or a folder that is not empty; choose another --out")
    skeleton = None if given.skeleton is None else getattr(skeletons, given.skeleton.upper())
    model, loss = load_weights(given.source, given.origin, skeleton, given.size)
    kept = notes(given.source) | {"converted_from": given.source.name}
    save(model, loss, given.out, **kept)
    print(f"wrote {given.out}: {len(model.skeleton)} joints, from {model.input_spec}", file=sys.stderr)
    if given.push_to:
        print(push_to_hub(model, loss, given.push_to, **kept))
    return 0


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "demo": _demo, "eval": _eval, "predict": _predict, "recipes": _recipes, "inspect": _inspect, "synth": _synth,
    "convert": _convert, "complexity": _complexity,
}  # fmt: skip


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _log_to_stderr() -> None:
    if not log.handlers:
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("logpose: %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def _with_dashes(word: str) -> str:
    """A flag as the commands spell it: --save_json is --save-json."""
    flag, equals, value = word.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else word


if __name__ == "__main__":
    sys.exit(main())
