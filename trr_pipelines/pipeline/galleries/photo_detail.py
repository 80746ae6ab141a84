"""One photo as administrators see it, and why each of its URLs is the one that is served.

Which file stands for a photo is `pipeline.delivery`'s; here it is asked, and its answer put into words.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import photo_detail
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.photo_detail import AssetRows
from trr_pipelines.errors import NotFoundError
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.galleries.served_files import delivered

Row = dict[str, Any]

_BASE_URLS = {"display_url": "card", "detail_url": "detail"}
_CROP_URLS = {"crop_display_url": "crop_card", "crop_detail_url": "crop_detail"}
_RECIPES = {"base": BASE.fingerprint, "crop": CROP.fingerprint}


def read_asset(database: Database, photo_id: UUID) -> Row:
    """A photo with its links, the URLs that are served of it and the state of its work. Raises NotFoundError."""
    rows = _rows(database, photo_id)
    photo = rows.photo
    return {
        **{name: photo[name] for name in _COPIED},
        "original_url": photo["hosted_url"],
        **{name: url for name, url in _delivered(rows).items() if name in (*_BASE_URLS, *_CROP_URLS)},
        "crop": _crop(photo),
        "links": rows.links,
        "generations": rows.generations,
        "versions": [_version(version) for version in rows.versions],
    }


def explain_asset(database: Database, photo_id: UUID) -> Row:
    """Why each URL of a photo is what it is: original, sets with recipe and signature, runs, attempts, last error.

    Raises NotFoundError.
    """
    rows = _rows(database, photo_id)
    photo, urls = rows.photo, _delivered(rows)
    served = {name: {"url": urls[name], "why": _why_base(rows, urls[name], key)} for name, key in _BASE_URLS.items()}
    served |= {name: {"url": urls[name], "why": _why_crop(rows, urls[name], key)} for name, key in _CROP_URLS.items()}
    return {
        "media_asset_id": photo["id"],
        "state": photo["state"],
        "reason": photo["reason"],
        "original": {
            **{name: photo[name] for name in ("source", "source_url", "sha256", "bytes", "width", "height", "format")},
            "url": photo["hosted_url"],
            "unfit_to_be_shown": photo["original_unfit"],
            "warnings": photo["warnings"],
        },
        "served": served,
        "crop": _crop(photo),
        "sets": _sets(rows),
        "generations": rows.generations,
        "last_error": _last_error(rows),
        "current_recipes": _RECIPES,
        "versions": [_version(version) for version in rows.versions],
    }


_COPIED = (
    "id", "source", "source_url", "batch_key", "state", "reason", "sha256", "bytes", "width", "height", "format",
    "frames", "placeholder", "dominant_color", "warnings", "created_at", "updated_at",
)  # fmt: skip


def _rows(database: Database, photo_id: UUID) -> AssetRows:
    def read(conn: Connection) -> AssetRows:
        rows = photo_detail.asset(conn, photo_id)
        if rows is None:
            raise NotFoundError(f"no photo {photo_id}")
        return rows

    return database.read(read)


def _delivered(rows: AssetRows) -> Row:
    """What a gallery would name of this photo."""
    served = next((work["served"] for work in rows.generations if work["kind"] == "crop"), "")
    wanted = ("", served)
    files = [row for row in rows.variants if row["superseded_at"] is None and row["crop_signature"] in wanted]
    return delivered(rows.photo, files)


def _crop(photo: Row) -> Row | None:
    if photo["crop_signature"] is None:
        return None
    numbers = {name: float(photo[f"crop_{name}"]) for name in ("x", "y", "zoom")}
    return {"mode": photo["crop_mode"], **numbers, "signature": photo["crop_signature"]}


def _version(version: Row) -> Row:
    return {name: value for name, value in version.items() if name != "hosted_key"}


def _why_base(rows: AssetRows, url: str | None, key: str) -> str:
    file = _file(rows, url)
    if file is not None:
        return f"the smallest {key} of the base set: {_told(file, 'base')}"
    if url is None:
        return f"no original: {_work_told(rows, 'original')}"
    if any(row["variant_key"] == key and row["superseded_at"] is None for row in rows.variants):
        return f"the original: every {key} is bigger than its {rows.photo['bytes']:,} bytes"
    return f"the original, because no base set stands: {_work_told(rows, 'base')}"


def _why_crop(rows: AssetRows, url: str | None, key: str) -> str:
    file, active = _file(rows, url), rows.photo["crop_signature"]
    if file is not None:
        told = f"the smallest {file['variant_key']} of crop {file['crop_signature']}: {_told(file, 'crop')}"
        if file["crop_signature"] == active:
            return told
        return f"{told}; the active crop {active} is not rendered yet: {_work_told(rows, 'crop')}"
    if active is None:
        return "no crop is active"
    served = [row for row in rows.variants if row["variant_key"] == key and row["superseded_at"] is None]
    if not served:
        return f"no crop set stands: {_work_told(rows, 'crop')}"
    base = {row["source_version"] for row in rows.variants if not row["crop_signature"] and not row["superseded_at"]}
    if base and served[0]["source_version"] not in base:
        return "the crop set that stands was made of another original than the base set"
    return f"every {key} is bigger than the original, which has {rows.photo['bytes']:,} bytes"


def _file(rows: AssetRows, url: str | None) -> Row | None:
    return next((row for row in rows.variants if row["hosted_url"] == url), None)


def _told(file: Row, kind: str) -> str:
    recipe = "the present recipe" if file["recipe"] == _RECIPES[kind] else "an earlier recipe"
    return f"{file['format']}, {file['bytes']:,} bytes, made by {recipe} ({file['recipe']})"


def _work_told(rows: AssetRows, kind: str) -> str:
    """How far the work of a kind is, in words."""
    work = next((row for row in rows.generations if row["kind"] == kind), None)
    if work is None:
        return f"{kind} has not begun"
    if work["state"] != "failed":
        return f"{kind} is {work['state']}"
    again = "is tried again" if work["next_attempt_at"] else "has ended"
    return f"{kind} failed ({work['reason']}) after {work['attempts']} attempts and {again}"


def _sets(rows: AssetRows) -> list[Row]:
    """The files of the photo by the set that they belong to, those that are served first."""
    sets: dict[tuple[Any, ...], Row] = {}
    for row in rows.variants:
        kind = "crop" if row["crop_signature"] else "base"
        identity = (row["superseded_at"] is not None, row["crop_signature"], row["recipe"], row["source_version"])
        found = sets.setdefault(
            identity,
            {
                "kind": kind,
                "signature": row["crop_signature"] or None,
                "recipe": row["recipe"],
                "is_current_recipe": row["recipe"] == _RECIPES[kind],
                "source_version": row["source_version"],
                "is_current_original": row["source_version"] == rows.photo["sha256"],
                "superseded_at": row["superseded_at"],
                "files": [],
            },
        )
        found["files"].append({name: row[name] for name in _FILE})
    return list(sets.values())


_FILE = ("variant_key", "format", "width", "height", "bytes", "sha256", "hosted_key", "hosted_url", "created_at")


def _last_error(rows: AssetRows) -> Row | None:
    failed = [row for row in rows.generations if row["state"] == "failed"]
    if not failed:
        return None
    last = max(failed, key=lambda row: row["updated_at"])
    return {name: last[name] for name in ("kind", "reason", "detail", "attempts", "run_id", "next_attempt_at")}
