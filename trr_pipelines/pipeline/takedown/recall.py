"""Takedowns that a restored catalogue does not know: their photos are taken down again, by the records of the store."""

from __future__ import annotations

import logging

from trr_pipelines.catalogue import takedowns
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.errors import MediaError
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.finishing import PHOTOS_AT_ONCE
from trr_pipelines.pipeline.takedown.records import recorded_takedowns
from trr_pipelines.pipeline.takedown.rows import remove_rows

logger = logging.getLogger(__name__)

AUTHOR = Author("restored catalogue", "takedown")


def follow_store(archive: Archive) -> None:
    """Advance the catalogue's epoch; with a store that is ahead of the catalogue, repeat the takedowns that it records.

    Every run begins with this, before it fetches or renders anything. A store that fails is left to the work that needs
    it.
    """
    try:
        if not epochs.advance(archive):
            repeat_takedowns(archive)
    except MediaError as error:
        logger.warning("the epoch of the catalogue was not recorded in the store: %s", error)


def repeat_takedowns(archive: Archive) -> int:
    """Take down every photo of this catalogue that the store has a takedown of; returns their number.

    Their objects are deleted by `finishing`, as those of any takedown. Raises RetryableError when the store fails.
    """
    record = recorded_takedowns(archive)
    photo_ids = archive.database.run(lambda conn: takedowns.photos_of_record(conn, record))
    for start in range(0, len(photo_ids), PHOTOS_AT_ONCE):
        remove_rows(archive, photo_ids[start : start + PHOTOS_AT_ONCE], AUTHOR)
    archive.database.run(lambda conn: takedowns.adopt(conn, record))
    return len(photo_ids)
