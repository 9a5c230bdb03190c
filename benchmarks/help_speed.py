"""Processor time of `logpose --help` and of the help of every command.

    python benchmarks/help_speed.py [--runs 5]

Prints the least of several runs of each, in seconds of CPU time (user and system) of the whole process. The exit code
is 1 if one is over its limit: 0.5 s for `logpose --help`, 1.5 s for the help of a command.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

LIMIT, LIMIT_OF_COMMAND = 0.5, 1.5
PRESETS = (
    "synthetic_resnet18_rle",
    "mask_rcnn_resnet50_rle",
    "point_set_resnet18_rle",
    "lifting_fc_rle",
    "oct_column_rle",
)
"""Recipes, of each task, whose own help is measured too."""


def processor_time(words: list[str]) -> tuple[float, str]:
    """Seconds of CPU time of `logpose WORDS`, and what it prints."""
    before = os.times()
    done = subprocess.run([sys.executable, "-m", "logpose", *words], capture_output=True, text=True, check=False)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode:
        sys.exit(f"logpose {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return seconds, done.stdout


def commands(help_text: str) -> list[str]:
    """The commands that `logpose --help` lists."""
    listed = help_text.partition("commands:")[2].partition("options:")[0]
    return re.findall(r"^ {2,4}([a-z]+) ", listed, re.MULTILINE)


def main() -> int:
    """Measure each help, print a table, and compare with the limits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each, of which the least is taken")
    runs = parser.parse_args().runs
    names = commands(processor_time(["--help"])[1])
    slow = 0
    for words in [(), *((name,) for name in names), *(("train", name) for name in PRESETS)]:
        limit = LIMIT_OF_COMMAND if words else LIMIT
        seconds = min(processor_time([*words, "--help"])[0] for _ in range(runs))
        slow += seconds > limit
        over = f"  over {limit} s" if seconds > limit else ""
        print(f"logpose {' '.join([*words, '--help']):40} {seconds:6.2f} s{over}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
