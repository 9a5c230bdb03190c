"""`python -m logpose` is the command."""

from __future__ import annotations

import subprocess
import sys

from logpose import __version__


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "logpose", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"logpose {__version__}")
    done = subprocess.run([sys.executable, "-m", "logpose", "tarin"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
