"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import pytest
import torch

from logpose.core.errors import DamagedFileError, InputError
from logpose.core.files import check_archive, keep_as, whole_file, whole_folder


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.json"
    with whole_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert [found.name for found in path.parent.iterdir()] == ["out.json"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"half", None])
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_that_was_there_is_kept_under_another_name(tmp_path: Path) -> None:
    path, kept = tmp_path / "last", tmp_path / "before"
    for content in (b"1", b"2", b"3"):
        with whole_file(path, durable=True, keep=kept) as file:
            file.write(content)
    assert (path.read_bytes(), kept.read_bytes()) == (b"3", b"2")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data"
    with whole_folder(path) as folder:
        (folder / "a").write_bytes(b"1")
        assert not path.exists()
    assert [found.name for found in path.iterdir()] == ["a"]
    assert [found.name for found in path.parent.iterdir()] == ["data"]
    with pytest.raises(InputError, match="data"), whole_folder(path):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(TypeError), whole_folder(tmp_path / "empty") as folder:
        (folder / "a").write_bytes("1")  # type: ignore[arg-type]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["empty", "new"]
    with whole_folder(tmp_path / "empty") as folder:
        (folder / "b").write_bytes(b"2")
    assert [found.name for found in (tmp_path / "empty").iterdir()] == ["b"]


def test_without_second_names_a_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "last").write_bytes(b"1")
    keep_as(tmp_path / "last", tmp_path / "before")
    assert [path.name for path in tmp_path.iterdir()] == ["before"]


def test_a_full_disk_is_reported_by_the_file_s_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch wraps the system's error in one of its own."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"before")

    def fail() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")  # noqa: TRY301
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  (as torch does)

    with pytest.raises(OSError, match="No space left") as error, whole_file(path):
        fail()
    assert error.value.filename == str(path)
    assert error.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RuntimeError, match="another"), whole_file(path):
        raise RuntimeError("another")


def test_every_flipped_bit_of_a_record_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"weights": torch.arange(300.0)}, path)
    check_archive(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        records = [(info.header_offset, info.file_size) for info in archive.infolist() if info.file_size > 200]
    assert records
    for offset, size in records:
        for at in range(offset + 150, offset + 150 + size - 200, 97):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
            with pytest.raises(DamagedFileError, match=r"x\.ckpt"):
                check_archive(path)


@pytest.mark.parametrize("length", [0, 10, 500, -30])
def test_what_is_cut_off_is_no_archive(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.ckpt"
    torch.save({"weights": torch.arange(300.0)}, path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedFileError, match=r"x\.ckpt"):
        check_archive(path)


def test_an_archive_that_declares_more_than_it_has_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1 << 24))
    assert (tmp_path / "x.ckpt").stat().st_size < 1 << 16
    with pytest.raises(DamagedFileError, match="declares"):
        check_archive(tmp_path / "x.ckpt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_to_and_keeps_its_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with whole_file(pipe) as file:
            file.write(b"results")
        assert os.read(reader, 100) == b"results"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
