"""A setting of the process that several contexts change at once is put back by the last of them."""

from __future__ import annotations

from logpose.data.shared import Shared


def test_the_last_one_out_puts_it_back():
    setting = ["before"]

    def change():
        old, setting[0] = setting[0], "inside"
        return old

    shared = Shared(change, lambda old: setting.__setitem__(0, old))
    shared.__enter__()
    shared.__enter__()
    assert setting == ["inside"]
    shared.__exit__()
    assert setting == ["inside"]
    shared.__exit__()
    assert setting == ["before"]
