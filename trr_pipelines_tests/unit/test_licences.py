"""docs/licences.md is up to date; SECURITY, row "supply"."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from trr_pipelines_tests.support import licences


@pytest.mark.skipif(
    (sys.platform, platform.machine(), sys.version_info[:2]) != ("linux", "x86_64", (3, 11)),
    reason="the page describes the wheels for Linux on x86-64 and Python 3.11",
)
def test_the_page_of_licences_is_up_to_date() -> None:
    assert licences.PAGE.read_text(encoding="utf-8") == licences.page(), "run: make licences"


def installed(folder: Path, metadata: str, *files: str) -> PathDistribution:
    """A package with these lines of metadata and these files."""
    info = folder / "wheel-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: wheel\nVersion: 1.0\n{metadata}", encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(b"... OpenSSL 1.1.1k  FIPS 25 Mar 2021 ...")
    return PathDistribution(info)


@pytest.mark.parametrize("metadata", ["", "License: BSD\n", f"License: {'all of its text ' * 9}\n"])
def test_a_package_without_a_clear_licence_must_be_judged(tmp_path: Path, metadata: str) -> None:
    with pytest.raises(licences.UnlistedError, match="the licence of wheel is not clear"):
        licences.licence_of("wheel", installed(tmp_path, metadata))


def test_a_new_native_library_must_be_judged(tmp_path: Path) -> None:
    package = installed(tmp_path, "", "wheel.libs/libnew-0a1b2c3d.so.1.2")
    with pytest.raises(licences.UnlistedError, match=r"wheel of wheel has a new library libnew-0a1b2c3d\.so\.1\.2"):
        list(licences.libraries_of("wheel", package))


@pytest.mark.parametrize(
    ("file", "name", "version", "licence"),
    [
        ("libx265-4883ecb5.so.217", "libx265", "217", "GPL-2.0-or-later"),
        ("libopenblasp-r0-59ffcd50.3.15.so", "libopenblasp", "0.3.15", "BSD-3-Clause"),
        ("libscipy_openblas64_-32a4b2a6.so", "libscipy_openblas64_", "", "BSD-3-Clause"),
        ("libquadmath-96973f99-934c22de.so.0.0.0", "libquadmath", "0.0.0", "LGPL-2.1-or-later"),
        ("libcrypto-a324fe28.so.1.1.1k", "libcrypto", "1.1.1k", "OpenSSL AND SSLeay"),
    ],
)
def test_a_native_library_has_its_name_and_version(
    tmp_path: Path, file: str, name: str, version: str, licence: str
) -> None:
    (library,) = licences.libraries_of("wheel", installed(tmp_path, "", f"wheel.libs/{file}"))
    assert (library.name, library.version, library.licence) == (name, version, licence)
