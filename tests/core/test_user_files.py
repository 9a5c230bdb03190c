"""Python files of a user's own."""

from __future__ import annotations

import sys

import pytest

from logpose.core.errors import InputError
from logpose.core.user_files import attribute_of_file, module_of_file


def test_a_file_becomes_a_module_that_can_be_imported(tmp_path) -> None:
    (file := tmp_path / "my_own_things.py").write_text("number = 3\n")
    assert module_of_file(str(file)).number == 3
    assert sys.modules["my_own_things"].number == 3
    file.write_text("number = 4\nother = 5\n")
    assert attribute_of_file(file, "number") == 4, "a file that has changed is run again"


@pytest.mark.parametrize(
    ("name", "content", "token"),
    [
        ("missing.py", None, "missing.py"),
        ("json.py", "number = 3", "json.py"),
        ("pytest.py", "number = 3", "pytest.py"),
        ("fails.py", "raise KeyError('here')", "here"),
        ("bad.py", "number =", "bad.py"),
    ],
)
def test_files_that_cannot_be_run_are_named(tmp_path, name, content, token) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=token):
        module_of_file(tmp_path / name)


def test_a_name_that_is_not_defined_gets_the_nearest(tmp_path) -> None:
    (file := tmp_path / "my_other_things.py").write_text("my_task = 3\n")
    with pytest.raises(InputError, match=r"'my_tsak'.*my_task"):
        attribute_of_file(file, "my_tsak")
