"""Released migrations are never edited: a database that has run one would not get the edit."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTED = Path(__file__).parents[1] / "data" / "migrations.sha256"


def test_migrations_are_added_and_never_edited() -> None:
    """List a new migration with its `sha256sum`; to change an old one, write a new one."""
    listed = {path: digest for digest, path in (line.split() for line in LISTED.read_text().splitlines())}
    actual = {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(ROOT.glob("trr_pipelines/**/migrations/versions/[0-9]*"))
    }
    assert actual == listed
