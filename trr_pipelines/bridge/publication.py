"""What readers of the application should find for a photo, as a value: pure, so that it can be compared and tested.

`publication_of` decides it from the catalogue; `kept_before` collects what it replaces, `restored` undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from trr_pipelines.bridge.vocabulary import (
    ACTIVE_SIGNATURE,
    BASE_SET,
    CARD_KEYS,
    CROP_KEYS,
    FORMATS,
    LINK_KEYS,
    set_name,
)
from trr_pipelines.catalogue.application import CropIntent, MirroredOriginal, PublishableAsset, PublishableFile
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.recipes import BASE, CROP

Json = dict[str, Any]

_BASE_KEYS = frozenset(target.key for target in BASE.targets)
_CROP_KEYS = frozenset(target.key for target in CROP.targets)


@dataclass(frozen=True)
class Publication:
    """The keys and rows to write for one row of the application.

    `sets` are complete, by name; `dropped` sets were published earlier and are not wanted any more. `keys` and
    `removed` are flat keys of metadata. `link_keys` has the keys of each link's context; `cleared_links` had some and
    get back what they had before. Rows are those of the table of variants.
    """

    sets: Mapping[str, Json]
    dropped: frozenset[str]
    keys: Mapping[str, str]
    removed: tuple[str, ...]
    link_keys: Mapping[UUID, Mapping[str, str]]
    cleared_links: tuple[UUID, ...]
    rows: tuple[Json, ...] = ()
    hosting: Json | None = None

    @property
    def row_sets(self) -> frozenset[str]:
        """The sets of the rows: those of every row of the application that shares the photo."""
        return frozenset(row["crop_signature"] for row in self.rows)


@dataclass
class Restoration:
    """What undoes a publication, in the parameters of the statements in `publishing.sql`."""

    keys: Json = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    sets: Json = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


def publication_of(asset: PublishableAsset) -> Publication | None:
    """What to publish for a row; None without a complete base set.

    A crop whose files are not complete yet changes nothing: what was published before stays.
    """
    by_set = _files_by_set(asset.files)
    base = by_set.get(BASE_SET)
    if base is None:
        return None
    wanted = {set_name(crop) for crop in (asset.crop, *(link.crop for link in asset.links)) if crop is not None}
    complete = {name: by_set[name] for name in wanted if name in by_set}
    shared = {name: by_set[name] for name in map(set_name, asset.shared_crops) if name in by_set}
    of_rows = {BASE_SET: base, **complete, **shared} if asset.has_rows else {}
    sets = {name: _set_json(files) for name, files in {BASE_SET: base, **complete}.items()}
    is_waiting = len(complete) < len(wanted)
    keys = {key: url for key, rendition in CARD_KEYS.items() if (url := _best(sets[BASE_SET], rendition))}
    removed: tuple[str, ...] = ()
    if asset.crop is None:
        removed = LINK_KEYS
    elif set_name(asset.crop) in complete:
        keys |= _crop_keys(asset.crop, sets)
    link_keys = {
        link.id: _crop_keys(link.crop, sets)
        for link in asset.links
        if link.crop is not None and set_name(link.crop) in complete
    }
    return Publication(
        sets=sets,
        dropped=frozenset() if is_waiting else frozenset(asset.published_sets) - set(sets) - set(of_rows),
        keys=keys,
        removed=removed,
        link_keys=link_keys,
        cleared_links=tuple(link.id for link in asset.links if link.crop is None and link.is_published),
        rows=tuple(_row(file, name) for name, files in of_rows.items() for file in files),
        hosting=None if asset.mirrored is None else _hosting(asset.mirrored),
    )


def _hosting(original: MirroredOriginal) -> Json:
    return {
        "hosted_bucket": original.hosted_bucket,
        "hosted_key": original.hosted_key,
        "hosted_url": original.hosted_url,
        "hosted_sha256": original.sha256,
        "hosted_content_type": FILE_TYPES[original.format].content_type,
        "hosted_bytes": original.bytes,
        "ingest_status": "hosted",
    }


def _files_by_set(files: Sequence[PublishableFile]) -> dict[str, list[PublishableFile]]:
    """The files that readers there know, of every complete set, by the set's name."""
    known = [file for file in files if file.format in FORMATS]
    base = [file for file in known if not file.crop_signature]
    if {file.variant_key for file in base} != _BASE_KEYS:
        return {}
    sets = {BASE_SET: base}
    of_crops: dict[str, list[PublishableFile]] = {}
    for file in known:
        # After a replacement of the original, sets of the old one are no answer to the crop any more.
        if file.crop is not None and file.source_version == base[0].source_version:
            of_crops.setdefault(set_name(file.crop), []).append(file)
    return sets | {name: of for name, of in of_crops.items() if {file.variant_key for file in of} == _CROP_KEYS}


def _set_json(files: Iterable[PublishableFile]) -> Json:
    """`{rendition: {format: {url, width, height, bytes}}}`"""
    found: Json = {}
    for file in files:
        found.setdefault(file.variant_key, {})[FORMATS[file.format]] = {
            "url": file.hosted_url,
            "width": file.width,
            "height": file.height,
            "bytes": file.bytes,
        }
    return found


def _best(files: Json, rendition: str) -> str | None:
    """The URL of a rendition: WebP where there is one."""
    formats = files.get(rendition, {})
    chosen = formats.get("webp") or next(iter(formats.values()), None)
    return None if chosen is None else str(chosen["url"])


def _crop_keys(crop: CropIntent, sets: Mapping[str, Json]) -> dict[str, str]:
    name = set_name(crop)
    urls = {key: url for key, rendition in CROP_KEYS.items() if (url := _best(sets[name], rendition))}
    return {**urls, ACTIVE_SIGNATURE: name}


def _row(file: PublishableFile, name: str) -> Json:
    crop = file.crop
    return {
        "variant_key": file.variant_key,
        "format": FORMATS[file.format],
        "width": file.width,
        "height": file.height,
        "bytes": file.bytes,
        "hosted_bucket": file.hosted_bucket,
        "hosted_key": file.hosted_key,
        "hosted_url": file.hosted_url,
        "crop_mode": crop and crop.mode,
        "crop_x": crop and crop.x,
        "crop_y": crop and crop.y,
        "crop_zoom": crop and crop.zoom,
        "crop_signature": name,
    }


def kept_before(
    before: Json | None,
    publication: Publication,
    metadata: Json,
    contexts: Mapping[UUID, Json | None],
    rows: Sequence[Json],
    hosting: Json | None = None,
) -> Json:
    """`before`, with what the publication is the first to replace.

    A value is kept as a list of one, a missing one as an empty list. What was kept earlier stays: it is older.
    """
    variants = metadata.get("variants")
    kept: Json = before or {
        "keys": {},
        "sets": {},
        "had_variants": isinstance(variants, dict),
        "variants": {"variants": variants} if "variants" in metadata and not isinstance(variants, dict) else {},
        "rows": [],
        "row_sets": [],
        "links": {},
    }
    stored_sets = variants if isinstance(variants, dict) else {}
    new_sets = [name for name in publication.sets if name not in kept["sets"]]
    new_row_sets = sorted(publication.row_sets - set(kept["row_sets"]))
    links = dict(kept["links"])
    for link_id, keys in publication.link_keys.items():
        context = contexts.get(link_id)
        link = links.get(str(link_id), {"was_null": context is None, "keys": {}})
        added = {key: _value(context or {}, key) for key in keys if key not in link["keys"]}
        links[str(link_id)] = {**link, "keys": {**link["keys"], **added}}
    flat = (*publication.keys, *publication.removed)
    return {
        **kept,
        "keys": {**{key: _value(metadata, key) for key in flat if key not in kept["keys"]}, **kept["keys"]},
        "sets": {**{name: _value(stored_sets, name) for name in new_sets}, **kept["sets"]},
        "rows": [*kept["rows"], *(row for row in rows if row["crop_signature"] in new_row_sets)],
        "row_sets": [*kept["row_sets"], *new_row_sets],
        **({"hosting": hosting} if publication.hosting and hosting and "hosting" not in kept else {}),
        "links": links,
    }


def restoration(before: Json, names: Iterable[str] | None = None) -> Restoration:
    """What takes back the sets of these names; of None everything, the flat keys included."""
    restored = Restoration()
    if names is None:
        for key, value in before["keys"].items():
            if value:
                restored.keys[key] = value[0]
            else:
                restored.removed.append(key)
    for name in before["sets"] if names is None else names:
        value = before["sets"].get(name, [])
        if value:
            restored.sets[name] = value[0]
        else:
            restored.dropped.append(name)
    return restored


def restored_link(before: Json, link_id: UUID) -> Json:
    """What takes back the keys of a link, as a row of `restore_links`."""
    link = before["links"].get(str(link_id), {"was_null": False, "keys": {key: [] for key in LINK_KEYS}})
    return {
        "id": str(link_id),
        "was_null": link["was_null"],
        "keys": {key: value[0] for key, value in link["keys"].items() if value},
        "removed": [key for key, value in link["keys"].items() if not value],
    }


def _value(values: Mapping[str, Any], key: str) -> list[Any]:
    return [values[key]] if key in values else []
