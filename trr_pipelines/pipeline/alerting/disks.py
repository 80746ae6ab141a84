"""The disks that must not run full, and what makes one an alert: too little is left, or it fills too fast."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trr_pipelines.catalogue.alerts import DiskSample
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.directory import DirectoryStore

# A file system with fewer inodes than this left is nearly full whatever its size: a photo has a dozen files.
FEW_INODES: Final = 1_000
# A shorter time says nothing about a rate: a batch writes in bursts.
SHORTEST_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Disk:
    """A disk by what it holds: its size and what is free, in bytes and in inodes (None: it has no limit of them)."""

    name: str
    total_bytes: int
    free_bytes: int
    total_inodes: int | None
    free_inodes: int | None

    @property
    def free_percent(self) -> float:
        """The smaller of the free shares of bytes and inodes, in percent."""
        of_bytes = 100 * self.free_bytes / self.total_bytes if self.total_bytes else 0.0
        if self.free_inodes is None or not self.total_inodes:
            return of_bytes
        return min(of_bytes, 100 * self.free_inodes / self.total_inodes)

    @property
    def sample(self) -> DiskSample:
        return DiskSample(self.name, self.free_bytes, self.free_inodes)

    def problems(self, settings: Settings, before: DiskSample | None) -> Iterator[str]:
        """Why this disk is an alert, one line each; `before` is an earlier sample of it."""
        percent = settings.alert_disk_percent
        share = 100 * self.free_bytes / self.total_bytes if self.total_bytes else 0.0
        if share < percent:
            yield f"{share:.1f} % of {self.name} is free (limit {percent:g} %)"
        elif self.free_bytes < settings.alert_disk_bytes:
            yield f"{self.free_bytes:,} bytes of {self.name} are free (limit {settings.alert_disk_bytes:,})"
        if self.free_inodes is not None and self.total_inodes:
            of_inodes = 100 * self.free_inodes / self.total_inodes
            if of_inodes < percent or self.free_inodes < FEW_INODES:
                yield (
                    f"{self.free_inodes:,} inodes ({of_inodes:.1f} %) of {self.name} are free, one for each file "
                    f"(limit {percent:g} %, and {FEW_INODES:,})"
                )
        if before is not None and before.seconds_ago >= SHORTEST_SECONDS:
            yield from self._filling(settings.alert_disk_seconds, before)

    def _filling(self, limit: int, before: DiskSample) -> Iterator[str]:
        left = [("bytes", self.free_bytes, before.free_bytes - self.free_bytes)]
        if self.free_inodes is not None and before.free_inodes is not None:
            left.append(("inodes", self.free_inodes, before.free_inodes - self.free_inodes))
        for unit, free, used in left:
            if used > 0 and free / used * before.seconds_ago < limit:
                seconds = free / used * before.seconds_ago
                yield (
                    f"{self.name} will have no free {unit} in {seconds:.0f} s at the rate of the last "
                    f"{before.seconds_ago:.0f} s (limit {limit} s)"
                )


def measured(archive: Archive) -> list[Disk]:
    """The disks that this machine writes to, each once; a folder that does not exist is left out."""
    places: list[tuple[str, Path]] = []
    if isinstance(archive.store, DirectoryStore):
        places.append(("the media store's disk", archive.store.root))
    places += [
        ("the disk of TRR_HOME (database, logs)", archive.settings.home),
        ("the disk of temporary files", Path(tempfile.gettempdir())),
    ]
    found: dict[int, Disk] = {}
    for name, path in places:
        try:
            device, status = path.stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        has_inodes = status.f_files > 0  # Btrfs and network disks have no limit
        found.setdefault(
            device,
            Disk(
                name,
                status.f_blocks * status.f_frsize,
                status.f_bavail * status.f_frsize,
                status.f_files if has_inodes else None,
                status.f_favail if has_inodes else None,
            ),
        )
    return list(found.values())
