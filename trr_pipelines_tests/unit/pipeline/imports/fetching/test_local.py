"""Local files: read completely, and refused with a clear message if they are not regular files."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.pipeline.imports.fetching import read_local


def fails(path: Path, limit: int = 1000) -> MediaError:
    with pytest.raises(MediaError) as caught:
        read_local(path, max_bytes=limit)
    return caught.value


def test_a_file_is_read_completely_even_through_a_symlink(tmp_path: Path) -> None:
    photo, link = tmp_path / "ünïcode photo.jpg", tmp_path / "link.jpg"
    photo.write_bytes(b"x" * 1000)
    link.symlink_to(photo)
    assert read_local(photo, max_bytes=1000) == read_local(link, max_bytes=1000) == b"x" * 1000


def test_a_file_above_the_limit_is_not_read_and_limit_and_size_are_named(tmp_path: Path) -> None:
    photo = tmp_path / "huge.jpg"
    with photo.open("wb") as file:
        file.truncate(10**12)
    failure = fails(photo)
    assert isinstance(failure, PermanentError)
    assert failure.reason is Reason.TOO_MANY_BYTES
    assert failure.detail == f"{photo} has 1000000000000 bytes, the limit is 1000"


def test_a_file_with_a_wrong_size_is_still_limited() -> None:
    endless = Path("/proc/self/maps")  # reports 0 bytes and contains thousands
    failure = fails(endless, limit=100)
    assert failure.reason is Reason.TOO_MANY_BYTES
    assert "more than 100" in failure.detail


def test_an_empty_file_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    failure = fails(tmp_path / "empty.jpg")
    assert isinstance(failure, PermanentError)
    assert failure.reason is Reason.EMPTY_FILE


@pytest.mark.parametrize("name", ["missing.jpg", "file.txt/photo.jpg", "dangling.jpg"])
def test_a_missing_file_is_a_retryable_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").touch()
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "gone.jpg")
    failure = fails(tmp_path / name)
    assert isinstance(failure, RetryableError)
    assert failure.reason is Reason.FETCH_NOT_FOUND
    assert name in failure.detail


def test_an_invalid_path_is_a_permanent_failure() -> None:
    failure = fails(Path("a\0b.jpg"))
    assert isinstance(failure, PermanentError)
    assert failure.reason is Reason.FETCH_NOT_FOUND


def test_a_special_file_is_refused_by_its_kind_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.jpg")
    for path, kind in [
        (tmp_path, "a directory"),
        (tmp_path / "fifo.jpg", "a FIFO"),
        (Path("/dev/zero"), "a device"),
    ]:
        failure = fails(path)
        assert isinstance(failure, PermanentError)
        assert (failure.reason, failure.detail) == (Reason.FETCH_FAILED, f"{path} is {kind}, not a file")


def test_a_socket_and_a_symlink_loop_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is limited to 107 bytes
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.jpg")
        for name in ("loop.jpg", "s.jpg"):
            assert fails(tmp_path / name).reason is Reason.FETCH_FAILED


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, Reason.FETCH_FORBIDDEN),
        (errno.EPERM, Reason.FETCH_FORBIDDEN),
        (errno.EIO, Reason.FETCH_FAILED),
        (errno.EMFILE, Reason.FETCH_FAILED),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_retryable_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: Reason
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:  # simulated, because root may open every file
        patch.setattr(os, "open", refuse)
        failure = fails(tmp_path / "photo.jpg")
    assert isinstance(failure, RetryableError)
    assert failure.reason is reason
    assert failure.detail == f"{tmp_path / 'photo.jpg'}: {os.strerror(number)}"
