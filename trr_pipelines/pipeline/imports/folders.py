"""Walking a folder for photos: which files are taken, and which are left out, by kind.

Cameras, photo apps and NAS systems keep their own files beside photos. They are known by name; any other file is
taken, and a run decides by its bytes whether it is a photo. Nothing is read here except folders.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SkippedKind = Literal[
    "sidecars", "videos", "thumbnails", "recycled files", "system files", "hidden files", "linked folders", "empty rows"
]

_FOLDERS: dict[str, SkippedKind] = {
    "@eadir": "thumbnails",  # Synology
    "#recycle": "recycled files",
    "@recycle": "recycled files",  # QNAP
    "@recently-snapshot": "system files",
    "#snapshot": "system files",
    "@tmp": "system files",
    "$recycle.bin": "recycled files",
    "recycler": "recycled files",
    "system volume information": "system files",
    "lost+found": "system files",
    "__macosx": "system files",
}
_FILES: dict[str, SkippedKind] = {
    "thumbs.db": "thumbnails",
    "ehthumbs.db": "thumbnails",
    "ehthumbs_vista.db": "thumbnails",
    ".ds_store": "system files",
    ".localized": "system files",
    ".nomedia": "system files",
    ".picasa.ini": "sidecars",
    "picasa.ini": "sidecars",
    "desktop.ini": "system files",
    "icon\r": "system files",
}
_SUFFIXES: dict[str, SkippedKind] = {
    **dict.fromkeys((".xmp", ".json", ".aae", ".thm", ".pp3", ".dop", ".vrd", ".cos", ".on1"), "sidecars"),
    **dict.fromkeys(
        (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".3gp", ".mpg", ".mpeg", ".wmv", ".mp"),
        "videos",
    ),
}
_STREAMS = ("@synoeastream", "@synoresource")  # attributes that a Synology NAS keeps as files
_THUMBNAIL = "synofile_thumb_"


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, or a row without content; only counted, by kind."""

    kind: SkippedKind


@dataclass(frozen=True)
class UnreadableFolder:
    """A folder that cannot be read."""

    path: Path
    problem: str


def skipped_kind(name: str) -> SkippedKind | None:
    """Why a file with this name is left out; None for a file that may be a photo."""
    folded = name.casefold()
    if kind := _FILES.get(folded):
        return kind
    if folded.startswith("._") or folded.endswith(_STREAMS):
        return "system files"
    if folded.startswith(_THUMBNAIL):
        return "thumbnails"
    if kind := _SUFFIXES.get(Path(folded).suffix):
        return kind
    return "hidden files" if name.startswith(".") else None


def files_below(folder: Path) -> Iterator[Path | Skipped | UnreadableFolder]:
    """Every file below a folder, in order of name, links to files included; then those behind links to folders.

    Each folder is read once, however many links lead to it, so links may form loops.
    """
    read: set[tuple[int, int]] = set()
    waiting: list[Path] = [folder]
    links: list[Path] = []
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        if (identity := _identity(here)) in read:
            yield Skipped("linked folders")
            continue
        if identity is not None:
            read.add(identity)
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            yield UnreadableFolder(here, error.strerror or str(error))
            continue
        inner: list[Path] = []
        for entry in entries:
            path = here / entry.name
            if not (entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and _is_folder(path))):
                kind = skipped_kind(entry.name)
                yield path if kind is None else Skipped(kind)
            elif kind := _FOLDERS.get(entry.name.casefold()) or ("hidden files" if entry.name[0] == "." else None):
                yield from _all_skipped(path, kind)
            elif entry.is_symlink():
                links.append(path)
            else:
                inner.append(path)
        waiting += reversed(inner)


def _all_skipped(folder: Path, kind: SkippedKind) -> Iterator[Skipped]:
    """Every file below a folder that is left out."""
    for _, _, names in os.walk(folder):
        yield from (Skipped(kind) for _ in names)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _identity(folder: Path) -> tuple[int, int] | None:
    """What two paths of one folder have in common; None if it cannot be read."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
