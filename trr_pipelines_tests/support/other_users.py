"""A second user of the machine, who tries what only the first may do; and the modes of what a user left behind."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STRANGER = 54_321  # a uid and gid without a name, a group or a file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# The interpreter may be in a folder that is closed to others, so what is needed is imported before.
_BECOME = """
import fcntl, json, os, pathlib, socket, stat, sys, psycopg
psycopg.connect  # its libraries are loaded
user, arguments = int(sys.argv[1]), sys.argv[2:]
os.setgroups([])
os.setgid(user)
os.setuid(user)
def attempt(action, *values):
    try:
        action(*values)
        return "done"
    except Exception as error:
        return type(error).__name__ + ": " + " ".join(str(error).split())
"""


def as_user(uid: int, code: str, *arguments: str | Path, folder: Path | None = None) -> Any:
    """Run Python code as another user; the value of its `result`. `attempt(f, …)` is "done", or the error of a call."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{_BECOME}\n{code}\nprint(json.dumps(result))", str(uid), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def open_to_others(*tops: Path) -> list[str]:
    """The files and folders of the trees that group or others may read, write or run, with their modes."""
    found = []
    for top in tops:
        for path in (top, *top.rglob("*")):
            mode = path.lstat().st_mode
            # What counts for a socket is its folder.
            if mode & 0o077 and not stat.S_ISLNK(mode) and not stat.S_ISSOCK(mode):
                found.append(f"{path} {stat.S_IMODE(mode):o}")
    return found


def modes_above(path: Path) -> dict[str, str]:
    """The modes of the existing folders above a path."""
    return {str(parent): f"{stat.S_IMODE(parent.stat().st_mode):o}" for parent in path.parents if parent.exists()}
