"""Rendering files to a folder with real render processes: reports, names, and no partial output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import InputError, Reason
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.rendering.files import FileReport, render_files
from trr_pipelines_tests import pictures


@pytest.fixture(scope="module")
def pool() -> Iterator[RenderPool]:
    with RenderPool(2) as shared:
        yield shared


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def report_of(file: Path, out: Path, pool: RenderPool) -> FileReport:
    (report,) = render_files([file], out, None, pool)
    return report


def test_a_photo_is_rendered_to_the_files_listed_in_its_report(tmp_path: Path, pool: RenderPool) -> None:
    photo = written(tmp_path, "photo.jpg", pictures.jpeg(1600, 1200))
    (report,) = render_files([photo], tmp_path / "out", Crop("manual", 50, 20, 1.5), pool)

    fields = json.loads(json.dumps(report.report()))
    assert {name: fields[name] for name in ("file", "state", "reason", "detail", "warnings", "source")} == {
        "file": str(photo),
        "state": "complete",
        "reason": None,
        "detail": None,
        "warnings": [],
        "source": {"format": "jpeg", "width": 1600, "height": 1200, "frames": 1},
    }
    assert [(v["variant_key"], v["format"]) for v in fields["variants"]] == [
        (key, kind) for key in ("thumb", "card", "detail", "crop_card", "crop_detail") for kind in ("webp", "jpeg")
    ]
    for variant in fields["variants"]:
        data = Path(variant["path"]).read_bytes()
        assert len(data) == variant["bytes"]
        assert Image.open(BytesIO(data)).size == (variant["width"], variant["height"])
    assert {path for path in (tmp_path / "out").rglob("*") if path.is_file()} == {
        Path(variant["path"]) for variant in fields["variants"]
    }


def test_reports_come_in_the_order_of_the_files_and_bad_ones_do_not_stop_the_others(
    tmp_path: Path, pool: RenderPool
) -> None:
    files = [
        written(tmp_path, "a.jpg", pictures.jpeg(1200, 900)),
        written(tmp_path, "page.jpg", b"<html>not found</html>"),
        tmp_path / "missing.jpg",
        written(tmp_path, "b.png", pictures.saved(pictures.photo(60, 40), "PNG")),
        written(tmp_path, "cut.jpg", pictures.jpeg(1200, 900)[:30_000]),
        tmp_path,
        written(tmp_path, "empty.jpg", b""),
    ]
    reports = list(render_files(files, tmp_path / "out", None, pool))

    assert [(report.file, report.state, report.reason) for report in reports] == [
        (str(files[0]), "complete", None),
        (str(files[1]), "failed", Reason.NOT_AN_IMAGE),
        (str(files[2]), "failed", Reason.FETCH_NOT_FOUND),
        (str(files[3]), "complete", None),
        (str(files[4]), "failed", Reason.TRUNCATED),
        (str(files[5]), "failed", Reason.NOT_AN_IMAGE),
        (str(files[6]), "failed", Reason.EMPTY_FILE),
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_files_of_one_stem_do_not_overwrite_each_other(tmp_path: Path, pool: RenderPool) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
    files = [
        written(tmp_path / "x", "photo.jpg", pictures.jpeg(seed=1)),
        written(tmp_path / "y", "photo.jpg", pictures.jpeg(seed=2)),
        written(tmp_path / "y", "PHOTO.png", pictures.saved(pictures.photo(60, 40, seed=3), "PNG")),
        written(tmp_path / "y", "photo-2.jpg", pictures.jpeg(seed=4)),
    ]
    reports = list(render_files(files, tmp_path / "out", None, pool))

    folders = [{Path(variant.path).parent.name for variant in report.variants} for report in reports]
    assert folders == [{"photo"}, {"photo-2"}, {"PHOTO-3"}, {"photo-2-2"}]


def test_a_photo_may_be_in_the_output_folder(tmp_path: Path, pool: RenderPool) -> None:
    photo = written(tmp_path, "thumb.jpg", pictures.jpeg())
    before = photo.read_bytes()
    assert report_of(photo, tmp_path, pool).state == "complete"
    assert photo.read_bytes() == before


def test_a_pipe_is_not_waited_for(tmp_path: Path, pool: RenderPool) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    report = report_of(tmp_path / "pipe.jpg", tmp_path / "out", pool)
    assert (report.reason, report.detail) == (Reason.NOT_AN_IMAGE, f"{tmp_path}/pipe.jpg is not a regular file")


def test_a_file_above_the_limit_is_not_read(tmp_path: Path, pool: RenderPool) -> None:
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(10**12)
    report = report_of(huge, tmp_path / "out", pool)
    assert report.reason is Reason.TOO_MANY_BYTES
    assert report.detail == "1,000,000,000,000 bytes, the limit is 50,000,000"


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path, pool: RenderPool) -> None:
    blocked = written(tmp_path, "file", b"")
    with pytest.raises(InputError, match=r"cannot write to .*/file/out: Not a directory"):
        list(render_files([], blocked / "out", None, pool))


def test_rendering_again_replaces_the_files(tmp_path: Path, pool: RenderPool) -> None:
    photo = written(tmp_path, "photo.jpg", pictures.jpeg())
    first = report_of(photo, tmp_path / "out", pool)
    contents = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert report_of(photo, tmp_path / "out", pool) == first
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == contents


def test_a_failed_write_leaves_no_files(tmp_path: Path, pool: RenderPool) -> None:
    """A folder with the name of the last file makes its write fail; the files before it must be removed."""
    photo = written(tmp_path, "photo.jpg", pictures.jpeg())
    (tmp_path / "out" / "photo" / "crop_detail.jpg").mkdir(parents=True)
    report = report_of(photo, tmp_path / "out", pool)

    assert (report.state, report.reason) == ("failed", Reason.INTERNAL)
    assert [path.name for path in (tmp_path / "out" / "photo").iterdir()] == ["crop_detail.jpg"]


FULL_DISK = textwrap.dedent("""
    import json, subprocess, sys
    from pathlib import Path
    from trr_pipelines.compute.pool import RenderPool
    from trr_pipelines.pipeline.rendering.files import render_files

    photo, out = map(Path, sys.argv[1:])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(out)], check=True)
    with RenderPool(1) as pool:
        (report,) = render_files([photo], out, None, pool)
    left = [str(path) for path in out.rglob("*") if path.is_file()]
    print(json.dumps({**report.report(), "left": left}))
""")


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs permission to mount a small file system",
)
def test_a_full_disk_fails_with_a_reason_and_leaves_no_files(tmp_path: Path) -> None:
    photo = written(tmp_path, "photo.jpg", pictures.jpeg(2000, 2000))
    (tmp_path / "out").mkdir()
    process = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", FULL_DISK, str(photo), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(process.stdout)
    assert (report["state"], report["reason"]) == ("failed", "disk_full")
    assert report["detail"] == f"no space left in {tmp_path}/out"
    assert report["left"] == []


def test_a_consumer_that_stops_early_stops_rendering(tmp_path: Path, pool: RenderPool) -> None:
    files = [written(tmp_path, f"{number}.jpg", pictures.jpeg(seed=number)) for number in range(30)]
    reports = render_files(files, tmp_path / "out", None, pool)
    next(reports)
    reports.close()
    assert len(list((tmp_path / "out").iterdir())) < 15
