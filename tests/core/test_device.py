"""The device of a --device flag."""

from __future__ import annotations

import pytest
import torch

from logpose.core.device import choose_device
from logpose.core.errors import InputError


def test_devices() -> None:
    assert str(choose_device("cpu")) == "cpu"
    assert str(choose_device("auto")) == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(InputError, match="warp"):
        choose_device("warp")
