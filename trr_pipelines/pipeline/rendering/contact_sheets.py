"""Contact sheets of a batch: its thumbnails, and the photos that save the fewest bytes beside their originals.

A sheet is stored under a hash of its content, so it is drawn once, however often a batch is materialised. Sheets are
optional: when the store is unavailable or an image is damaged (a check reports that), there is no sheet, and the run
goes on.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from trr_pipelines.catalogue import batches, retention
from trr_pipelines.catalogue.batches import LeastSaved
from trr_pipelines.catalogue.database import is_outage
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import SetupError
from trr_pipelines.imaging.contact_sheet import contact_sheet
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.recipes import Recipe, Target
from trr_pipelines.imaging.render import RenderRequest
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.derivatives import own_pool
from trr_pipelines.storage.keys import SHEETS, sheet_keys, sheet_version
from trr_pipelines.storage.store import MissingObjectError, put_exactly, read_original

logger = logging.getLogger(__name__)

INLINE_BYTES = 12_000  # 16 KB as base64: the most an event of Dagster's log should hold
FULL_BYTES = 2_000_000
FULL_THUMBS = 200
INLINE_THUMBS = 32
WORST = 12
# An original, scaled down with little compression. A render process makes it, because originals are untrusted input.
BEFORE = Recipe(
    kind="base", targets=(Target("before", 320, None, 92),), formats=("webp",), transparent_formats=("webp",)
)


@dataclass(frozen=True)
class ContactSheet:
    """A small sheet as a data URI, the URL of the full one, and a title."""

    data_uri: str
    full_url: str
    title: str


def make_contact_sheet(archive: Archive, batch: str, variant_key: str) -> ContactSheet | None:
    """The contact sheet of one rendition key of a batch; None without images."""

    def read() -> list[str]:
        return archive.database.read(lambda conn: batches.rendition_keys(conn, batch, variant_key, FULL_THUMBS))

    keys = read()

    def make() -> tuple[bytes, bytes]:
        thumbs = [archive.store.get(key) for key in keys]
        return (
            contact_sheet(thumbs, cell=160, columns=10, max_bytes=FULL_BYTES),
            contact_sheet(thumbs[:INLINE_THUMBS], cell=64, columns=8, max_bytes=INLINE_BYTES),
        )

    return _stored_sheet(archive, batch, variant_key, f"{len(keys)} photos", read, keys, make)


def make_least_saved_sheet(archive: Archive, batch: str, *, in_background: bool = False) -> ContactSheet | None:
    """The twelve photos whose cards save the fewest bytes: each original beside its card, with both sizes.

    `in_background` scales the originals down in niced processes.
    """

    def read() -> list[LeastSaved]:
        return archive.database.read(lambda conn: batches.least_saved(conn, batch, WORST))

    rows = read()

    def make() -> tuple[bytes, bytes]:
        with own_pool(archive.settings, in_background=in_background) as pool, ThreadPoolExecutor(pool.workers) as reads:
            befores = list(reads.map(partial(_before, archive, pool), rows))
        pictures = [one for before, row in zip(befores, rows, strict=True)
                    for one in (before, archive.store.get(row.card_key))]  # fmt: skip
        labels = [label for number, row in enumerate(rows, 1) for label in _labels(number, row)]
        full = contact_sheet(pictures, cell=240, columns=4, max_bytes=FULL_BYTES, labels=labels)
        return full, contact_sheet(pictures, cell=60, columns=8, max_bytes=INLINE_BYTES, labels=labels)

    title = f"the {len(rows)} photos that save least: original left, card right"
    return _stored_sheet(archive, batch, "least-saved", title, lambda: _keys(read()), _keys(rows), make)


def _keys(rows: list[LeastSaved]) -> list[str]:
    return [key for row in rows for key in (row.hosted_key, row.card_key)]


def _before(archive: Archive, pool: RenderPool, row: LeastSaved) -> bytes:
    data = read_original(archive.store, row.hosted_key, row.external_bucket, max_bytes=MAX_BYTES)
    rendered = pool.render(data, RenderRequest(base=BEFORE, crop_recipe=None), name=str(row.id))
    return rendered.variants[0].data


def _labels(number: int, row: LeastSaved) -> tuple[str, str]:
    return f"{number}: {_size(row.before)}", f"{_size(row.after)} {-100 * row.reduction:+.0f}%"


def _size(count: int) -> str:
    """A size in at most 7 characters: the inline sheet has 60 pixels for it."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"


def _stored_sheet(
    archive: Archive,
    batch: str,
    name: str,
    title: str,
    read_keys: Callable[[], list[str]],
    shown: list[str],
    make: Callable[[], tuple[bytes, bytes]],
) -> ContactSheet | None:
    """The stored sheet of the objects `shown`; if there is none, `make` draws the full and the inline one.

    Earlier sheets of this name are deleted.
    `read_keys` must return the same keys after storing: a photo taken down during that time must be on no sheet.
    """
    if not shown:
        return None
    digest = hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16]
    full_key, inline_key = sheet_keys(batch, name, digest)
    try:
        try:
            inline = archive.store.get(inline_key)
        except MissingObjectError:
            full, inline = make()
            for key, data in ((full_key, full), (inline_key, inline)):
                put_exactly(archive.store, key, data, content_type="image/webp")
            if read_keys() != shown:
                archive.store.delete([full_key, inline_key])
                return None
        _delete_earlier(archive, batch, name, digest)
    except Exception as error:
        if is_outage(error) or isinstance(error, SetupError):
            raise
        # A sheet is optional. Pillow raises many types for damaged files; a check reports these.
        logger.warning("no sheet %s of %s: %s: %s", name, batch, type(error).__name__, error)
        return None
    encoded = base64.b64encode(inline).decode()
    return ContactSheet(f"data:image/webp;base64,{encoded}", archive.store.public_url(full_key), title)


def _delete_earlier(archive: Archive, batch: str, name: str, version: str) -> None:
    """Delete the sheets of this name that this version replaces, and take the version off the removal list."""
    sheets = [item.key for item in archive.store.list(f"{SHEETS}{batch}/{name}-")]
    archive.store.delete(key for key in sheets if sheet_version(key) != (name, version))
    archive.database.run(lambda conn: retention.unlist(conn, archive.store.bucket, sheets))
