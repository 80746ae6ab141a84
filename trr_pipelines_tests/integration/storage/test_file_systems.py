"""The directory store on file systems without hard links: it stores atomically by a rename, or is refused at start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trr_pipelines.errors import SetupError
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.support.file_systems import has_compiler, has_fuse, mounted_by_rclone, without_hard_links

PUT_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from trr_pipelines.storage.factory import open_store

store = open_store(f"file:{sys.argv[1]}", base_url="http://media")
def put(number):
    return store.put_if_absent("a/photo.jpg", b"%d" % number * 100_000, content_type="image/jpeg")
with ThreadPoolExecutor(8) as threads:
    put_objects = list(threads.map(put, range(8)))
(first,) = [one for one in put_objects if one.created]
assert {one.sha256 for one in put_objects} == {first.sha256}
assert store.head("a/photo.jpg").holds(first.bytes, first.sha256)
assert not put(9).created
replaced = store.replace("a/photo.jpg", b"whole", content_type="image/jpeg")
assert store.get("a/photo.jpg") == b"whole"
print([listed.key for listed in store.list()])
"""


@pytest.mark.skipif(not has_compiler, reason="a C compiler makes the library that refuses hard links")
def test_without_hard_links_a_put_still_keeps_the_object_that_is_there(tmp_path: Path) -> None:
    environment = os.environ | without_hard_links(tmp_path / "library", exclusive_rename=True)
    ended = subprocess.run(
        [sys.executable, "-c", PUT_AT_ONCE, str(tmp_path / "media")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("['a/photo.jpg']\n", "")
    assert list((tmp_path / "media/.incoming").iterdir()) == []


@pytest.mark.skipif(not has_fuse, reason="mounts a file system: needs root and /dev/fuse")
def test_a_file_system_that_cannot_store_atomically_is_refused_at_start(tmp_path: Path) -> None:
    with mounted_by_rclone(tmp_path) as mount:
        if mount is None:
            pytest.skip("this machine does not let rclone mount")
        with pytest.raises(SetupError, match=f"{mount}: the file system has neither hard links nor") as caught:
            open_store(f"file:{mount}", base_url="http://media")
        assert "\n" not in str(caught.value)
        assert list(mount.rglob("*")) == [mount / ".incoming"]


def test_a_store_that_may_only_be_read_can_be_opened(tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / ".incoming").mkdir(parents=True)
    (media / ".incoming").chmod(0o500)
    open_store(f"file:{media}", base_url="http://media")
