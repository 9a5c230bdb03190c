"""The command `logpose`: one subcommand for each thing a person wants to do.

Results go to stdout or files, everything else to stderr. Bad input ends in one sentence and exit code 2.
"""

from __future__ import annotations

import difflib
import importlib
import io
import logging
import sys
from collections.abc import Sequence
from typing import Any

from logpose.core.errors import InputError
from logpose.core.processor import spin_briefly

__all__ = ["COMMANDS", "main"]

log = logging.getLogger("logpose")

COMMANDS = {
    "demo": "train on synthetic people and show what was learned, in minutes",
    "train": "train a recipe on your data; `logpose train RECIPE --help`",
    "eval": "measure a checkpoint on a data set",
    "calibrate": "calibrate standard deviations and regions of a checkpoint on held-out labels",
    "audit": "measure any program's keypoints and scores on labelled images",
    "wrap": "learn how far off any program's keypoints are, from its predictions and labels",
    "study": "measure models where joints are covered, or people cut off",
    "predict": "predict keypoints, poses in space or boundaries by a checkpoint",
    "recipes": "list the recipes that `train` knows",
    "inspect": "look at a data set before training on it",
    "suggest": "choose which images to label next",
    "relabel": "put exchanged labels right, in a new file",
    "synth": "write synthetic people as a COCO data set",
    "models": "list the trained models that come with logpose, and those on the Hub",
    "convert-labels": "write labels, or predictions to correct, in another tool's format",
    "convert": "turn a checkpoint, also another code's, into a safe folder",
    "reproduce": "list, run and compare the rows of the paper's tables",
    "export": "write a checkpoint for other runtimes, and prove that it predicts the same",
    "complexity": "count parameters and multiply-accumulates of a network",
}
"""Every command and its line in `logpose --help`. A command is the module of its name in this package, with
`run(options)`, which gives the exit code, and either a dataclass of its options (`DemoOptions`) or `parse(words)`. Only
the module of the command that is run is imported, and it imports what is slow to import in `run`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments without the program's name; those of the process when None.

    Returns:
        exit code: 0 done, 2 bad input, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    spin_briefly()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show must not end the command
            stream.reconfigure(errors="backslashreplace")
    _log_to_stderr()
    try:
        return _run(words)
    except InputError as error:
        print(f"logpose: {error}", file=sys.stderr)
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


def _run(words: Sequence[str]) -> int:
    """Run the command that the first word names."""
    name = words[0] if words else None
    if name in (None, "-h", "--help"):
        print(_help(), file=sys.stderr if name is None else sys.stdout)
        return 2 if name is None else 0
    if name == "--version":
        from logpose import __version__

        print(f"logpose {__version__}")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{name}: no such command{hint} (`logpose --help` lists them)")
    command: Any = importlib.import_module(f"logpose.cli.{name.replace('-', '_')}")
    if hasattr(command, "parse"):
        options = command.parse(words[1:])
    else:
        from logpose.cli.flags import parse_options

        options = parse_options(getattr(command, f"{name.title().replace('-', '')}Options"), words[1:], name)
    code: int = command.run(options)
    return code


def _help() -> str:
    """What `logpose --help` prints."""
    width = max(map(len, COMMANDS))
    lines = ["usage: logpose COMMAND …", "", "Keypoint regression by maximum likelihood.", "", "commands:"]
    lines += [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    lines += ["", "options:", "  -h, --help  show this help", "  --version   print the version", ""]
    return "\n".join([*lines, "`logpose COMMAND --help` lists a command's options."])


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


if __name__ == "__main__":
    sys.exit(main())
