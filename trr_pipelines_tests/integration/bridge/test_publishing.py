"""What readers of the application find after publications, and what is there again after they were taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import BytesIO
from uuid import UUID

import psycopg
import pytest
from PIL import Image
from psycopg.types.json import Jsonb

from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.publishing import publish_due, set_publishing, unpublish, write_back
from trr_pipelines.bridge.sync import follow, sync
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.galleries.pages import PageRequest, person_gallery
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines_tests.integration.bridge.conftest import Put, RenderAll
from trr_pipelines_tests.pictures import saved
from trr_pipelines_tests.support.applications import Reader, Rows
from trr_pipelines_tests.support.archives import query, value

BASE_URL = "http://127.0.0.1:8000/media/media-variants/"
OURS = {"variants", "thumb_url", "display_url", "detail_url", "crop_display_url", "crop_detail_url",
        "active_crop_signature"}  # fmt: skip


Prepared = Callable[[], None]


@pytest.fixture
def prepared(archive: Archive, application: Application, rows: Rows, put: Put, render_all: RenderAll) -> Prepared:
    """Gives every row its object, takes the rows and renders their photos."""

    def prepare() -> None:
        for row in rows.execute("select distinct hosted_key from core.media_assets where hosted_key is not null"):
            put(row["hosted_key"])
        sync(archive, application, lane="live")
        render_all()

    return prepare


def crop(x: float, y: float, zoom: float = 1.0, mode: str = "manual") -> dict[str, object]:
    return {"thumbnail_crop": {"x": x, "y": y, "zoom": zoom, "mode": mode}}


def test_a_photo_gets_its_card_and_detail(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    photo = rows.asset("1.jpg", metadata={"tags": ["a"], "display_url": "https://old.example/x"})
    person = rows.person("Ana")
    rows.link(photo, "person", person)
    prepared()
    assert publish_due(database, application) == {"published": 1}
    (shown,) = reader.gallery(person)
    assert shown["card"].endswith("/card.webp")
    assert shown["detail"].endswith("/detail.webp")
    assert not shown["missing_variants"]
    assert shown["crop_card"] is None
    (row,) = rows.execute("select metadata from core.media_assets")
    assert row["metadata"]["tags"] == ["a"]
    variants = rows.execute("select variant_key, format, crop_signature, hosted_url from core.media_asset_variants")
    assert {(v["variant_key"], v["format"], v["crop_signature"]) for v in variants} == {
        (key, kind, "base") for key in ("thumb", "card", "detail") for kind in ("webp", "jpg")
    }
    assert publish_due(database, application) == {}


def test_each_link_shows_its_own_frame(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    photo = rows.asset("1.jpg")
    ana, ben, cat = (rows.person(name) for name in ("Ana", "Ben", "Cat"))
    rows.link(photo, "person", ana, context=crop(20, 30))
    rows.link(photo, "person", ben, context=crop(80, 40, 2))
    rows.link(photo, "person", cat)
    prepared()
    publish_due(database, application)
    assert reader.gallery(ana)[0]["signature"] == "manual:20.000:30.000:1.000"
    assert reader.gallery(ben)[0]["signature"] == "manual:80.000:40.000:2.000"
    assert reader.gallery(ana)[0]["crop_card"] != reader.gallery(ben)[0]["crop_card"]
    assert reader.gallery(cat)[0]["crop_card"] is None
    (row,) = rows.execute("select metadata -> 'variants' as sets from core.media_assets")
    assert set(row["sets"]) == {"base", "manual:20.000:30.000:1.000", "manual:80.000:40.000:2.000"}


def test_flat_crop_keys_follow_an_intent_of_the_photo_and_are_taken_away_without_one(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    left = {"crop_display_url": "https://old/x", "crop_detail_url": "https://old/y", "active_crop_signature": "z"}
    with_intent = rows.asset("1.jpg", metadata={**left, **crop(10, 20)})
    without = rows.asset("2.jpg", metadata=left)
    before = rows.dump()
    prepared()
    publish_due(database, application)
    assert reader.asset(with_intent)["signature"] == "manual:10.000:20.000:1.000"
    assert reader.asset(with_intent)["crop_detail"].startswith(BASE_URL)
    assert reader.asset(without)["crop_card"] is None
    unpublish(database, application)
    assert rows.dump() == before


def test_everything_can_be_taken_back(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    person = rows.person("Ana")
    plain = rows.asset("1.jpg")
    generated = rows.asset(
        "2.jpg",
        metadata={"variants": {"base": {"card": {"webp": {"url": "https://old/c"}}}, "manual:1": {}}, "thumb_url": "t"},
    )
    odd = rows.asset("3.jpg", metadata={"variants": ["strange"]})
    for key, signature in (("card", "base"), ("crop_card", "manual:1")):
        rows.execute(
            "insert into core.media_asset_variants (media_asset_id, variant_key, format, hosted_bucket, hosted_key,"
            " hosted_url, crop_signature) values (%s, %s, 'webp', 'b', %s, 'https://old/c', %s)",
            *(generated, key, f"media-variants/{generated}/0123456789ab/{key}.webp", signature),
        )
    rows.link(plain, "person", person, context=crop(20, 30))
    rows.link(generated, "person", person, context={**crop(1, 2), "crop_display_url": "https://mine/x"})
    rows.link(odd, "person", person)
    before = rows.dump()
    prepared()
    assert publish_due(database, application) == {"published": 3}
    assert all(not photo["missing_variants"] for photo in reader.gallery(person))
    after = rows.dump()
    assert after != before
    for asset, row in after["media_assets"].items():
        others = {key: value for key, value in row["metadata"].items() if key not in OURS}
        was = before["media_assets"][asset]
        assert {**row, "metadata": others} == {
            **was, "metadata": {key: value for key, value in was["metadata"].items() if key not in OURS}
        }  # fmt: skip
    assert unpublish(database, application) == {"taken back": 3}
    assert rows.dump() == before
    assert publish_due(database, application) == {}  # off until it is asked for
    set_publishing(database, True)
    assert publish_due(database, application) == {"published": 3}
    assert rows.dump()["media_assets"] == after["media_assets"]


def test_rows_that_share_a_photo_are_all_published(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    assets = [rows.asset("1.jpg") for _ in range(3)]
    person = rows.person("Ana")
    for number, asset in enumerate(assets):
        rows.link(asset, "person", person, context=crop(20 + 10 * number, 30), position=number)
    before = rows.dump()
    prepared()
    assert publish_due(database, application) == {"published": 3}
    assert {reader.asset(asset)["card"] for asset in assets} == {reader.asset(assets[0])["card"]}
    signatures = [f"manual:{x}.000:30.000:1.000" for x in (20, 30, 40)]
    assert [photo["signature"] for photo in reader.gallery(person)] == signatures
    # Objects are in one row each, whichever of the three asks for them.
    owners = rows.execute("select distinct media_asset_id, crop_signature from core.media_asset_variants")
    assert sorted(row["crop_signature"] for row in owners) == ["base", *signatures]
    unpublish(database, application)
    assert rows.dump() == before


def test_our_own_writes_do_not_come_back_and_those_of_others_do(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, reader: Reader
) -> None:
    person = rows.person("Ana")
    photo = rows.asset("1.jpg")
    link = rows.link(photo, "person", person, context=crop(20, 30))
    prepared()
    publish_due(database, application)
    assert +follow(archive, application).changed == {}
    rows.execute("update core.media_assets set metadata = '{\"theirs\": 1}' where id = %s", photo)
    assert follow(archive, application).changed["overwritten"] == 1
    assert publish_due(database, application) == {"published": 1}
    rows.execute("update core.media_links set context = context - 'crop_display_url' where id = %s", link)
    assert follow(archive, application).changed["overwritten"] == 1
    publish_due(database, application)
    assert reader.gallery(person)[0]["crop_card"].startswith(BASE_URL)
    (row,) = rows.execute("select metadata -> 'theirs' as theirs from core.media_assets")
    assert row["theirs"] == 1
    assert +follow(archive, application).changed == {}


def test_two_writers_of_whole_documents_lose_nothing_to_us(
    archive: Archive,
    database: Database,
    application: Application,
    prepared: Prepared,
    rows: Rows,
    application_url: str,
    reader: Reader,
) -> None:
    photos = [rows.asset(f"{number}.jpg") for number in range(20)]
    prepared()
    stop = threading.Event()
    written: dict[UUID, dict[str, int]] = {photo: {} for photo in photos}

    def write(name: str) -> None:
        """Read a photo's metadata whole, add a counter, and write it back whole."""
        with psycopg.connect(application_url, autocommit=True) as conn:
            count = 0
            while not stop.is_set():
                photo = photos[count % len(photos)]
                with conn.transaction():
                    (metadata,) = conn.execute(
                        "select metadata from core.media_assets where id = %s for update", (photo,)
                    ).fetchone()  # type: ignore[misc]
                    count += 1
                    metadata[name] = written[photo][name] = count
                    conn.execute("update core.media_assets set metadata = %s where id = %s", (Jsonb(metadata), photo))

    writers = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for _ in range(5):
        follow(archive, application)
        publish_due(database, application)
    stop.set()
    for writer in writers:
        writer.join()
    follow(archive, application)
    publish_due(database, application)
    for photo in photos:
        (row,) = rows.execute("select metadata from core.media_assets where id = %s", photo)
        assert {name: row["metadata"][name] for name in written[photo]} == written[photo]
        assert not reader.asset(photo)["missing_variants"]


def test_an_edit_here_reaches_the_link_there(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows
) -> None:
    person = rows.person("Ana")
    photo = rows.asset("1.jpg")
    link = rows.link(photo, "person", person, context={"note": 1})
    other = rows.link(photo, "person", rows.person("Ben"), context=crop(1, 1))
    prepared()
    query(
        database,
        "update core.media_links set crop_mode = 'manual', crop_x = 12.5, crop_y = 30, crop_zoom = 1.25,"
        " facebank_seed = true where id = %s",
        link,
    )
    database.run(lambda conn: catalogue.mark_edited(conn, link))
    assert write_back(database, application) == 1
    (row,) = rows.execute("select context, facebank_seed from core.media_links where id = %s", link)
    assert row["context"] == {"note": 1, "thumbnail_crop": {"x": 12.5, "y": 30.0, "zoom": 1.25, "mode": "manual"}}
    assert row["facebank_seed"]
    (row,) = rows.execute("select context, facebank_seed from core.media_links where id = %s", other)
    assert row == {"context": crop(1, 1), "facebank_seed": False}
    assert +follow(archive, application).changed == {"links": 1}  # what we wrote, read once more
    assert +follow(archive, application).changed == {}
    assert write_back(database, application) == 0


def test_a_row_that_is_held_waits_and_stops_no_other(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, application_url: str
) -> None:
    held, free = rows.asset("1.jpg"), rows.asset("2.jpg")
    prepared()
    with psycopg.connect(application_url) as conn:
        conn.execute("select from core.media_assets where id = %s for update", (held,))
        assert publish_due(database, application) == {"published": 1, "failed": 1}
    problem = value(database, "select problem from core.application_assets where id = %s", held)
    assert "lock timeout" in problem
    assert value(database, "select problem from core.application_assets where id = %s", free) == ""
    query(database, "update core.application_assets set not_before = now()")
    assert publish_due(database, application) == {"published": 1}


@pytest.mark.parametrize("metadata", ["[]", '"text"', "null"])
def test_metadata_that_is_no_object_is_left_alone(
    archive: Archive, database: Database, application: Application, prepared: Prepared, rows: Rows, metadata: str
) -> None:
    photo = rows.asset("1.jpg")
    rows.execute("update core.media_assets set metadata = %s", metadata)
    prepared()
    assert publish_due(database, application) == {"failed": 1}
    assert value(database, "select problem from core.application_assets") == (
        f"metadata of media_assets {photo} is no JSON object"
    )


def test_a_transparent_photo_is_published_as_webp_and_as_jpeg_on_white(
    archive: Archive,
    application: Application,
    rows: Rows,
    put: Put,
    render_all: RenderAll,
    reader: Reader,
) -> None:
    photo = rows.asset("logo.bin")
    picture = Image.new("RGBA", (60, 75), (255, 0, 0, 0))
    picture.paste((0, 0, 255, 255), (0, 0, 30, 75))
    put("logo.bin", saved(picture, "PNG"))
    rows.link(photo, "person", rows.person("Ana"), context=crop(50, 50))
    sync(archive, application, lane="live")
    render_all()
    assert publish_due(archive.database, application) == {"published": 1}
    (row,) = rows.execute("select metadata -> 'variants' as sets from core.media_assets")
    for name, key in (("base", "card"), ("manual:50.000:50.000:1.000", "crop_card")):
        files = row["sets"][name][key]
        assert set(files) == {"webp", "jpg"}
        stored = archive.store.get(files["jpg"]["url"].removeprefix("http://127.0.0.1:8000/media/"))
        with Image.open(BytesIO(stored)) as flat:
            assert flat.format == "JPEG"
            assert flat.getpixel((50, 40)) == (255, 255, 255)
    # Galleries of ours never offer it.
    (link,) = query(archive.database, "select person_id from core.media_links")
    page = person_gallery(archive.database, link["person_id"], PageRequest(Filters(), "position", None, 10))
    assert {file["format"] for file in page.items[0]["srcset"]} <= {"webp", "png"}


def test_crops_that_are_asked_for_later_are_rendered(
    archive: Archive, application: Application, prepared: Prepared, rows: Rows, reader: Reader, render_pool: RenderPool
) -> None:
    photo = rows.asset("1.jpg")
    ana, ben = rows.person("Ana"), rows.person("Ben")
    link = rows.link(photo, "person", ana)
    prepared()
    sync(archive, application)  # everything was taken once: what comes now is followed
    publish_due(archive.database, application)
    sharing = rows.asset("1.jpg", metadata=crop(70, 40))
    rows.link(sharing, "person", ben, context=crop(60, 40))
    rows.execute("update core.media_links set context = %s where id = %s", Jsonb(crop(30, 40)), link)
    follow(archive, application)
    photos = Scope(photo_ids=(photo,))
    render_photos(archive, photos, "test", pool=render_pool)
    publish_due(archive.database, application)
    assert reader.gallery(ana)[0]["signature"] == "manual:30.000:40.000:1.000"
    assert reader.gallery(ben)[0]["signature"] == "manual:60.000:40.000:1.000"
    assert reader.asset(sharing)["signature"] == "manual:70.000:40.000:1.000"
    # A crop that is no longer asked for loses its keys and rows.
    rows.execute("update core.media_links set context = context - 'thumbnail_crop' where id = %s", link)
    follow(archive, application)
    render_photos(archive, photos, "test", pool=render_pool)
    publish_due(archive.database, application)
    assert reader.gallery(ana)[0]["crop_card"] is None
    signatures = rows.execute("select distinct crop_signature from core.media_asset_variants order by 1")
    assert [row["crop_signature"] for row in signatures] == [
        "base",
        "manual:60.000:40.000:1.000",
        "manual:70.000:40.000:1.000",
    ]
