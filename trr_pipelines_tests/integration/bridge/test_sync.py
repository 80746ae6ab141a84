"""Rows of the application become photos and links under their own ids."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from trr_pipelines.bridge import sync as bridge_sync
from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.sync import Selection, follow, forget_deleted, only_bridge, sync
from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import ConflictError, NotFoundError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.applications import Rows
from trr_pipelines_tests.support.archives import query, value


def test_rows_become_photos_and_links_under_their_own_ids(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    show = rows.show("The Valley")
    season = rows.season(show, 2)
    person = rows.person("Ana Íñigo")
    photo = rows.asset("images/people/Ana (1) Ü.JPG", source="www.bravotv.com", source_url="https://b.example/1")
    links = [
        rows.link(photo, "person", person, facebank_seed=True, position=3, is_primary=True),
        rows.link(photo, "season", season, "poster"),
        rows.link(photo, "show", show, "logo", context={"caption": "Ana", "tags": ["red", "red"]}),
    ]
    summary = sync(archive, application)
    assert (summary.photos, summary.new_links, len(summary.batches)) == (1, 3, 1)
    (own,) = query(database, "select * from core.media_assets")
    assert (own["id"], own["source"], own["source_url"]) == (photo, "www-bravotv-com", "https://b.example/1")
    assert (own["hosted_bucket"], own["hosted_key"]) == ("local", "images/people/Ana (1) Ü.JPG")
    assert (own["is_external"], own["state"]) == (True, "pending")
    found = {row["id"]: row for row in query(database, "select * from core.media_links")}
    assert set(found) == set(links)
    assert [found[link]["kind"] for link in links] == ["photo", "photo", "brand"]
    assert [found[link]["entity_id"] for link in links] == [person, season, show]
    assert found[links[0]]["facebank_seed"]
    assert (found[links[2]]["caption"], found[links[2]]["tags"]) == ("Ana", ["red"])


def test_a_second_sync_changes_nothing(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    person = rows.person("Ana")
    for number in range(5):
        rows.link(rows.asset(f"images/{number}.jpg"), "person", person, position=number)
    sync(archive, application)
    before = query(database, "select * from core.media_assets order by id")
    summary = sync(archive, application)
    assert (summary.assets, summary.links, +summary.changed, summary.photos, summary.new_links) == (5, 5, {}, 0, 0)
    assert query(database, "select * from core.media_assets order by id") == before


def test_rows_with_one_object_share_a_photo(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    person = rows.person("Ana")
    shared = [rows.asset("media/ab/x.jpg") for _ in range(3)]
    links = [rows.link(asset, "person", person) for asset in shared]
    summary = sync(archive, application)
    assert (summary.photos, summary.shared, summary.new_links) == (1, 2, 3)
    photos = query(database, "select id, photo_id from core.application_assets")
    assert {row["id"] for row in photos} == set(shared)
    assert len({row["photo_id"] for row in photos}) == 1
    assert value(database, "select count(*) from core.media_links where id = any(%s)", links) == 3


def test_namesakes_stay_two_entities(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    for kind in ("show", "person"):
        for _ in range(2):
            entity = getattr(rows, kind)("The Same")
            rows.link(rows.asset(f"images/{entity}.jpg"), kind, entity)
    sync(archive, application)
    assert value(database, "select count(*) from core.shows") == 2
    assert value(database, "select count(*) from core.people") == 2
    slugs = query(database, "select slug from core.slugs where entity_kind = 'show' order by slug")
    assert [row["slug"] for row in slugs] == ["the-same", "the-same-2"]


def test_archived_rows_and_videos_are_left_out(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    rows.asset("a.jpg", archived_at="2026-01-01")
    rows.asset("b.mp4", media_type="video")
    rows.asset(None, source_url="https://x.example/only-a-source")
    assert sync(archive, application).photos == 0
    assert sync(archive, application, mirror=True).photos == 1


def test_a_selection_takes_only_what_it_names(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    first, second = rows.show("First"), rows.show("Second")
    of_first = rows.asset("1.jpg")
    rows.link(of_first, "show", first)
    rows.link(rows.asset("2.jpg"), "show", second)
    assert sync(archive, application, Selection(show="first")).photos == 1
    assert value(database, "select id from core.media_assets") == of_first
    # New rows are left alone until everything was taken once.
    rows.asset("3.jpg")
    assert follow(archive, application).photos == 0
    assert sync(archive, application).photos == 2
    rows.asset("4.jpg")
    assert follow(archive, application).photos == 1
    with pytest.raises(NotFoundError, match="no photos of show 'third'"):
        sync(archive, application, Selection(show="third"))


def test_changes_are_followed(archive: Archive, database: Database, application: Application, rows: Rows) -> None:
    person = rows.person("Ana")
    photo = rows.asset("1.jpg")
    link = rows.link(photo, "person", person)
    sync(archive, application)
    rows.execute(
        "update core.media_links set facebank_seed = true, position = 7,"
        ' context = \'{"thumbnail_crop": {"x": "50", "y": 120, "zoom": 9, "mode": "manual"}}\' where id = %s',
        link,
    )
    newcomer = rows.person("Ben")
    rows.link(photo, "person", newcomer)
    summary = follow(archive, application)
    assert summary.changed["seeds"] == 1
    (own,) = query(database, "select * from core.media_links where id = %s", link)
    assert (own["facebank_seed"], own["position"]) == (True, 7)
    assert [float(own[f"crop_{name}"]) for name in ("x", "y", "zoom")] == [50, 100, 4]
    assert value(database, "select full_name from core.people where id = %s", newcomer) == "Ben"
    assert +follow(archive, application).changed == {}


def test_deleted_rows_are_forgotten(archive: Archive, database: Database, application: Application, rows: Rows) -> None:
    person = rows.person("Ana")
    kept, gone = rows.asset("1.jpg"), rows.asset("2.jpg")
    for asset in (kept, gone):
        rows.link(asset, "person", person)
    sync(archive, application)
    rows.execute("delete from core.media_assets where id = %s", gone)
    assert forget_deleted(database, application) == {"media_assets": 1, "media_links": 1, "photos": 1}
    assert value(database, "select id from core.media_assets") == kept
    assert forget_deleted(database, application) == {}


def test_one_sync_at_a_time(
    archive: Archive,
    database: Database,
    application: Application,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows.asset("1.jpg")
    with only_bridge(database):
        with pytest.raises(ConflictError, match="another sync of the bridge is under way"):
            follow(archive, application)
        monkeypatch.setattr(bridge_sync, "FOLLOW_SECONDS", 0.3)
        with pytest.raises(ConflictError, match="another sync of the bridge is under way"):
            sync(archive, application)
    assert sync(archive, application).photos == 1


def test_a_sync_waits_for_a_running_stack_that_looks_for_changes(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    rows.asset("1.jpg")
    with ThreadPoolExecutor(1) as threads:
        with only_bridge(database):
            waiting = threads.submit(sync, archive, application)
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(20).photos == 1


def test_a_row_that_names_another_object_gets_its_own_photo(
    archive: Archive, database: Database, application: Application, rows: Rows
) -> None:
    first, second = rows.asset("1.jpg"), rows.asset("1.jpg")
    person = rows.person("Ana")
    link = rows.link(second, "person", person)
    sync(archive, application)
    owner = value(database, "select distinct photo_id from core.application_assets")
    other: UUID = second if owner == first else first
    rows.execute("update core.media_assets set hosted_key = '2.jpg' where id = %s", other)
    follow(archive, application)
    photos = {row["id"]: row["photo_id"] for row in query(database, "select id, photo_id from core.application_assets")}
    assert photos == {owner: owner, other: other}
    assert value(database, "select media_asset_id from core.media_links where id = %s", link) == second
