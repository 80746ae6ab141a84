"""Guarantees of the directory store only: crashes, full disks, and no way out of its root."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from trr_pipelines.errors import Reason, RetryableError
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.keys import original_key
from trr_pipelines.storage.store import ObjectStore, PutObject

JPEG = "image/jpeg"

WRITE_FOR_EVER = """
import hashlib, sys
from pathlib import Path
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.keys import original_key

store, seed, number = DirectoryStore(Path(sys.argv[1]), "http://media"), sys.argv[2], 0
print("ready", flush=True)
while True:
    data = hashlib.shake_128(f"{seed} {number}".encode()).digest(300_000)
    digest = hashlib.sha256(data).hexdigest()
    store.put_if_absent(original_key(digest, "jpg"), data, content_type="image/jpeg", sha256=digest)
    print(digest, flush=True)
    number += 1
"""

FILL_THE_DISK = """
import os, sys
from pathlib import Path
from trr_pipelines.errors import MediaError
from trr_pipelines.storage.directory import DirectoryStore

store = DirectoryStore(Path(sys.argv[1]) / "media", "http://media")
store.put_if_absent("a/small.jpg", b"x" * 1000, content_type="image/jpeg")
try:
    store.put_if_absent("a/big.jpg", b"x" * 4_000_000, content_type="image/jpeg")
except MediaError as error:
    print(error.reason)
print([listed.key for listed in store.list()], os.listdir(Path(sys.argv[1]) / "media/.incoming"))
print(store.put_if_absent("a/big.jpg", b"x" * 100_000, content_type="image/jpeg").created)
"""

TIDY_AGAIN_AND_AGAIN = """
import sys, time
from pathlib import Path
from trr_pipelines.storage.directory import DirectoryStore

store, end = DirectoryStore(Path(sys.argv[1]), "http://media"), time.monotonic() + 1.0
while time.monotonic() < end:
    store.delete(["a/b/c/other.jpg"])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(root, "http://media")


def put(store: ObjectStore, key: str, data: bytes = b"pixels") -> PutObject:
    return store.put_if_absent(key, data, content_type=JPEG)


def test_a_killed_writer_leaves_whole_objects_or_none_and_keeps_what_it_acknowledged(
    store: DirectoryStore, root: Path
) -> None:
    chance = random.Random(5)
    acknowledged: set[str] = set()
    for attempt in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(root), str(attempt)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer, writer.stdout:
            assert writer.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.0, 0.05))
            writer.send_signal(signal.SIGKILL)
            # The kill may truncate the last line.
            acknowledged.update(line.rstrip() for line in writer.stdout if line.endswith("\n"))

        listed = {entry.key: entry.bytes for entry in store.list()}
        for key in listed:
            assert key == original_key(hashlib.sha256(store.get(key)).hexdigest(), "jpg")
        assert set(listed.values()) <= {300_000}
        assert {original_key(digest, "jpg") for digest in acknowledged} <= set(listed)
    assert acknowledged


def test_leftovers_of_a_dead_writer_are_invisible_and_removed_when_old(store: DirectoryStore, root: Path) -> None:
    put(store, "a/photo.jpg")
    fresh, old = root / ".incoming/fresh", root / ".incoming/old"
    for leftover in (fresh, old):
        leftover.write_bytes(b"half a pho")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))

    assert [listed.key for listed in store.list()] == ["a/photo.jpg"]
    assert store.remove_leftovers() == 1
    assert (fresh.exists(), old.exists()) == (True, False)
    assert store.get("a/photo.jpg") == b"pixels"


def test_content_is_synced_before_its_name_and_the_name_before_the_call_returns(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    fsync, link = os.fsync, os.link

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        happened.append(f"sync {str(Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(root))[:9]}")

    def recorded_link(*args: object, **kwargs: object) -> None:
        link(*args, **kwargs)  # type: ignore[arg-type]
        happened.append("link")

    put(store, "a/b/first.jpg")
    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "link", recorded_link)

    put(store, "a/b/second.jpg")
    assert happened == ["sync .incoming", "link", "sync a/b"], "two syncs and no more: they are what a put costs"

    happened.clear()
    put(store, "a/b/second.jpg")
    assert happened == ["sync a/b"], "a name found there may not be on the disk yet"


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0,
    reason="a disk of 2 MB needs a mount namespace of its own (unshare -rm)",
)
def test_a_full_disk_is_reported_leaves_nothing_partial_and_recovers(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=2m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FILL_THE_DISK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["disk_full", "['a/small.jpg'] []", "True"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, Reason.DISK_FULL),
        (errno.EDQUOT, Reason.DISK_FULL),
        (errno.EACCES, Reason.STORAGE_DENIED),
        (errno.EROFS, Reason.STORAGE_DENIED),
        (errno.EIO, Reason.STORAGE_UNAVAILABLE),
        (errno.EMFILE, Reason.STORAGE_UNAVAILABLE),
    ],
)
def test_file_system_errors_have_a_reason_and_name_the_key(
    store: DirectoryStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: Reason
) -> None:
    put(store, "a/first.jpg")

    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(RetryableError, match=r"a/photo\.jpg") as caught:
            put(store, "a/photo.jpg")
    assert caught.value.reason is reason
    assert list((root / ".incoming").iterdir()) == []
    assert put(store, "a/photo.jpg").created


@pytest.mark.parametrize("place", ["a", "a/b", "a/b/photo.jpg"])
def test_a_symbolic_link_in_the_path_of_a_key_is_never_followed(
    store: DirectoryStore, root: Path, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "b").mkdir(parents=True)
    for path in (outside / "photo.jpg", outside / "b/photo.jpg"):
        path.write_bytes(b"not ours")
    link = root / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "photo.jpg" if place.endswith(".jpg") else outside)

    for call in (lambda: put(store, "a/b/photo.jpg"), lambda: store.get("a/b/photo.jpg")):
        with pytest.raises(RetryableError) as caught:
            call()
        assert caught.value.reason is Reason.STORAGE_DENIED
    assert list(store.list()) == []
    assert list(store.list("a/b/")) == []
    with suppress(RetryableError):  # a link in place of the object is removed, a link in its path is an error
        store.delete(["a/b/photo.jpg"])
    assert sorted(path.name for path in outside.rglob("*.jpg")) == ["photo.jpg", "photo.jpg"]


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "media").symlink_to(tmp_path / "disk")
    store = DirectoryStore(tmp_path / "media", "http://media")
    put(store, "a/photo.jpg")
    assert (tmp_path / "disk/a/photo.jpg").read_bytes() == b"pixels"


def test_a_special_file_in_place_of_an_object_is_refused_without_blocking(store: DirectoryStore, root: Path) -> None:
    (root / "a/folder.jpg").mkdir(parents=True)
    os.mkfifo(root / "a/fifo.jpg")
    for key in ("a/folder.jpg", "a/fifo.jpg"):
        for call in (store.get, store.head, lambda key: put(store, key)):
            with pytest.raises(RetryableError, match=key) as caught:
                call(key)
            assert caught.value.reason is Reason.STORAGE_DENIED
    assert list(store.list()) == []


def test_other_files_in_the_directory_are_not_objects(store: DirectoryStore, root: Path) -> None:
    put(store, "a/photo.jpg")
    for name in (".DS_Store", "a/Thumbs.db", "a/UPPER.JPG", "a/two words.jpg"):
        (root / name).write_bytes(b"x")
    assert [listed.key for listed in store.list()] == ["a/photo.jpg"]


def test_empty_directories_of_deleted_objects_are_removed(store: DirectoryStore, root: Path) -> None:
    put(store, "media-variants/a/b/thumb.jpg")
    put(store, "media-variants/c/d/thumb.jpg")
    store.delete(["media-variants/a/b/thumb.jpg"])
    assert sorted(path.name for path in (root / "media-variants").iterdir()) == ["c"]


def test_a_put_succeeds_while_deletes_remove_its_empty_directory(store: DirectoryStore) -> None:
    tidier = subprocess.Popen([sys.executable, "-c", TIDY_AGAIN_AND_AGAIN, str(store.root)])
    with tidier:
        while tidier.poll() is None:
            assert put(store, "a/b/c/photo.jpg").created
            assert store.get("a/b/c/photo.jpg") == b"pixels"
            store.delete(["a/b/c/photo.jpg"])
    assert tidier.returncode == 0


def test_an_object_opened_for_serving_has_the_values_for_headers(store: DirectoryStore) -> None:
    put(store, "a/photo.jpg", b"pixels")
    opened = store.open_object("a/photo.jpg")
    assert opened is not None
    with opened.file:
        assert (opened.bytes, opened.content_type, opened.file.read()) == (6, JPEG, b"pixels")
    assert abs(opened.last_modified.timestamp() - time.time()) < 60
    assert store.open_object("a/other.jpg") is None


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("root_mode", "folder_mode", "file_mode"),
    [
        (None, 0o700, 0o600),  # made by the first put
        (0o700, 0o700, 0o600),
        (0o755, 0o755, 0o644),  # served by another user's web server
        (0o2770, 0o2750, 0o640),
        (0o777, 0o755, 0o644),
    ],
)
def test_who_may_read_the_root_may_read_its_objects_whatever_the_umask(
    tmp_path: Path, umask: int, root_mode: int | None, folder_mode: int, file_mode: int
) -> None:
    """SECURITY, row "other users of the machine": by default the root is in `TRR_HOME`, and private."""
    root = tmp_path / "media"
    if root_mode is not None:
        root.mkdir()
        root.chmod(root_mode)
    store, before = DirectoryStore(root, "http://media"), os.umask(umask)
    try:
        store.put_if_absent("a/b/c.jpg", b"first", content_type=JPEG)
        store.replace("a/b/c.jpg", b"second", content_type=JPEG)
        store.probe()
    finally:
        os.umask(before)
    assert stat.S_IMODE(root.stat().st_mode) == (root_mode or 0o700)
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (root / "a", root / "a" / "b", root / ".incoming")}
    assert (folders, stat.S_IMODE((root / "a/b/c.jpg").stat().st_mode)) == ({folder_mode}, file_mode)


def test_a_store_can_be_pickled(store: DirectoryStore) -> None:
    put(store, "a/photo.jpg")
    assert pickle.loads(pickle.dumps(store)).get("a/photo.jpg") == b"pixels"  # noqa: S301  our own bytes
