"""One photo for administrators: its rows, and why each of its URLs is served.

Which files are served is decided in `pipeline.galleries.served_files`; this module explains the choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel

from trr_pipelines.catalogue import photo_detail
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.photo_detail import PhotoDetail, PhotoLink, PhotoRows, PhotoVariant
from trr_pipelines.errors import NotFoundError
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.galleries.served_files import ServedFiles, choose_served_files
from trr_pipelines.web.photo_payloads import (
    Asset,
    ExplainedOriginal,
    Explanation,
    LastError,
    LedgerEntry,
    Link,
    ServedUrl,
    ShownCrop,
    VariantFile,
    VariantSet,
    Version,
)

Model = TypeVar("Model", bound=BaseModel)

SetKind = Literal["base", "crop"]

OriginalUrl = Callable[[PhotoDetail], str | None]
"""The URL at which a photo's original can be read now; it may be signed. None without an original."""

_RECIPES: dict[str, str] = {"base": BASE.fingerprint, "crop": CROP.fingerprint}


def read_photo(database: Database, photo_id: UUID, original_url: OriginalUrl) -> Asset:
    """A photo with its links, served URLs and work. Raises NotFoundError."""
    rows = _rows(database, photo_id, original_url)
    photo, served = rows.photo, _served(rows)
    return Asset(
        id=photo.id,
        source=photo.source,
        source_url=shown_url(photo.source_url),
        batch_key=photo.batch_key,
        state=photo.state,
        reason=photo.reason,
        sha256=photo.sha256,
        bytes=photo.bytes,
        width=photo.width,
        height=photo.height,
        format=photo.format,
        frames=photo.frames,
        placeholder=photo.placeholder,
        dominant_color=photo.dominant_color,
        warnings=photo.warnings,
        created_at=photo.created_at,
        updated_at=photo.updated_at,
        is_external=photo.is_external,
        original_url=photo.hosted_url,
        display_url=served["display_url"],
        detail_url=served["detail_url"],
        crop_display_url=served["crop_display_url"],
        crop_detail_url=served["crop_detail_url"],
        crop=_crop(photo),
        links=[_link(rows, link) for link in rows.links],
        generations=[_as(LedgerEntry, work) for work in rows.generations],
        versions=[_as(Version, version) for version in rows.versions],
    )


def explain_photo(database: Database, photo_id: UUID, original_url: OriginalUrl) -> Explanation:
    """Why each URL of a photo is served. Raises NotFoundError."""
    rows = _rows(database, photo_id, original_url)
    photo, served = rows.photo, _served(rows)
    return Explanation(
        media_asset_id=photo.id,
        state=photo.state,
        reason=photo.reason,
        original=ExplainedOriginal(
            source=photo.source,
            source_url=shown_url(photo.source_url),
            sha256=photo.sha256,
            bytes=photo.bytes,
            width=photo.width,
            height=photo.height,
            format=photo.format,
            url=photo.hosted_url,
            unfit_to_be_shown=photo.original_unfit,
            warnings=photo.warnings,
        ),
        served={
            "display_url": _base_url(rows, served["display_url"], "card"),
            "detail_url": _base_url(rows, served["detail_url"], "detail"),
            "crop_display_url": _crop_url(rows, served["crop_display_url"], "crop_card"),
            "crop_detail_url": _crop_url(rows, served["crop_detail_url"], "crop_detail"),
        },
        crop=_crop(photo),
        sets=_sets(rows),
        generations=[_as(LedgerEntry, work) for work in rows.generations],
        last_error=_last_error(rows),
        current_recipes=_RECIPES,
        versions=[_as(Version, version) for version in rows.versions],
    )


def _as(model: type[Model], row: object) -> Model:
    """A catalogue row as the payload that has the same names."""
    return model.model_validate(row, from_attributes=True)


def _rows(database: Database, photo_id: UUID, original_url: OriginalUrl) -> PhotoRows:
    """The rows of the photo, with the URL at which its original can be read now."""
    rows = database.read(lambda conn: photo_detail.photo_rows(conn, photo_id))
    if rows is None:
        raise NotFoundError(f"no photo {photo_id}")
    return replace(rows, photo=replace(rows.photo, hosted_url=original_url(rows.photo)))


def _served(rows: PhotoRows) -> ServedFiles:
    """The files that a gallery serves of this photo with its active crop."""
    return _chosen(rows, rows.photo, _served_crop(rows))


def _served_crop(rows: PhotoRows) -> str:
    return next((work.served for work in rows.generations if work.kind == "crop"), "")


def _chosen(rows: PhotoRows, photo: PhotoDetail, served_crop: str) -> ServedFiles:
    files = [row for row in rows.variants if row.superseded_at is None and row.crop_signature in ("", served_crop)]
    return choose_served_files(photo, files, original_url=photo.hosted_url)


def _link(rows: PhotoRows, link: PhotoLink) -> Link:
    """A gallery of the photo with the crop that it shows, as `queries/galleries.sql` chooses it."""
    shown, active_set = rows.photo, "" if link.is_external else _served_crop(rows)
    if link.is_external or link.crop_mode is not None:
        own = {name: getattr(link, name) for name in ("crop_mode", "crop_x", "crop_y", "crop_zoom", "crop_signature")}
        shown = replace(rows.photo, **own)
    served = _chosen(rows, shown, (link.served_crop or active_set) if link.crop_mode is not None else active_set)
    names = ("link_id", "kind", "caption", "tags", "position", "facebank_seed")
    place = ("show_id", "title", "season", "person_id", "full_name")
    return Link(
        **{name: getattr(link, name) for name in (*names, *place)},
        has_own_crop=link.is_external or link.crop_mode is not None,
        crop=_crop(shown),
        crop_display_url=served["crop_display_url"],
        crop_detail_url=served["crop_detail_url"],
    )


def _crop(photo: PhotoDetail) -> ShownCrop | None:
    if photo.crop_signature is None or photo.crop_x is None or photo.crop_y is None or photo.crop_zoom is None:
        return None
    return ShownCrop(
        mode=photo.crop_mode,
        x=float(photo.crop_x),
        y=float(photo.crop_y),
        zoom=float(photo.crop_zoom),
        signature=photo.crop_signature,
    )


def _base_url(rows: PhotoRows, url: str | None, key: str) -> ServedUrl:
    return ServedUrl(url=url, why=_why_base(rows, url, key))


def _crop_url(rows: PhotoRows, url: str | None, key: str) -> ServedUrl:
    return ServedUrl(url=url, why=_why_crop(rows, url, key))


def _why_base(rows: PhotoRows, url: str | None, key: str) -> str:
    file = _file(rows, url)
    if file is not None:
        return f"the smallest {key} of the base set: {_describe_file(file, 'base')}"
    if url is None:
        return f"no original: {_describe_work(rows, 'original')}"
    if any(row.variant_key == key and row.superseded_at is None for row in rows.variants):
        return f"the original: every {key} is bigger than its {rows.photo.bytes:,} bytes"
    return f"the original, because there is no base set: {_describe_work(rows, 'base')}"


def _why_crop(rows: PhotoRows, url: str | None, key: str) -> str:
    file, active = _file(rows, url), rows.photo.crop_signature
    if file is not None:
        why = f"the smallest {file.variant_key} of crop {file.crop_signature}: {_describe_file(file, 'crop')}"
        if file.crop_signature == active:
            return why
        return f"{why}; the active crop {active} is not rendered yet: {_describe_work(rows, 'crop')}"
    if active is None:
        return "no crop is active"
    served = [row for row in rows.variants if row.variant_key == key and row.superseded_at is None]
    if not served:
        return f"there is no crop set: {_describe_work(rows, 'crop')}"
    base = {row.source_version for row in rows.variants if not row.crop_signature and not row.superseded_at}
    if base and served[0].source_version not in base:
        return "the crop set was made of another original than the base set"
    return f"every {key} is bigger than the original, which has {rows.photo.bytes:,} bytes"


def _file(rows: PhotoRows, url: str | None) -> PhotoVariant | None:
    return next((row for row in rows.variants if row.hosted_url == url), None)


def _describe_file(file: PhotoVariant, kind: SetKind) -> str:
    recipe = "the present recipe" if file.recipe == _RECIPES[kind] else "an earlier recipe"
    return f"{file.format}, {file.bytes:,} bytes, made by {recipe} ({file.recipe})"


def _describe_work(rows: PhotoRows, kind: str) -> str:
    work = next((row for row in rows.generations if row.kind == kind), None)
    if work is None:
        return f"{kind} has not begun"
    if work.state != "failed":
        return f"{kind} is {work.state}"
    retry = "is tried again" if work.next_attempt_at else "has ended"
    return f"{kind} failed ({work.reason}) after {work.attempts} attempts and {retry}"


def _sets(rows: PhotoRows) -> list[VariantSet]:
    """The files of the photo by set, served ones first."""
    sets: dict[tuple[bool, str, str, str], VariantSet] = {}
    for row in rows.variants:
        kind: SetKind = "crop" if row.crop_signature else "base"
        identity = (row.superseded_at is not None, row.crop_signature, row.recipe, row.source_version)
        payload = sets.setdefault(
            identity,
            VariantSet(
                kind=kind,
                signature=row.crop_signature or None,
                recipe=row.recipe,
                is_current_recipe=row.recipe == _RECIPES[kind],
                source_version=row.source_version,
                is_current_original=row.source_version == rows.photo.sha256,
                superseded_at=row.superseded_at,
                files=[],
            ),
        )
        payload.files.append(_as(VariantFile, row))
    return list(sets.values())


def _last_error(rows: PhotoRows) -> LastError | None:
    failed = [row for row in rows.generations if row.state == "failed"]
    if not failed:
        return None
    last = max(failed, key=lambda row: row.updated_at)
    return _as(LastError, last)
