"""What the catalogue knows of the owner's application: its rows, the photos they share, and what was published.

The application's own tables are read and written in `bridge` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import imports, photos, slugs
from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as
from trr_pipelines.catalogue.imports import Lane

_queries = load_queries("application.sql")


@dataclass(frozen=True)
class CropIntent:
    """A crop that a row of the application asks for: x and y in percent, zoom 1 to 4."""

    mode: str
    x: float
    y: float
    zoom: float


@dataclass(frozen=True)
class AssetRow:
    """A row of `media_assets` or `cast_photos` as it was read; `digest` covers everything that matters here.

    `is_left_out`: no photo is made of it (archived, or no image).
    """

    id: UUID
    origin: str
    source: str
    source_url: str | None
    hosted_bucket: str | None
    hosted_key: str | None
    hosted_url: str | None
    is_left_out: bool
    crop: CropIntent | None
    digest: str
    object_digest: str


@dataclass(frozen=True)
class LinkRow:
    """A row of `media_links` as it was read; one of the three entities is set, or none that the catalogue knows."""

    id: UUID
    asset_id: UUID
    show_id: UUID | None
    season_id: UUID | None
    person_id: UUID | None
    kind: str
    position: int | None
    is_primary: bool
    is_hidden: bool
    caption: str
    tags: tuple[str, ...]
    facebank_seed: bool
    crop: CropIntent | None
    digest: str


@dataclass(frozen=True)
class TakenAsset:
    """A row that is new or changed; `photo_id` is the photo that it had before."""

    id: UUID
    photo_id: UUID | None
    is_new: bool
    has_other_object: bool
    has_other_crop: bool


@dataclass(frozen=True)
class TakenLink:
    """A link that is new or changed."""

    id: UUID
    is_new: bool
    has_other_seed: bool
    has_other_crop: bool


@dataclass(frozen=True)
class LinkIntent:
    """The crop and seed of a link as the application has them, and the seed here."""

    id: UUID
    crop: CropIntent | None
    facebank_seed: bool
    person_id: UUID | None
    own_seed: bool


@dataclass(frozen=True)
class EditedLink:
    """A link whose crop or seed was edited here; what differs from the application is to be written there."""

    id: UUID
    asset_id: UUID
    facebank_seed: bool
    has_other_seed: bool
    crop: CropIntent | None
    has_other_crop: bool


@dataclass(frozen=True)
class PublishableFile:
    """One served derivative; sides in pixels."""

    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    crop: CropIntent | None
    crop_signature: str
    source_version: str


@dataclass(frozen=True)
class PublishableLink:
    """A link with the crop that it asks for; `is_published`: keys of ours are in its context."""

    id: UUID
    crop: CropIntent | None
    is_published: bool


@dataclass(frozen=True)
class MirroredOriginal:
    """An original that was fetched here for a row that had none."""

    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    sha256: str
    bytes: int
    format: str


@dataclass(frozen=True)
class PublishableAsset:
    """A row of the application with what its readers should see, at `version`.

    `has_rows`: the photo's files are its rows of the table of variants, those of `shared_crops` among them: what all
    rows ask for that share the photo.
    """

    id: UUID
    origin: str
    photo_id: UUID
    version: int
    published_sets: tuple[str, ...]
    has_rows: bool
    crop: CropIntent | None
    files: tuple[PublishableFile, ...]
    links: tuple[PublishableLink, ...]
    shared_crops: tuple[CropIntent, ...] = ()
    mirrored: MirroredOriginal | None = None


@dataclass(frozen=True)
class PublishedAsset:
    """A published row, the batch of its photo, and the original that was read for it."""

    id: UUID
    origin: str
    photo_id: UUID
    batch_key: str
    published_version: int
    hosted_bucket: str | None
    hosted_key: str | None
    bytes: int | None


@dataclass(frozen=True)
class BatchNumbers:
    """Rows of the application whose photo is in a batch, by what became of them."""

    rows: int
    published: int
    due: int
    failing: int
    overwritten: int


@dataclass(frozen=True)
class Numbers:
    """Counts of the application's rows, without those left out."""

    rows: int
    placed: int
    photos: int
    published: int
    due: int
    overwritten: int
    failing: int
    without_original: int
    links: int
    crops: int
    edited: int


def take_assets(conn: Connection, rows: Sequence[AssetRow]) -> list[TakenAsset]:
    """Record rows of the application; returns those that are new or changed."""
    return rows_as(TakenAsset, _queries.take_assets(conn, assets=_json(rows)))


def take_links(conn: Connection, rows: Sequence[LinkRow]) -> list[TakenLink]:
    """Record links of the application; returns those that are new or changed."""
    return rows_as(TakenLink, _queries.take_links(conn, links=_json(rows)))


def take_entities(
    conn: Connection, shows: Mapping[UUID, str], people: Mapping[UUID, str], seasons: Mapping[UUID, tuple[UUID, int]]
) -> int:
    """Shows, people and seasons under the application's ids, with slugs; returns how many are new.

    Names need not be unique: ids are the identity.
    """
    slugs.lock(conn)
    given = {
        name: json.dumps([{"id": str(key), "name": text.strip() or str(key)} for key, text in names.items()])
        for name, names in (("shows", shows), ("people", people))
    }
    rows = list(_queries.take_entities(conn, **given))
    for kind in ("show", "person"):
        of_kind = [row for row in rows if row["entity_kind"] == kind]
        slugs.give_new(conn, kind, {row["id"]: row["name"] for row in of_kind if row["is_new"]})
        for row in of_kind:
            if not row["is_new"]:
                slugs.give(conn, kind, row["id"], row["name"])
    wanted = [
        {"id": str(key), "show_id": str(show), "number": number}
        for key, (show, number) in seasons.items()
        if number >= 0
    ]
    _queries.take_seasons(conn, seasons=json.dumps(wanted))
    return sum(row["is_new"] for row in rows)


def note_overwritten(conn: Connection, digests: Mapping[UUID, str], since: datetime, *, links: bool = False) -> int:
    """Make rows due whose published keys another writer has changed; returns their number.

    `since` is a time of the catalogue before the digests were read.
    """
    query = _queries.note_overwritten_links if links else _queries.note_overwritten
    return len(list(query(conn, ids=list(digests), digests=list(digests.values()), since=since)))


def known_assets(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Those of these rows that were taken."""
    return {row["id"] for row in _queries.known_assets(conn, ids=list(ids))}


def follow_object(conn: Connection, asset: TakenAsset) -> bool:
    """Let a photo follow its row to another original; True when its original is to be read again.

    A row that shares another row's photo leaves it, and gets a photo of its own.
    """
    if asset.id != asset.photo_id:
        _queries.leave_photo(conn, asset_id=asset.id)
        return False
    _queries.leave_object(conn, photo_id=asset.photo_id)
    return bool(_queries.follow_object(conn, photo_id=asset.photo_id))


def remove_photo(conn: Connection, photo_id: UUID) -> None:
    """Remove a photo that the application has deleted; its derivatives are retired, its original is not ours."""
    _queries.retire_variants(conn, photo_id=photo_id)
    _queries.remove_photo(conn, photo_id=photo_id)


def share_objects(conn: Connection) -> list[UUID]:
    """Let rows share the photo of another row with the same object; returns those that did not before."""
    rows = list(_queries.share_objects(conn))
    photos.renew_link_crops(conn, sorted({row["photo_id"] for row in rows}))
    return [row["id"] for row in rows]


def unplaced(conn: Connection, *, with_mirror: bool = False) -> list[tuple[UUID, str]]:
    """Id and source of rows that need a photo, those of the largest galleries first.

    `with_mirror` includes rows without an original that have a source URL.
    """
    return [(row["id"], row["source"]) for row in _queries.unplaced(conn, with_mirror=with_mirror)]


def place(conn: Connection, source: str, ids: Sequence[UUID], day: date, lane: Lane) -> list[UUID]:
    """Make photos for rows of one source, under their ids, in batches of the day; returns the rows that got one."""
    imports.lock_source(conn, source)
    batch_keys = imports.reserve(conn, source, day, lane, len(ids))
    return [row["id"] for row in _queries.place(conn, ids=list(ids), batch_keys=batch_keys, lane=lane)]


def links_to_put(conn: Connection, asset_ids: Sequence[UUID] | None, after: UUID | None, limit: int) -> list[UUID]:
    """Links of these rows, or of all, whose photo is known and that the catalogue lacks, in order of their ids."""
    ids = None if asset_ids is None else list(asset_ids)
    return [row["id"] for row in _queries.links_to_put(conn, asset_ids=ids, after=after, limit=limit)]


def put_links(conn: Connection, link_ids: Sequence[UUID]) -> int:
    """Make or update links of the catalogue for links of the application; returns the number of rows written."""
    _queries.remove_hidden_links(conn, link_ids=list(link_ids))
    rows = list(_queries.put_links(conn, link_ids=list(link_ids)))
    photos.renew_link_crops(conn, sorted({row["media_asset_id"] for row in rows}))
    return len(rows)


def link_intents(conn: Connection, link_ids: Sequence[UUID]) -> list[LinkIntent]:
    """Crop and seed of these links in the application, without links that were edited here since."""
    return [
        LinkIntent(row["id"], _crop_of(row), row["facebank_seed"], row["person_id"], row["own_seed"])
        for row in _queries.link_intents(conn, link_ids=list(link_ids))
    ]


def render_crops(conn: Connection, photo_ids: Iterable[UUID]) -> None:
    """Render what rows of the application ask for: the crop of one of these photos has changed."""
    ids = list(photo_ids)
    photos.sign_crops(conn, ids)
    _queries.render_crops(conn, photo_ids=ids)


def want(conn: Connection, asset_ids: Iterable[UUID]) -> None:
    """Publish these rows again: their readers should see something else."""
    _queries.want(conn, asset_ids=list(asset_ids))


def want_of_links(conn: Connection, link_ids: Iterable[UUID]) -> None:
    """Publish the rows of these links again."""
    _queries.want_of_links(conn, link_ids=list(link_ids))


def mark_edited(conn: Connection, link_id: UUID) -> None:
    """A link was edited here: the bridge writes the change to the application. Other links are left alone."""
    _queries.mark_edited(conn, link_id=link_id)


def edited(conn: Connection, limit: int) -> list[EditedLink]:
    """Links that were edited here and not written back."""
    return [
        EditedLink(
            row["id"],
            row["asset_id"],
            row["facebank_seed"],
            row["has_other_seed"],
            _crop_of(row),
            row["has_other_crop"],
        )
        for row in _queries.edited(conn, limit=limit)
    ]


def written_back(conn: Connection, link: EditedLink) -> None:
    """Record that the application has this crop and seed."""
    crop = asdict(link.crop) if link.crop else {"mode": None, "x": None, "y": None, "zoom": None}
    values = {f"crop_{name}": value for name, value in crop.items()}
    _queries.written_back(conn, link_id=link.id, facebank_seed=link.facebank_seed, **values)


def due(
    conn: Connection, limit: int, *, batch: str | None = None, asset_ids: Sequence[UUID] | None = None
) -> list[UUID]:
    """Rows to publish whose photo is rendered, of a batch, of these ids, or of all."""
    ids = None if asset_ids is None else list(asset_ids)
    return [row["id"] for row in _queries.due(conn, limit=limit, batch=batch, asset_ids=ids)]


def to_publish(conn: Connection, asset_id: UUID) -> PublishableAsset | None:
    """What to publish for a row; None when it has no photo."""
    row = _queries.asset_to_publish(conn, asset_id=asset_id)
    if row is None:
        return None
    files = tuple(
        PublishableFile(
            **{name: file[name] for name in PublishableFile.__dataclass_fields__ if name not in ("crop",)},
            crop=_crop_of(file) if file["crop_signature"] else None,
        )
        for file in _queries.files_to_publish(conn, photo_id=row["photo_id"])
    )
    links = tuple(
        PublishableLink(link["id"], _crop_of(link), link["is_published"])
        for link in _queries.links_to_publish(conn, asset_id=asset_id)
    )
    return PublishableAsset(
        row["id"],
        row["origin"],
        row["photo_id"],
        row["wanted_version"],
        tuple(row["published_sets"]),
        row["has_rows"],
        _crop_of(row),
        files,
        links,
        _distinct(_queries.shared_crops(conn, photo_id=row["photo_id"])) if row["has_rows"] else (),
        row_as(MirroredOriginal, _queries.mirrored_original(conn, asset_id=asset_id)),
    )


def keep_before(conn: Connection, asset_id: UUID, before: Mapping[str, Any]) -> None:
    """Record what stood in the application before our first write."""
    _queries.keep_before(conn, asset_id=asset_id, before=json.dumps(before))


def published(
    conn: Connection, asset_id: UUID, version: int, digest: str, sets: Iterable[str], links: Mapping[UUID, str | None]
) -> None:
    """Record a publication: the digest of the published keys of the row and of each link (None: none of ours)."""
    _queries.published(conn, asset_id=asset_id, version=version, digest=digest, sets=sorted(sets))
    _queries.published_links(conn, ids=list(links), digests=list(links.values()))


def not_published(conn: Connection, asset_id: UUID, problem: str) -> None:
    """Record a failed publication, which is tried again later."""
    _queries.not_published(conn, asset_id=asset_id, problem=problem[:500])


def before_of(conn: Connection, asset_id: UUID) -> dict[str, Any] | None:
    """What stood in the application before our first write; None while nothing was written."""
    before: dict[str, Any] | None = _queries.before_of(conn, asset_id=asset_id)
    return before


def published_page(
    conn: Connection, after: UUID | None, limit: int
) -> list[tuple[UUID, str, dict[str, Any], str | None]]:
    """Rows with publications: id, table, what stood there before, and the key of the photo's original."""
    rows = _queries.published_page(conn, after=after, limit=limit)
    return [(row["id"], row["origin"], row["before"], row["hosted_key"]) for row in rows]


def withdrawn_page(conn: Connection, limit: int) -> list[tuple[UUID, str, dict[str, Any]]]:
    """Published rows whose photo is gone: id, table, and what stood there before."""
    return [(row["id"], row["origin"], row["before"]) for row in _queries.withdrawn_page(conn, limit=limit)]


def taken_back(conn: Connection, asset_id: UUID) -> None:
    """Record that the application has again what stood there before."""
    _queries.taken_back(conn, asset_id=asset_id)


def known_ids(conn: Connection, table: str, after: UUID | None, limit: int) -> list[UUID]:
    """Ids of `media_assets`, `cast_photos` or `media_links` that are known, in order."""
    return [row["id"] for row in _queries.known_ids(conn, table_name=table, after=after, limit=limit)]


def forget_links(conn: Connection, ids: Sequence[UUID]) -> None:
    """Remove links that the application has deleted."""
    _queries.forget_links(conn, ids=list(ids))


def forget_assets(conn: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Remove rows that the application has deleted; returns the photos that no row names any more."""
    return [row["photo_id"] for row in _queries.forget_assets(conn, ids=list(ids))]


def numbers(conn: Connection) -> Numbers:
    """Counts of everything that is known of the application."""
    counted = row_as(Numbers, _queries.numbers(conn))
    assert counted is not None
    return counted


def batch_numbers(conn: Connection, batch: str) -> BatchNumbers:
    """Counts of the rows whose photo is in this batch."""
    counted = row_as(BatchNumbers, _queries.batch_numbers(conn, batch=batch))
    assert counted is not None
    return counted


def published_sample(conn: Connection, batch: str | None, limit: int) -> list[PublishedAsset]:
    """Published rows without open changes, of a batch or of all, at most `limit`."""
    return rows_as(PublishedAsset, _queries.published_sample(conn, batch=batch, limit=limit))


def problems(conn: Connection) -> dict[str, int]:
    """Why rows were not published, with their number."""
    return {row["problem"]: row["rows"] for row in _queries.problems(conn)}


def state(conn: Connection, name: str) -> Any:
    """A value that the bridge keeps; None when it was never set."""
    return _queries.state(conn, name=name)


def set_state(conn: Connection, name: str, value: Any) -> None:
    """Keep a value, as JSON."""
    _queries.set_state(conn, name=name, value=json.dumps(value))


def try_lock(conn: Connection) -> bool:
    """Take the lock of the bridge, to the end of the transaction; False when another holds it."""
    return bool(_queries.try_lock(conn))


def photo_of(conn: Connection, asset_id: UUID, origin: str) -> UUID | None:
    """The photo of a row of a table of the application; None for an unknown row, or one without a photo."""
    photo_id: UUID | None = _queries.photo_of(conn, asset_id=asset_id, origin=origin)
    return photo_id


def now(conn: Connection) -> datetime:
    """The catalogue's time."""
    moment: datetime = _queries.now(conn)
    return moment.astimezone(UTC)


def _crop_of(row: Mapping[str, Any]) -> CropIntent | None:
    if row["crop_mode"] is None:
        return None
    return CropIntent(row["crop_mode"], float(row["crop_x"]), float(row["crop_y"]), float(row["crop_zoom"]))


def _distinct(rows: Iterable[Mapping[str, Any]]) -> tuple[CropIntent, ...]:
    return tuple(dict.fromkeys(crop for row in rows if (crop := _crop_of(row)) is not None))


def _json(rows: Sequence[AssetRow] | Sequence[LinkRow]) -> str:
    return json.dumps([_flat(asdict(row)) for row in rows], default=str)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    crop = row.pop("crop") or {"mode": None, "x": None, "y": None, "zoom": None}
    return {**row, **{f"crop_{name}": value for name, value in crop.items()}}
