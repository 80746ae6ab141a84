"""Photos in the catalogue: duplicates become links, and a set of variants is replaced atomically."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import imports, ledger, photos, retention
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.imports import Item, NewLink, Target
from trr_pipelines.catalogue.photos import NO_CROP, CropRow, Original, Variant
from trr_pipelines.errors import Reason
from trr_pipelines_tests.support.archives import DAY, query, value

SHA = "a" * 64
ORIGINAL = Original(SHA, 1000, 40, 30, "jpeg", 1, "local", f"media/aa/{SHA}.jpg", "http://cdn.example/a.jpg")
FIRST_CROP = CropRow("manual", 50, 33.333, 1.5, "1" * 64)
SECOND_CROP = CropRow("manual", 0, 100, 1, "2" * 64)


def add(database: Database, *names: str) -> list[UUID]:
    """Photos with an item each, as an import leaves them."""

    def work(conn: imports.Connection) -> list[UUID]:
        added = imports.add_photos(conn, "deadline", DAY, names).ids
        imports.add_items(
            conn,
            uuid4(),
            [Item(line, "deadline", name, "created", "", added[name]) for line, name in enumerate(names)],
        )
        return [added[name] for name in names]

    return database.run(work)


def link(database: Database, photo: UUID, show: str, *, seed: bool = False) -> None:
    def work(conn: imports.Connection) -> None:
        target = Target(show_id=imports.ensure_show(conn, show))
        imports.add_links(conn, [NewLink(photo, target, "photo", 1, "", ())])

    database.run(work)
    if seed:
        query(database, "update core.media_links set facebank_seed = true where media_asset_id = %s", photo)


def register(database: Database, photo: UUID, original: Original = ORIGINAL) -> UUID:
    return database.run(lambda conn: photos.register_original(conn, photo, original))


def variants(*keys: str, folder: str, formats: tuple[str, ...] = ("webp", "jpeg")) -> list[Variant]:
    return [
        Variant(
            key, kind, 40, 30, 100, "b" * 64, "local", f"{folder}/{key}.{kind}", f"http://cdn.example/{folder}/{key}"
        )
        for key in keys
        for kind in formats
    ]


def put(database: Database, photo: UUID, of: list[Variant], *, recipe: str = "r1", crop: CropRow = NO_CROP) -> int:
    """Record a set as a render does that completes the work."""

    def work(conn: imports.Connection) -> int:
        written = photos.replace_set(conn, photo, of, recipe=recipe, source_version=SHA, crop=crop)
        if crop.signature:
            ledger.open_derivatives(conn, photo)
            conn.execute(
                "update core.variant_generations set wanted = %(crop)s, served = %(crop)s where kind = 'crop'",
                {"crop": crop.signature},
            )
        photos.settle_sets(conn, photo)
        return written

    return database.run(work)


def served(database: Database, photo: UUID) -> set[tuple[str, str]]:
    rows = query(
        database,
        "select hosted_key, recipe from core.media_asset_variants where media_asset_id = %s and superseded_at is null",
        photo,
    )
    return {(row["hosted_key"], row["recipe"]) for row in rows}


def retired(database: Database) -> set[str]:
    return {row["hosted_key"] for row in query(database, "select hosted_key from core.retired_objects")}


# Duplicates --------------------------------------------------------------------------------------------------------


def test_new_bytes_make_a_mirrored_photo(database: Database) -> None:
    (photo,) = add(database, "a")
    assert register(database, photo) == photo
    assert register(database, photo) == photo
    row = query(database, "select state, sha256, bytes, width, height, format, hosted_url from core.media_assets")
    assert row == [
        {
            "state": "mirrored",
            "sha256": SHA,
            "bytes": 1000,
            "width": 40,
            "height": 30,
            "format": "jpeg",
            "hosted_url": "http://cdn.example/a.jpg",
        }
    ]


def test_links_and_items_of_a_duplicate_move_to_the_photo_with_the_bytes(database: Database) -> None:
    kept, duplicate = add(database, "a", "b")
    register(database, kept)
    link(database, kept, "The Valley")
    link(database, duplicate, "The Valley", seed=True)
    link(database, duplicate, "Harbour Lights")
    assert register(database, duplicate) == kept
    links = query(
        database,
        "select title, media_asset_id, facebank_seed from core.media_links join core.shows on shows.id = show_id"
        " order by title",
    )
    assert links == [
        {"title": "Harbour Lights", "media_asset_id": kept, "facebank_seed": False},
        {"title": "The Valley", "media_asset_id": kept, "facebank_seed": True},
    ]
    items = query(database, "select source_url, outcome, media_asset_id from core.import_items order by source_url")
    assert [(item["outcome"], item["media_asset_id"]) for item in items] == [("created", kept), ("duplicate", kept)]
    assert [row["id"] for row in query(database, "select id from core.media_assets")] == [kept]
    assert value(database, "select count(*) from core.variant_generations where media_asset_id = %s", duplicate) == 0


def test_importing_the_url_of_a_duplicate_again_finds_the_kept_photo(database: Database) -> None:
    kept, duplicate = add(database, "a", "b")
    register(database, kept)
    register(database, duplicate)
    assert add(database, "b") == [kept]
    assert value(database, "select count(*) from core.media_assets") == 1


# Sets --------------------------------------------------------------------------------------------------------------


def test_an_existing_set_is_not_written_again(database: Database) -> None:
    (photo,) = add(database, "a")
    first = variants("thumb", "card", folder="v/r1")
    assert put(database, photo, first) == 4
    assert put(database, photo, first) == 0
    assert retired(database) == set()


def test_a_new_recipe_changes_all_rows_and_retires_the_old_objects(database: Database) -> None:
    (photo,) = add(database, "a")
    put(database, photo, variants("thumb", "card", folder="v/r1"))
    assert put(database, photo, variants("thumb", "card", folder="v/r2"), recipe="r2") == 4
    assert {recipe for _, recipe in served(database, photo)} == {"r2"}
    assert retired(database) == {variant.hosted_key for variant in variants("thumb", "card", folder="v/r1")}


def test_rows_of_formats_and_keys_that_a_new_set_lacks_are_deleted(database: Database) -> None:
    (photo,) = add(database, "a")
    put(database, photo, variants("thumb", "card", "poster", folder="v/r1"))
    put(database, photo, variants("thumb", "card", folder="v/r2", formats=("webp", "png")), recipe="r2")
    assert {key for key, _ in served(database, photo)} == {
        "v/r2/thumb.webp",
        "v/r2/thumb.png",
        "v/r2/card.webp",
        "v/r2/card.png",
    }
    assert retired(database) == {variant.hosted_key for variant in variants("thumb", "card", "poster", folder="v/r1")}


def test_objects_of_a_set_served_again_are_no_longer_retired(database: Database) -> None:
    (photo,) = add(database, "a")
    old, new = variants("thumb", folder="v/r1"), variants("thumb", folder="v/r2")
    put(database, photo, old)
    put(database, photo, new, recipe="r2")
    database.run(lambda conn: retention.revive(conn, "local", [variant.hosted_key for variant in old]))
    put(database, photo, old)
    assert served(database, photo) == {(variant.hosted_key, "r1") for variant in old}
    assert retired(database) == {variant.hosted_key for variant in new}


def test_a_new_crop_supersedes_the_old_set_and_leaves_the_base_set_alone(database: Database) -> None:
    (photo,) = add(database, "a")
    base = variants("thumb", folder="v/r1")
    first, second = variants("crop_card", folder="c/1"), variants("crop_card", folder="c/2")
    put(database, photo, base)
    put(database, photo, first, crop=FIRST_CROP)
    put(database, photo, second, crop=SECOND_CROP)
    assert {key for key, _ in served(database, photo)} == {variant.hosted_key for variant in (*base, *second)}
    assert retired(database) == set()
    put(database, photo, first, crop=FIRST_CROP)
    assert {key for key, _ in served(database, photo)} == {variant.hosted_key for variant in (*base, *first)}


def test_a_failed_transaction_keeps_the_old_set(database: Database) -> None:
    (photo,) = add(database, "a")
    old = variants("thumb", "card", folder="v/r1")
    put(database, photo, old)

    def fails(conn: imports.Connection) -> None:
        photos.replace_set(conn, photo, variants("thumb", "card", folder="v/r2"), recipe="r2", source_version=SHA)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.run(fails)
    assert served(database, photo) == {(variant.hosted_key, "r1") for variant in old}
    assert retired(database) == set()


def test_concurrent_readers_never_see_two_sets_or_a_mixed_one(database: Database) -> None:
    (photo,) = add(database, "a")
    put(database, photo, variants("thumb", "card", folder="v/r1"))
    with database.transaction() as conn:
        photos.replace_set(conn, photo, variants("thumb", "card", folder="v/r2"), recipe="r2", source_version=SHA)
        assert {recipe for _, recipe in served(database, photo)} == {"r1"}
    assert {recipe for _, recipe in served(database, photo)} == {"r2"}


def test_crop_numbers_keep_the_three_decimals_they_were_rounded_to(database: Database) -> None:
    (photo,) = add(database, "a")
    register(database, photo)
    database.run(
        lambda conn: photos.add_crop(conn, photo, FIRST_CROP, source_version=SHA, reason="edited", author="ann")
    )
    assert database.run(lambda conn: photos.photos_by_id(conn, [photo]))[photo].crop == FIRST_CROP


def test_the_cache_in_metadata_lists_the_served_files(database: Database) -> None:
    (photo,) = add(database, "a")
    put(database, photo, variants("thumb", folder="v/r1"))
    put(database, photo, variants("crop_card", folder="c/1"), crop=FIRST_CROP)
    put(database, photo, variants("crop_card", folder="c/2"), crop=SECOND_CROP)
    cache = value(database, "select metadata -> 'variants' from core.media_assets")
    assert set(cache) == {"thumb.webp", "thumb.jpeg", "crop_card.webp", "crop_card.jpeg"}
    assert cache["crop_card.webp"]["url"] == "http://cdn.example/c/2/crop_card"


def test_no_two_rows_have_the_same_object(database: Database) -> None:
    first, second = add(database, "a", "b")
    put(database, first, variants("thumb", folder="v/r1"))
    with pytest.raises(Exception, match="media_asset_variants_hosted_key_key"):
        put(database, second, variants("thumb", folder="v/r1"))


def test_a_photo_with_an_earlier_base_set_does_not_fail(database: Database) -> None:
    (photo,) = add(database, "a")
    register(database, photo)
    put(database, photo, variants("thumb", folder="v/r1"))
    database.run(lambda conn: photos.mark_failed(conn, photo, Reason.STORAGE_UNAVAILABLE))
    assert value(database, "select state from core.media_assets") == "mirrored"


def test_a_photo_without_any_set_fails_with_its_reason(database: Database) -> None:
    (photo,) = add(database, "a")
    register(database, photo, replace(ORIGINAL, format="png"))
    database.run(lambda conn: photos.mark_failed(conn, photo, Reason.TRUNCATED))
    (row,) = query(database, "select state, reason from core.media_assets")
    assert row == {"state": "failed", "reason": "truncated"}
