"""The sample set: its content, that it is deterministic, and that an interrupted set is completed."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from trr_pipelines.errors import InputError
from trr_pipelines.samples import MANIFEST_COLUMNS, write_samples
from trr_pipelines.samples.archive import SAMPLES

SHRINK = 20
FAULTY = {"download-stopped.jpg", "error-page.jpg"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("samples") / "new" / "folder", shrink=SHRINK)


def rows_of(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as lines:
        return list(csv.DictReader(lines))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_manifest_lists_exactly_the_files_beside_it(manifest: Path) -> None:
    rows = rows_of(manifest)
    assert tuple(rows[0]) == MANIFEST_COLUMNS
    assert sorted(row["path"] for row in rows) == sorted(
        path.name for path in manifest.parent.iterdir() if path != manifest
    )


def test_every_row_links_to_one_show_or_season_or_person(manifest: Path) -> None:
    for row in rows_of(manifest):
        assert bool(row["show"]) != bool(row["person"]), row
        assert not row["season"] or row["show"], row


def test_at_least_thirty_pictures_have_two_to_twenty_four_megapixels() -> None:
    pixels = [sample.size[0] * sample.size[1] / 1e6 for sample in SAMPLES if sample.name not in FAULTY]
    assert len(pixels) >= 30
    assert min(pixels) >= 2
    assert max(pixels) == 24


def test_every_valid_file_decodes_to_its_declared_size(manifest: Path) -> None:
    for sample in SAMPLES:
        if sample.name in FAULTY:
            continue
        with Image.open(manifest.parent / sample.name) as picture:
            picture.load()
            orientation = picture.getexif().get(0x0112, 1)
            seen = picture.size if orientation < 5 else picture.size[::-1]
            assert seen == tuple(side // SHRINK for side in sample.size), sample.name


def test_the_truncated_file_opens_but_cannot_be_loaded(manifest: Path) -> None:
    with (
        Image.open(manifest.parent / "download-stopped.jpg") as picture,
        pytest.raises(OSError, match="truncated"),
    ):
        picture.load()


def test_the_page_named_jpg_is_not_a_picture(manifest: Path) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(manifest.parent / "error-page.jpg")


def test_one_photo_is_listed_twice_under_two_names_and_people(manifest: Path) -> None:
    names: dict[str, list[str]] = {}
    for name, digest in digests(manifest.parent).items():
        names.setdefault(digest, []).append(name)
    twins = [sorted(same) for same in names.values() if len(same) > 1]
    assert twins == [["portrait-a-again.jpg", "portrait-a-garden.jpg"]]
    persons = {row["person"] for row in rows_of(manifest) if row["path"] in twins[0]}
    assert len(persons) == 2


def test_the_set_is_the_same_in_every_folder(manifest: Path, tmp_path: Path) -> None:
    assert digests(write_samples(tmp_path, shrink=SHRINK).parent) == digests(manifest.parent)


def test_a_second_call_writes_nothing(manifest: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in manifest.parent.iterdir()}
    write_samples(manifest.parent, shrink=SHRINK)
    assert {path: path.stat().st_mtime_ns for path in manifest.parent.iterdir()} == before


def test_an_incomplete_set_is_completed_without_changing_existing_files(tmp_path: Path) -> None:
    manifest = write_samples(tmp_path, shrink=SHRINK)
    whole = digests(tmp_path)
    manifest.unlink()
    (tmp_path / "shore-east.jpg").unlink()
    kept = (tmp_path / "shore-west.jpg").stat().st_mtime_ns
    write_samples(tmp_path, shrink=SHRINK)
    assert digests(tmp_path) == whole
    assert (tmp_path / "shore-west.jpg").stat().st_mtime_ns == kept


def test_a_folder_that_cannot_be_created_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=str(tmp_path / "file" / "samples")):
        write_samples(tmp_path / "file" / "samples", shrink=SHRINK)
