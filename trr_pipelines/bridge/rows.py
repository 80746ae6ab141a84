"""Rows of the application as the catalogue keeps them: what matters of each, and digests by which changes are found."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow

from trr_pipelines.bridge.vocabulary import digest_of, intent_of, kind_of, source_of
from trr_pipelines.catalogue.application import AssetRow, LinkRow

MAX_TEXT: Final = 2_000
"""Characters of a caption or tag that are kept."""


def asset_row(row: DictRow, bucket: str) -> AssetRow:
    """A row of the application; one that names no bucket means `bucket`."""
    crop = intent_of(row["intent"])
    is_left_out = row["media_type"] != "image" or row["is_archived"]
    key = row["hosted_key"] or None
    # The etag and the time say that new bytes were put under an old key; the recorded hash may be wrong.
    names_object = (row["hosted_bucket"], key, row["hosted_etag"], _moment(row["hosted_at"]))
    source = source_of(row["source"])
    others = (source, row["source_url"], row["hosted_url"], is_left_out, crop and asdict(crop))
    return AssetRow(
        id=row["id"],
        origin=row.get("origin", "media_assets"),
        source=source,
        source_url=row["source_url"] or None,
        hosted_bucket=None if key is None else row["hosted_bucket"] or bucket,
        hosted_key=key,
        hosted_url=row["hosted_url"] or None,
        is_left_out=is_left_out,
        crop=crop,
        digest=digest_of(names_object, others),
        object_digest=digest_of(names_object),
    )


def _moment(value: datetime | str | None) -> str | None:
    """A time in UTC, whatever the time zone of the connection; a column of the legacy table reads as text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return None if moment is None else moment.astimezone(UTC).isoformat()


def link_row(row: DictRow) -> LinkRow:
    """A link of the application; a link of an episode is one of its season."""
    kind, entity_id = row["entity_type"], row["entity_id"]
    tags = row["tags"] if isinstance(row["tags"], list) else []
    caption = row["caption"] if isinstance(row["caption"], str) else ""
    crop = intent_of(row["intent"])
    values: dict[str, Any] = {
        "asset_id": row["asset_id"],
        "show_id": entity_id if kind == "show" else None,
        "season_id": entity_id if kind in ("season", "episode") else None,
        "person_id": entity_id if kind == "person" else None,
        "kind": kind_of(row["kind"]),
        "position": row["position"],
        "is_primary": bool(row["is_primary"]),
        "is_hidden": row["gallery_status"] == "broken_unreachable",
        "caption": _text(caption),
        "tags": tuple(dict.fromkeys(_text(tag) for tag in tags if isinstance(tag, str))),
        "facebank_seed": bool(row["facebank_seed"]),
    }
    digest = digest_of({**values, "crop": crop and asdict(crop)})
    return LinkRow(id=row["id"], crop=crop, digest=digest, **values)


def _text(text: str) -> str:
    return text.replace("\0", "")[:MAX_TEXT]
