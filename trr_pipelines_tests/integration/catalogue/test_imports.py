"""Imports in the catalogue: batches fill up, entities and slugs are created once, rows are recorded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import imports, slugs
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.imports import Item, NewLink, Target
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines_tests.support.archives import DAY, query, value


def add(
    database: Database, count: int, *, first: int = 0, source: str = "deadline", day: date = DAY
) -> dict[str, UUID]:
    urls = [f"https://photos.example/{number}.jpg" for number in range(first, first + count)]

    def work(conn: imports.Connection) -> dict[str, UUID]:
        added = imports.add_photos(conn, source, day, urls).ids
        items = [Item(line, source, url, "created", "", added[url]) for line, url in enumerate(urls)]
        imports.add_items(conn, uuid4(), items)
        return added

    return database.run(work)


def batches(database: Database) -> dict[str, int]:
    """Photos by batch, as counted in the batch, which must equal the number of rows."""
    rows = query(
        database,
        "select b.key, b.photos, count(a.id) as found from core.import_batches b"
        " left join core.media_assets a on a.batch_key = b.key group by b.key order by b.key",
    )
    assert all(row["photos"] == row["found"] for row in rows)
    return {row["key"]: row["photos"] for row in rows}


def test_a_batch_takes_five_hundred_photos_and_the_next_one_the_rest(database: Database) -> None:
    add(database, 499)
    add(database, 1_003, first=499)
    assert batches(database) == {
        "20260212-deadline-00001": 500,
        "20260212-deadline-00002": 500,
        "20260212-deadline-00003": 500,
        "20260212-deadline-00004": 2,
    }
    assert value(database, "select count(*) from core.variant_generations where kind = 'original'") == 1_502


def test_each_source_and_day_has_its_own_batches(database: Database) -> None:
    add(database, 1)
    add(database, 1, source="bravo")
    add(database, 1, first=1, day=date(2026, 2, 13))
    assert list(batches(database)) == ["20260212-bravo-00001", "20260212-deadline-00001", "20260213-deadline-00001"]


def test_known_urls_create_neither_photos_nor_batches(database: Database) -> None:
    first, second = add(database, 3), add(database, 4, day=date(2026, 2, 13))
    assert {url: second[url] for url in first} == first
    assert batches(database) == {"20260212-deadline-00001": 3, "20260213-deadline-00001": 1}


def test_a_url_repeated_in_one_import_is_one_photo(database: Database) -> None:
    added = database.run(lambda conn: imports.add_photos(conn, "deadline", DAY, ["u", "u"]))
    assert list(added.ids) == ["u"]
    assert added.created == {"u"}


def test_concurrent_imports_of_the_same_rows_create_each_photo_once(database: Database) -> None:
    together = threading.Barrier(4)

    def run_import(_: int) -> dict[str, UUID]:
        together.wait(10)
        return add(database, 600)

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(run_import, range(4)))
    assert all(result == results[0] for result in results)
    assert batches(database) == {"20260212-deadline-00001": 500, "20260212-deadline-00002": 100}


def test_concurrent_imports_of_different_rows_never_overfill_a_batch(database: Database) -> None:
    together = threading.Barrier(4)

    def run_import(number: int) -> None:
        together.wait(10)
        add(database, 200, first=1_000 * number)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run_import, range(4)))
    assert list(batches(database).values()) == [500, 300]


# Entities ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ensure", "kind"), [(imports.ensure_show, "show"), (imports.ensure_person, "person")])
def test_a_name_is_one_entity_in_any_case_and_by_its_slug(database: Database, ensure: type, kind: str) -> None:
    ids = {
        database.run(lambda conn, name=name: ensure(conn, name)) for name in ("The Valley", "THE valley", "the-valley")
    }  # type: ignore[misc]
    assert len(ids) == 1
    assert query(database, "select entity_kind, slug from core.slugs") == [{"entity_kind": kind, "slug": "the-valley"}]


def test_a_slug_is_never_given_to_another_entity(database: Database) -> None:
    for name in ("The Valley", "The Valley!", "The -- Valley", "The Valley 2"):
        database.run(lambda conn, name=name: imports.ensure_show(conn, name))  # type: ignore[misc]
    slugs = query(
        database,
        'select title, slug from core.shows join core.slugs on entity_id = shows.id order by title collate "C"',
    )
    assert {row["title"]: row["slug"] for row in slugs} == {
        "The -- Valley": "the-valley-3",
        "The Valley": "the-valley",
        "The Valley 2": "the-valley-2-2",
        "The Valley!": "the-valley-2",
    }


def slugs_of_people(database: Database) -> dict[str, str]:
    rows = query(database, "select full_name, slug from core.people join core.slugs on entity_id = people.id")
    return {row["full_name"]: row["slug"] for row in rows}


def test_names_of_one_import_get_slugs_as_one_by_one(database: Database) -> None:
    """`A 2` takes the slug that the second `A` would get; a name that is the slug of another is that one."""
    names = ["A", "A!", "A 2", "A?", "a-2", "a-4", "Admin", "ADMIN!", "...", "???", "a"]
    found = database.run(lambda conn: imports.ensure_entities(conn, "person", names))
    assert slugs_of_people(database) == {
        "A": "a", "A!": "a-2", "A?": "a-3", "A 2": "a-2-2", "Admin": "admin-2", "ADMIN!": "admin-3",
        "...": "person", "???": "person-2", "a-4": "a-4",
    }  # fmt: skip
    assert (found["a-2"], found["a"]) == (found["A!"], found["A"])
    assert database.run(lambda conn: imports.ensure_entities(conn, "person", names)) == found


@pytest.mark.parametrize(("kind", "slug"), [("show", "season-show"), ("person", "season-person")])
def test_a_name_whose_numbered_slugs_are_all_reserved_has_a_slug(
    database: Database, kind: EntityKind, slug: str
) -> None:
    """`season-2`, `season-3`, … are seasons: looking for a free one did not end, and held the lock of all names."""
    database.run(lambda conn: imports.ensure_entities(conn, kind, ["Season", "Season!"]))
    assert [row["slug"] for row in query(database, "select slug from core.slugs order by slug")] == [slug, f"{slug}-2"]


def test_many_names_with_one_slug_get_different_ones(database: Database) -> None:
    names = [f"{'!' * number}A" for number in range(1, 300)]
    database.run(lambda conn: imports.ensure_entities(conn, "person", names))
    database.run(lambda conn: imports.ensure_person(conn, "A???"))
    slugs = slugs_of_people(database)
    assert sorted(slugs.values()) == sorted(["a", *(f"a-{number}" for number in range(2, 301))])
    assert slugs["A???"] == "a-300"


def test_a_person_and_a_show_may_share_a_slug(database: Database) -> None:
    show = database.run(lambda conn: imports.ensure_show(conn, "Ann Example"))
    person = database.run(lambda conn: imports.ensure_person(conn, "Ann Example"))
    assert show != person
    assert value(database, "select count(*) from core.slugs where slug = 'ann-example'") == 2


@pytest.mark.parametrize(
    ("name", "slug"), [("???", "show"), ("北京", "bei-jing"), ("é" * 300, "e" * 100), ("﷽" * 300, None)]
)
def test_every_valid_name_has_a_slug(database: Database, name: str, slug: str | None) -> None:
    show = database.run(lambda conn: imports.ensure_show(conn, name))
    found = value(database, "select slug from core.slugs where entity_id = %s", show)
    assert len(found) <= slugs.MAX_SLUG
    assert slug is None or found == slug
    assert database.run(lambda conn: imports.ensure_show(conn, name)) == show


def test_concurrent_imports_create_an_entity_once(database: Database) -> None:
    together = threading.Barrier(4)

    def ensure(_: int) -> UUID:
        together.wait(10)
        return database.run(lambda conn: imports.ensure_season(conn, imports.ensure_show(conn, "The Valley"), 2))

    with ThreadPoolExecutor(4) as threads:
        seasons = set(threads.map(ensure, range(4)))
    assert len(seasons) == 1
    assert value(database, "select count(*) from core.shows") == 1


# Links and items ---------------------------------------------------------------------------------------------------


def test_an_existing_link_stays_as_it_is(database: Database) -> None:
    (photo,) = add(database, 1).values()

    def link(caption: str) -> int:
        def work(conn: imports.Connection) -> int:
            show = imports.ensure_show(conn, "The Valley")
            return imports.add_links(conn, [NewLink(photo, Target(show_id=show), "photo", 3, caption, ("red", "a,b"))])

        return database.run(work)

    assert (link("first"), link("second")) == (1, 0)
    (row,) = query(database, "select caption, position, tags, facebank_seed from core.media_links")
    assert row == {"caption": "first", "position": 3, "tags": ["red", "a,b"], "facebank_seed": False}


def test_one_photo_may_be_in_several_galleries_and_kinds(database: Database) -> None:
    (photo,) = add(database, 1).values()

    def work(conn: imports.Connection) -> int:
        show, person = imports.ensure_show(conn, "The Valley"), imports.ensure_person(conn, "Ann Example")
        season = imports.ensure_season(conn, show, 1)
        targets = [Target(show_id=show), Target(season_id=season), Target(person_id=person)]
        links = [NewLink(photo, target, "photo", 1, "", ()) for target in targets]
        return imports.add_links(conn, [*links, NewLink(photo, targets[0], "brand", 1, "", ())])

    assert database.run(work) == 4


def test_every_row_is_recorded_with_its_outcome_and_recording_again_adds_nothing(database: Database) -> None:
    (photo,) = add(database, 1).values()
    query(database, "delete from core.import_items")
    import_id = uuid4()
    items = [
        Item(2, "deadline", "https://photos.example/0.jpg", "created", "", photo),
        Item(3, "", "nul\x00 in it", "rejected", "not UTF-8: caf\udce9", None),
    ]
    for _ in range(2):
        database.run(lambda conn: imports.add_items(conn, import_id, items))
    rows = query(database, "select line, outcome, detail, source_url from core.import_items order by line")
    assert [(row["line"], row["outcome"]) for row in rows] == [(2, "created"), (3, "rejected")]
    assert (rows[1]["source_url"], rows[1]["detail"]) == (r"nul\x00 in it", r"not UTF-8: caf\udce9")


def test_batches_are_announced_once(database: Database) -> None:
    add(database, 1)
    add(database, 1, source="bravo")
    keys = database.run(lambda conn: imports.unannounced_batches(conn, 10))
    assert Counter(keys) == Counter(database.run(imports.all_batches))
    database.run(lambda conn: imports.announce_batches(conn, keys[:1]))
    assert database.run(lambda conn: imports.unannounced_batches(conn, 10)) == keys[1:]
    assert database.run(lambda conn: imports.batch_exists(conn, keys[0])) is True
    assert database.run(lambda conn: imports.batch_exists(conn, "20260212-unknown-00001")) is False


# Spellings ---------------------------------------------------------------------------------------------------------

SPELLINGS = (
    "Zoë O'Brien-Smith",
    "Zoe\u0308 O'Brien-Smith",
    "Zoë  O'Brien-Smith",
    " Zoë\u00a0O'Brien-Smith\u200b",
    "Zoë O\u2019Brien-Smith",
    "Zoë O\u02bcBrien\u2013Smith",
    "\ufeffZo\u200dë\u2009O\u2018Brien\u2010Smith",
    "Ｚoë\u3000O＇Brien－Smith",
    "zoë o`brien\u00ad-SMITH",
)


@pytest.mark.parametrize("ensure", [imports.ensure_show, imports.ensure_person])
@pytest.mark.parametrize("first", range(len(SPELLINGS)))
def test_spellings_that_look_alike_are_one_name_shown_as_first_given(
    database: Database, ensure: Callable[[Connection, str], UUID], first: int
) -> None:
    order = [SPELLINGS[first], *SPELLINGS]
    assert len({database.run(lambda conn, name=name: ensure(conn, name)) for name in order}) == 1  # type: ignore[misc]
    assert [row["name"] for row in query(database, "select name from core.entities")] == [SPELLINGS[first]]


def test_names_that_look_different_stay_apart(database: Database) -> None:
    names = ["Zoe Smith", "Zoë Smith", "Zoes Mith", "Zoë Smith Jr", "Zoë-Smith", "x" * 300, "ﷺ" * 300, "ﷺ" * 299 + "x"]
    assert len({database.run(lambda conn, name=name: imports.ensure_person(conn, name)) for name in names}) == len(
        names
    )  # type: ignore[misc]


def test_of_spellings_that_an_archive_holds_already_each_finds_its_own(database: Database) -> None:
    held = SPELLINGS[:3]
    ids = [value(database, "insert into core.people (full_name) values (%s) returning id", name) for name in held]
    assert [database.run(lambda conn, name=name: imports.ensure_person(conn, name)) for name in held] == ids  # type: ignore[misc]
    assert database.run(lambda conn: imports.ensure_person(conn, SPELLINGS[7])) == ids[0]


def test_tags_are_shown_as_first_given(database: Database) -> None:
    def work(conn: Connection) -> dict[str, str]:
        return imports.first_spellings(conn, ["Red Carpet", "red\u00a0carpet", "x" * 2000, "café"])

    first = database.run(work)
    assert first == {
        "Red Carpet": "Red Carpet",
        "red\u00a0carpet": "Red Carpet",
        "x" * 2000: "x" * 2000,
        "café": "café",
    }
    again = database.run(lambda conn: imports.first_spellings(conn, ["cafe\u0301", "RED CARPET"]))
    assert again == {"cafe\u0301": "café", "RED CARPET": "Red Carpet"}
