"""Whether another program has objects in our bucket, which must not be mistaken for ours.

Its originals have keys of the same form as ours, so an object that no row names may be its own. Nothing here reads or
deletes one.
"""

from __future__ import annotations

from trr_pipelines.catalogue import epochs
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.pipeline.archive import Archive


def is_shared(archive: Archive, conn: Connection) -> bool:
    """Whether the application has objects in the store's bucket: by the settings, or by photos with external originals.

    Once it was so, it stays so: the application's objects are still there when its last photo is gone from here.
    """
    return archive.settings.application_db_url is not None or epochs.is_shared(conn, archive.store.bucket)
