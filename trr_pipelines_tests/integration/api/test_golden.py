"""Golden files of the payloads: fields may be added, none may change or disappear.

A payload is compared with its file under `data/golden`, ids and whatever depends on encoders replaced by their kind. A
file that is missing is written, and the test fails once: review it before committing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image, ImageFilter

from trr_pipelines.catalogue.audit import Author
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.facebank.seeds import set_facebank_seed
from trr_pipelines.pipeline.galleries.entities import rename_entity
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_path, photo_ids, query, run, value, write_files
from trr_pipelines_tests.support.backends import ADMIN_APP, SCREENALYTICS

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
MANIFEST = """path,show,season,person,kind,caption,tags,position
edited.jpg,The Valley,,Person One,photo,An edited crop,press;cast,1
proposed.png,The Valley,1,Person One,photo,A proposed crop,,2
broken.jpg,The Valley,,,photo,Not a photo,,3
"""
VARYING = {"bytes", "placeholder", "dominant_color", "created_at", "updated_at", "at", "sha256"}
PATHS = {
    "show_gallery": "admin/shows/the-valley/gallery",
    "season_gallery": "admin/shows/the-valley/seasons/1/gallery",
    "person_gallery": "admin/people/person-one/gallery",
    "shows": "admin/shows",
    "show": "admin/shows/the-valley",
    "people": "admin/people",
    "person": "admin/people/person-one",
    "slug": "admin/slugs/people/person-one",
    "old_slug": "admin/slugs/people/person-zero",
    "screenalytics_photos": "screenalytics/people/{person}/photos",
}


def soft(width: int, height: int) -> Image.Image:
    """A picture without grain, whose WebP is much smaller than its JPEG."""
    return pictures.photo(width, height).filter(ImageFilter.GaussianBlur(4))


@pytest.fixture
def filled(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> Archive:
    """A photo with an edited crop that is a seed, one with a proposed crop, a damaged one, one not fetched yet."""
    author = Author("admin@example.com", "admin")
    folder = write_files(
        tmp_path / "in",
        {
            "edited.jpg": pictures.saved(soft(1600, 900), "JPEG", quality=95),
            "proposed.png": pictures.saved(soft(600, 900), "PNG"),
            "broken.jpg": pictures.jpeg(800, 450, seed=5)[:2000],
            "manifest.csv": MANIFEST.replace("Person One", "Person Zero").encode(),
        },
    )
    (batch,) = import_path(archive, folder / "manifest.csv").batches
    run(archive, batch, pool=render_pool)
    # Screenalytics gets photos in the order of their link ids, which are otherwise random.
    query(
        archive.database,
        "update core.media_links set id = lpad(position::text, 32, '0')::uuid where person_id is not null",
    )
    set_crop(archive.database, photo_ids(archive)["edited.jpg"], Crop("manual", 25, 12.5, 1.5), author=author)
    run(archive, batch, "run-2", pool=render_pool)
    person = rename_entity(archive.database, "person", "person-zero", "Person One", author=author)["id"]
    link = value(
        archive.database,
        "select id from core.media_links where person_id is not null and caption = 'An edited crop'",
    )
    set_facebank_seed(archive.database, person, link, True, author=author)
    later = write_files(tmp_path / "later", {"pending.jpg": pictures.jpeg(seed=9)})
    import_path(archive, later, source="bravo", show="The Valley")
    query(archive.database, "update core.media_links set position = 4 where caption = '' and show_id is not null")
    return archive


def test_payloads_keep_every_field_of_the_golden_files(filled: Archive, client: httpx.Client) -> None:
    person = value(filled.database, "select id from core.people")
    link = value(filled.database, "select id from core.media_links where facebank_seed")
    payloads = {}
    for name, path in PATHS.items():
        headers = SCREENALYTICS if path.startswith("screenalytics") else ADMIN_APP
        payloads[name] = client.get(f"/api/v1/{path.format(person=person)}", headers=headers)
    toggle = f"/api/v1/admin/person/{person}/gallery/{link}/facebank-seed"
    payloads["facebank_seed"] = client.patch(toggle, json={"facebank_seed": False}, headers=ADMIN_APP)
    assert {name: response.status_code for name, response in payloads.items()} == dict.fromkeys(payloads, 200)
    assert [problem for name, response in payloads.items() for problem in changed(name, response.json())] == []
    assert {file.stem for file in GOLDEN.iterdir()} == set(payloads)


def changed(name: str, payload: Any) -> list[str]:
    """Differences of the payload from its golden file; additional fields are none."""
    shown = normalised(payload, {})
    file = GOLDEN / f"{name}.json"
    if not file.exists():
        file.write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        return [f"{file.name} was missing and has been written: review it"]
    return missing(json.loads(file.read_text()), shown, name)


def missing(golden: Any, shown: Any, where: str = "$") -> list[str]:
    """Paths where `shown` differs from `golden`; additional fields are ignored."""
    if isinstance(golden, dict) and isinstance(shown, dict):
        return [
            problem
            for field, expected in golden.items()
            for problem in (
                missing(expected, shown[field], f"{where}.{field}") if field in shown else [f"{where}.{field} is gone"]
            )
        ]
    if isinstance(golden, list) and isinstance(shown, list) and len(golden) == len(shown):
        return [
            problem
            for place, (expected, actual) in enumerate(zip(golden, shown, strict=True))
            for problem in missing(expected, actual, f"{where}[{place}]")
        ]
    return [] if golden == shown and type(golden) is type(shown) else [f"{where} is {shown!r} instead of {golden!r}"]


def normalised(payload: Any, seen: dict[str, str], field: str = "") -> Any:
    """The payload with ids numbered in order of appearance, and values of encoders or clocks replaced by their type."""
    if isinstance(payload, dict):
        is_proposal = payload.get("mode") == "auto"
        return {
            name: type(inner).__name__
            if (name in VARYING and inner is not None) or (is_proposal and name in ("x", "y"))
            else normalised(inner, seen, name)
            for name, inner in payload.items()
        }
    if isinstance(payload, list):
        return [normalised(inner, seen, field) for inner in payload]
    if isinstance(payload, str):
        return _ID.sub(lambda match: seen.setdefault(match.group(), f"<id {len(seen) + 1}>"), payload)
    return payload


_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_HASH = r"[0-9a-f]{64}|[0-9a-f]{16}(?=/)|[0-9a-f]{12}(?=/)|[0-9a-f]{2}(?=/[0-9a-f]{64})"  # also as parts of object keys
_ID = re.compile(rf"\b(?:{_UUID}|{_HASH})\b")


def test_ids_are_numbered_by_their_value() -> None:
    one, two = UUID(int=1), UUID(int=2)
    assert normalised({"a": f"{one}", "b": [f"x/{two}/y", f"{one}"]}, {}) == {
        "a": "<id 1>", "b": ["x/<id 2>/y", "<id 1>"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("golden", "shown", "problems"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {"b": 1}, ["$.a is gone"]),
        ({"a": [{"b": None}]}, {"a": [{"b": 0}]}, ["$.a[0].b is 0 instead of None"]),
        ({"a": 1}, {"a": True}, ["$.a is True instead of 1"]),
        ([1], [], ["$ is [] instead of [1]"]),
    ],
)
def test_a_change_is_reported_and_an_addition_is_not(golden: Any, shown: Any, problems: list[str]) -> None:
    assert missing(golden, shown) == problems
