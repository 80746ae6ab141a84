"""Delivery metrics of a real catalogue: values, history and report."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from trr_pipelines.catalogue import delivery_metrics
from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.reporting.delivery_metrics import measure_delivery
from trr_pipelines.pipeline.reporting.delivery_report import report_delivery
from trr_pipelines.pipeline.reporting.metric_definitions import METRICS
from trr_pipelines_tests.support.archives import add_photo, query, value

DAY = date(2026, 2, 12)


def gallery(database: Database, name: str, *photos: tuple[int, int | None]) -> UUID:
    """A person with photos, each given by the bytes of its original and of its WebP card (None: it has none)."""
    person: UUID = value(database, "insert into core.people (full_name) values (%s) returning id", name)
    for before, card in photos:
        number = value(database, "select count(*)::integer from core.media_assets")
        add_photo(database, person, number, served=True, seed=False)
        query(
            database,
            "update core.media_assets set bytes = %s, created_at = now() - interval '2 hours',"
            " metadata = '{\"original_unfit\": []}' where source_url = %s",
            before, f"https://photos.example/{number}.jpg",
        )  # fmt: skip
        for kind, size in (("webp", card), ("jpeg", card and 2 * card)):
            if size is not None:
                add_variant(database, number, "card", kind, size)
    return person


def add_variant(database: Database, number: int, key: str, kind: str, size: int) -> None:
    query(
        database,
        "insert into core.media_asset_variants (media_asset_id, variant_key, format, width, height, bytes, sha256,"
        " hosted_bucket, hosted_key, hosted_url, recipe, source_version, created_at)"
        " select id, %s, %s, 720, 480, %s, '', 'local', id || %s || %s, '', 'recipe', sha256, now() - interval '1 hour'"
        " from core.media_assets where source_url = %s",
        key, kind, size, key, kind, f"https://photos.example/{number}.jpg",
    )  # fmt: skip


def test_without_views_every_gallery_link_counts_once(database: Database) -> None:
    gallery(database, "One", (1000, 100), (2000, 200))
    gallery(database, "Two", (3000, 300))
    figures = measure_delivery(database)
    assert figures["delivered_pictures", "links"] == 3
    assert figures["saved_per_picture_bytes", ""] == 1800
    assert figures["saved_bytes", ""] == 5400
    assert figures["saved_ratio", ""] == pytest.approx(0.9)
    assert figures["delivered_p50_bytes", "card"] == 200
    assert figures["delivered_p95_bytes", "original"] == 3000
    assert ("delivered_p50_bytes", "detail") not in figures


def test_views_weigh_the_photos_of_the_galleries_that_were_seen(database: Database) -> None:
    gallery(database, "Never seen", (9_000_000, 900_000))
    seen = {
        gallery(database, "Often", (1000, 100), (2000, 200)): (2, 2, 2),
        gallery(database, "Once", (3000, 300)): (1,),
    }
    for person, views in seen.items():
        for photos in views:
            query(
                database,
                "insert into core.gallery_views (entity_kind, entity_id, photos) values ('person', %s, %s)",
                person, photos,
            )  # fmt: skip
    figures = measure_delivery(database)
    assert figures["delivered_pictures", "views"] == 7
    assert figures["saved_bytes", ""] == pytest.approx(3 * 900 + 3 * 1800 + 2700)
    assert figures["delivered_p50_bytes", "card"] == 200
    assert figures["delivered_p95_bytes", "card"] == 300


def test_a_view_of_a_show_is_one_of_its_seasons_photos_too(database: Database) -> None:
    gallery(database, "One", (1000, 100), (2000, 200))
    show = value(database, "insert into core.shows (title) values ('The Valley') returning id")
    season = value(database, "insert into core.seasons (show_id, number) values (%s, 1) returning id", show)
    query(
        database,
        "insert into core.media_links (media_asset_id, season_id, kind)"
        " select id, %s, 'photo' from core.media_assets where bytes = 2000",
        season,
    )
    query(database, "insert into core.gallery_views (entity_kind, entity_id, photos) values ('show', %s, 1)", show)
    assert measure_delivery(database)["saved_per_picture_bytes", ""] == 1800


@pytest.mark.parametrize(
    ("original_unfit", "card", "saved"),
    [("[]", None, 0), ("[]", 1500, 0), ('["orientation"]', 1500, -500), ("[]", 400, 600)],
)
def test_a_photo_served_as_its_original_saves_nothing_and_counts(
    database: Database, original_unfit: str, card: int | None, saved: int
) -> None:
    gallery(database, "One", (1000, card))
    query(
        database,
        "update core.media_assets set metadata = jsonb_build_object('original_unfit', %s::jsonb)",
        original_unfit,
    )
    assert measure_delivery(database)["saved_per_picture_bytes", ""] == saved


def test_failures_storage_and_times_are_figures(database: Database) -> None:
    gallery(database, "One", *[(1000, 100)] * 4)
    query(
        database,
        "insert into core.variant_generations (media_asset_id, kind, state, reason)"
        " select id, 'base', case when broken then 'failed' else 'complete' end, case when broken then 'corrupt' end"
        " from (select id, source_url like '%%/3.jpg' as broken from core.media_assets) as photo",
    )
    query(
        database,
        "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)"
        " select 'local', 'old', id, 70 from core.media_assets limit 1",
    )
    query(database, "insert into core.render_rates (run_id, photos, seconds) values ('a', 30, 10), ('b', 10, 10)")
    query(database, "insert into core.image_timings (variant_key, ms) values ('card', 250)")
    figures = measure_delivery(database)
    assert (figures["complete_photos", "base"], figures["failed_photos", "base"]) == (3, 1)
    assert (figures["failures", "corrupt"], figures["failure_ratio", "deadline"]) == (1, 0.25)
    assert (figures["stored_bytes", "derivatives"], figures["stored_bytes", "retired"]) == (1200, 70)
    assert figures["import_to_served_p95_seconds", "live"] == pytest.approx(3600, abs=60)
    assert (figures["batch_run_p50_seconds", ""], figures["rendered_photos_per_second", ""]) == (10, 2)
    assert figures["image_p50_seconds", "card"] == 0.25
    assert {name for name, _ in figures} <= {figure.name for figure in METRICS}


def test_later_figures_of_a_day_replace_earlier_ones(database: Database) -> None:
    gallery(database, "One", (1000, 100))
    measure_delivery(database, DAY - timedelta(days=1))
    before = measure_delivery(database, DAY)
    gallery(database, "Two", (3000, 300))
    query(database, "delete from core.media_asset_variants where bytes < 300")
    after = measure_delivery(database, DAY)
    assert ("delivered_p50_bytes", "card") in after
    with database.transaction() as conn:
        history = delivery_metrics.history(conn, DAY, 90)
        newest = delivery_metrics.newest(conn)
    assert history == {DAY - timedelta(days=1): before, DAY: after}
    assert newest is not None
    assert (newest.day, newest.figures) == (DAY, after)
    assert 0 <= newest.age_seconds < 600


def test_an_empty_catalogue_has_figures_as_well(database: Database) -> None:
    figures = measure_delivery(database)
    assert figures["photos", "mirrored"] == figures["stored_bytes", "originals"] == 0
    assert not {name for name, _ in figures} & {"saved_bytes", "delivered_pictures", "failure_ratio"}
    report = report_delivery(database)
    assert report.numbers["photos_mirrored"] == 0
    assert report.tables["payload_by_key"] == []


def test_computing_figures_neither_waits_for_writers_nor_blocks_them(archive: Archive, tmp_path: Path) -> None:
    gallery(archive.database, "One", (1000, 100))
    with archive.database.transaction() as writer:
        writer.execute("update core.media_assets set updated_at = now()")
        writer.execute("update core.media_links set position = position + 1")
        assert measure_delivery(archive.database)["delivered_pictures", "links"] == 1


def test_a_report_has_numbers_and_tables(database: Database) -> None:
    for ago in (3, 1):
        gallery(database, f"Person {ago}", (1_000_000, 100_000))
        measure_delivery(database, DAY - timedelta(days=ago))
    gallery(database, "Another", (4_000_000, 200_000))
    add_variant(database, 2, "thumb", "webp", 5_000)
    report = report_delivery(database, DAY)
    assert all(type(number) in (int, float) for number in report.numbers.values())
    assert report.numbers["card_p95_bytes"] == 200_000
    assert report.numbers["derivatives_growth_bytes_per_day"] == 605_000
    assert [row["day"] for row in report.tables["last_days"]] == ["2026-02-12", "2026-02-11", "2026-02-09"]
    assert [row["key"] for row in report.tables["payload_by_key"]] == ["original", "thumb", "card"]
