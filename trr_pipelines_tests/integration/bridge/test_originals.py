"""Originals of the application: where they lie, mirrored, replaced or taken down; cast photos."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.publishing import publish_due, unpublish
from trr_pipelines.bridge.sync import follow, sync
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.galleries.pages import PageRequest, person_gallery
from trr_pipelines.pipeline.takedown.takedown import take_down_photo
from trr_pipelines.settings import Settings
from trr_pipelines_tests.integration.bridge.conftest import Put, RenderAll, render_everything
from trr_pipelines_tests.pictures import jpeg, photo, saved
from trr_pipelines_tests.support.applications import Reader, Rows
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.scripted_server import ScriptedServer, answer

KEYS = (
    "images/people/Ana (1) Ü.JPG",
    "media/ab/abcdef.bin",
    "images/shows/The Valley/Poster – été.jpg",
    "images/seasons/1/a+b%20c&d.jpeg",
    "images/logos/UPPER.PNG",
)


def test_originals_are_read_where_they_lie_and_left_as_they_are(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll, tmp_path: Path
) -> None:
    assets = [rows.asset(key) for key in KEYS]
    for key in KEYS:
        put(key, None if not key.endswith("PNG") else saved(photo(60, 75), "PNG"))
    originals = {key: (tmp_path / "media" / key).read_bytes() for key in KEYS}
    sync(archive, application, lane="live")
    render_all()
    assert publish_due(archive.database, application) == {"published": len(KEYS)}
    for asset, key in zip(assets, KEYS, strict=True):
        (own,) = query(archive.database, "select * from core.media_assets where id = %s", asset)
        assert (own["hosted_key"], own["hosted_url"]) == (key, f"https://cdn.example/{key}")
        assert own["sha256"] == hashlib.sha256(originals[key]).hexdigest()
    stored = {
        str(path.relative_to(tmp_path / "media")): path.read_bytes()
        for path in (tmp_path / "media").rglob("*")
        if path.is_file() and not str(path.relative_to(tmp_path / "media")).startswith((".", "media-variants/"))
    }
    assert {key: data for key, data in stored.items() if not key.endswith(".meta")} == originals


def test_a_photo_without_its_object_or_with_other_bytes_stops_no_other(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll, reader: Reader
) -> None:
    good, missing, page, wrong = (rows.asset(key) for key in ("good.jpg", "missing.jpg", "page.jpg", "wrong.jpg"))
    ana = rows.person("Ana")
    for asset in (good, missing, page, wrong):
        rows.link(asset, "person", ana)
    put("good.jpg")
    put("page.jpg", b"<html>not found</html>")
    put("wrong.jpg")
    rows.execute("update core.media_assets set hosted_sha256 = %s where id = %s", "0" * 64, wrong)
    sync(archive, application, lane="live")
    render_all()
    assert publish_due(archive.database, application) == {"published": 2}
    assert not reader.asset(good)["missing_variants"]
    assert not reader.asset(wrong)["missing_variants"]
    reasons = {
        row["id"]: row["reason"]
        for row in query(archive.database, "select id, reason from core.media_assets where state = 'failed'")
    }
    assert reasons == {missing: "fetch_not_found", page: "not_an_image"}
    # Galleries show no broken picture for them.
    page_of_ana = person_gallery(archive.database, ana, PageRequest(Filters(), "position", None, 10))
    shown = {item["media_asset_id"]: item["original_url"] for item in page_of_ana.items}
    assert {asset: url is not None for asset, url in shown.items()} == {
        good: True, wrong: True, missing: False, page: False
    }  # fmt: skip


def test_other_bytes_under_the_old_key_get_new_urls(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll, reader: Reader
) -> None:
    photo = rows.asset("1.jpg", hosted_etag="one")
    put("1.jpg", jpeg(200, 250, seed=1))
    sync(archive, application, lane="live")
    render_all()
    publish_due(archive.database, application)
    before = reader.asset(photo)["card"]
    put("1.jpg", jpeg(200, 250, seed=2))
    rows.execute("update core.media_assets set hosted_etag = 'two' where id = %s", photo)
    sync(archive, application)
    render_all()
    assert publish_due(archive.database, application) == {"published": 1}
    after = reader.asset(photo)["card"]
    assert after != before
    assert after.removeprefix("http://127.0.0.1:8000/media/") in {
        row["hosted_key"] for row in rows.execute("select hosted_key from core.media_asset_variants")
    }


def test_rows_with_the_same_bytes_at_two_keys_become_one_photo(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll, reader: Reader
) -> None:
    assets = [rows.asset(key) for key in ("a/1.jpg", "b/1 (copy).jpg")]
    people = [rows.person("Ana"), rows.person("Ben")]
    links = [rows.link(asset, "person", person) for asset, person in zip(assets, people, strict=True)]
    for key in ("a/1.jpg", "b/1 (copy).jpg"):
        put(key, jpeg(200, 250))
    before = rows.dump()
    sync(archive, application, lane="live")
    render_all()
    assert value(archive.database, "select count(*) from core.media_assets") == 1
    assert publish_due(archive.database, application) == {"published": 2}
    assert reader.asset(assets[0])["card"] == reader.asset(assets[1])["card"]
    own = query(archive.database, "select id from core.media_links")
    assert {row["id"] for row in own} == set(links)
    assert sync(archive, application).photos == 0
    unpublish(archive.database, application)
    assert rows.dump() == before


def test_a_takedown_takes_back_what_was_published_and_leaves_the_original(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll, tmp_path: Path
) -> None:
    shared = [rows.asset("1.jpg") for _ in range(2)]
    put("1.jpg")
    before = rows.dump()
    sync(archive, application, lane="live")
    render_all()
    publish_due(archive.database, application)
    photo: UUID = value(archive.database, "select id from core.media_assets")
    take_down_photo(archive, photo, author=Author("admin@example.org", "tests"))
    assert publish_due(archive.database, application) == {"withdrawn": 2}
    assert rows.dump() == before
    assert (tmp_path / "media" / "1.jpg").is_file()
    # Neither of the two rows becomes a photo again.
    assert sync(archive, application, lane="live").photos == 0
    follow(archive, application)
    assert value(archive.database, "select count(*) from core.media_assets") == 0
    assert len(shared) == value(archive.database, "select count(*) from core.application_assets where is_taken_down")


def test_cast_photos_get_the_same_keys(
    archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll
) -> None:
    person = rows.person("Ana")
    (cast,) = rows.execute(
        "insert into core.cast_photos (person_id, hosted_bucket, hosted_key, hosted_url, metadata)"
        " values (%s, 'local', 'images/people/1.jpg', 'https://cdn.example/1.jpg', '{\"mine\": 1}') returning id",
        person,
    )
    put("images/people/1.jpg")
    before = rows.dump()
    summary = sync(archive, application, lane="live")
    assert (summary.photos, summary.shared) == (1, 1)  # the row that a trigger copied names the same object
    render_all()
    assert publish_due(archive.database, application) == {"published": 2}
    (row,) = rows.execute("select metadata from core.cast_photos where id = %s", cast["id"])
    assert row["metadata"]["mine"] == 1
    assert row["metadata"]["display_url"].endswith("/card.webp")
    unpublish(archive.database, application)
    assert rows.dump() == before


def test_a_mirrored_photo_fills_the_hosting_columns(
    archive: Archive, application: Application, rows: Rows, render_pool: RenderPool
) -> None:
    data = jpeg(200, 250)
    allowed = Settings.model_validate({**dict(archive.settings), "fetch_allow_networks": ["127.0.0.0/8"]})
    archive = replace(archive, settings=allowed)
    with ScriptedServer({"/1.jpg": answer(200, data)}) as server:
        fetched = rows.asset(None, source_url=f"http://127.0.0.1:{server.port}/1.jpg")
        rows.asset(None, source_url="file:///etc/hostname")  # a file of this machine is no source of theirs
        before = rows.dump()
        assert sync(archive, application, lane="live", mirror=True).photos == 1
        render_everything(archive, render_pool)
    assert publish_due(archive.database, application) == {"published": 1}
    (row,) = rows.execute("select * from core.media_assets where id = %s", fetched)
    digest = hashlib.sha256(data).hexdigest()
    assert row["hosted_key"] == f"media/{digest[:2]}/{digest}.jpg"
    assert row["hosted_url"].endswith(row["hosted_key"])
    assert (row["hosted_sha256"], row["hosted_content_type"]) == (digest, "image/jpeg")
    assert (row["hosted_bytes"], row["ingest_status"]) == (len(data), "hosted")
    sync(archive, application, mirror=True)  # what we wrote there comes back and changes nothing
    render_everything(archive, render_pool)
    assert value(archive.database, "select state from core.media_assets") == "mirrored"
    unpublish(archive.database, application)
    assert rows.dump() == before
