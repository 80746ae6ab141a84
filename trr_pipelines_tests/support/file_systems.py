"""File systems without hard links (one that is mounted, and a C library that refuses them), and small ones.

rclone's mount is a real one, on which the kernel refuses both a hard link and a rename that keeps an existing file.
exFAT and SMB have that rename, but few test machines can mount them; a preloaded library gives a process their errors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SECONDS = 30.0

# What exFAT and FAT return for a hard link (EPERM), and FUSE for a flag of a rename (EINVAL).
_LINKS = """
#include <errno.h>
int link(const char *a, const char *b) { errno = EPERM; return -1; }
int linkat(int a, const char *b, int c, const char *d, int e) { errno = EPERM; return -1; }
"""
_RENAME = """
int renameat2(int a, const char *b, int c, const char *d, unsigned e) { errno = EINVAL; return -1; }
"""

# rclone calls `fusermount3`, which few machines have; root needs no more of it than this (fuse(4)).
_FUSERMOUNT = f"""#!{sys.executable}
import array, ctypes, os, socket, sys
libc, folder = ctypes.CDLL(None, use_errno=True), os.fsencode(sys.argv[-1])
if "-u" in sys.argv:
    sys.exit(libc.umount2(folder, 2))
device = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={{device}},rootmode=40000,user_id={{os.getuid()}},group_id={{os.getgid()}}"
if libc.mount(b"trr-tests", folder, b"fuse", 0, options.encode()):
    sys.exit(os.strerror(ctypes.get_errno()))
channel = socket.socket(fileno=int(os.environ["_FUSE_COMMFD"]))
channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [device]))])
"""

has_compiler = shutil.which("cc") is not None
has_fuse = os.getuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK)


def without_hard_links(folder: Path, *, exclusive_rename: bool) -> dict[str, str]:
    """The environment of processes whose file systems have no hard links, and perhaps no exclusive rename."""
    folder.mkdir(parents=True, exist_ok=True)
    source, library = folder / "refuse.c", folder / "refuse.so"
    source.write_text(_LINKS + ("" if exclusive_rename else _RENAME))
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", library, source], check=True, capture_output=True)
    return {"LD_PRELOAD": str(library)}


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory with these options of tmpfs (`size=8m`); skips the test where none can be mounted."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def make_read_only(folder: Path) -> None:
    """Make a disk of `small_disk` read-only, as the kernel does after an error of a disk."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)


@contextmanager
def mounted_by_rclone(folder: Path) -> Iterator[Path | None]:
    """A mounted directory below `folder`; None where the machine refuses to mount it."""
    inside, mount, programs = (folder / name for name in ("inside", "mount", "programs"))
    for path in (inside, mount, programs):
        path.mkdir(parents=True)
    (programs / "fusermount3").write_text(_FUSERMOUNT)
    (programs / "fusermount3").chmod(0o755)
    process = subprocess.Popen(
        [Path(sys.executable).with_name("rclone"), "mount", "--config", "", "--vfs-cache-mode", "writes",
         "--cache-dir", folder / "cache", inside, mount],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + SECONDS
        while not mount.is_mount() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        yield mount if mount.is_mount() else None
    finally:
        subprocess.run([programs / "fusermount3", "-u", mount], check=False)  # fails if nothing is mounted
        process.terminate()
        process.wait(SECONDS)
