"""Object keys: the layout of a store, how keys are built and read, and which strings stores accept.

Pure: no store, no disk, no network. Keys are built from hashes, ids and fixed vocabularies only, never from a file
name, a caption or a slug, so user input cannot influence the location of an object.

    media/{sha256[:2]}/{sha256}.{extension}                                     an original
    media-variants/{asset}/{source version[:16]}/{recipe}/{key}.{extension}     a base variant
    media-variants/{asset}/{crop signature}/{recipe}/{key}.{extension}          a rendered crop
    contact_sheets/{batch}/{name}-{version}.webp                                a contact sheet

An archive that began before this layout has objects under `originals/`, `variants/` and `crops/`. Their rows hold the
whole keys, so they stay where they are; no new key is made there.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final
from uuid import UUID

from trr_pipelines.errors import InputError, PermanentError, Reason

CONTENT_TYPES: Final = MappingProxyType(
    {
        "avif": "image/avif",
        "bmp": "image/bmp",
        "gif": "image/gif",
        "heic": "image/heic",
        "jpg": "image/jpeg",
        "png": "image/png",
        "tiff": "image/tiff",
        "webp": "image/webp",
    }
)
"""Every extension a key may have, and its media type.

An object's type follows from its key, so a store can never serve HTML or SVG.
"""

MAX_KEY_BYTES: Final = 512
"""S3 allows 1024; our keys have at most 190, and a directory store's root must fit into PATH_MAX as well."""

SHEETS: Final = "contact_sheets/"
"""Where contact sheets are."""

ORIGINALS: Final = ("media/", "originals/")
"""Where originals are: the present prefix, and the earlier one."""

VARIANTS: Final = ("media-variants/", "crops/", "variants/")
"""Where variants are, in a folder for each photo: the present prefix, and the earlier ones."""

PREFIXES: Final = tuple(sorted((SHEETS, *ORIGINALS, *VARIANTS)))
"""Every prefix of our objects, in the order of keys. Nothing else in a store is listed or deleted."""

SIGNATURE_DIGITS: Final = 64
"""Digits of a crop's signature in a key; the version of an original has fewer there."""

MAX_EXTERNAL_KEY_BYTES: Final = 1024
"""Of a key of another program; S3's limit."""

RECORDS: Final = ".records"
"""The folder of records, which are no objects."""

_SEGMENT: Final = r"[a-z0-9][a-z0-9._-]{0,199}"  # never starts with a dot, so never "..", never a hidden file
_NAME: Final = re.compile(_SEGMENT, re.ASCII)
_KEY: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)
_PREFIX: Final = re.compile(rf"(?:{_SEGMENT}/)*(?:{_SEGMENT})?", re.ASCII)
_RECORD: Final = re.compile(r"[a-z]{1,40}/[a-z0-9-]{1,80}", re.ASCII)
_OWN_VARIANT: Final = re.compile(
    rf"{VARIANTS[0]}[0-9a-f-]{{36}}/([0-9a-f]{{16}}|[0-9a-f]{{{SIGNATURE_DIGITS}}})/"
    r"[0-9a-f]{8,64}/[a-z][a-z0-9_]{0,31}\.[a-z]{3,4}",
    re.ASCII,
)
_BUCKET: Final = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_RECIPE: Final = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
_VARIANT_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)


def original_key(sha256: str, extension: str) -> str:
    """The key of the unchanged original with this hash. Raises `InputError` for an invalid hash or extension."""
    _require(_SHA256, sha256, "sha256 of an original", "64 lower-case hex digits")
    return f"{ORIGINALS[0]}{sha256[:2]}/{sha256}.{_known(extension)}"


def variant_key(asset_id: UUID, source_version: str, recipe: str, key: str, extension: str) -> str:
    """The key of a base variant.

    `source_version` is the sha256 of its original, `recipe` the recipe's fingerprint (hex), `key` the rendition key
    (`thumb`, `card`, …). Raises `InputError` if one of them is not valid.
    """
    _require(_SHA256, source_version, "source version", "64 lower-case hex digits")
    return f"{VARIANTS[0]}{_id(asset_id)}/{source_version[:16]}/{_rendition(recipe, key, extension)}"


def crop_key(asset_id: UUID, crop_signature: str, recipe: str, key: str, extension: str) -> str:
    """The key of a rendered crop; the signature covers the source version already. Raises like `variant_key`."""
    _require(_SHA256, crop_signature, "crop signature", "64 lower-case hex digits")
    return f"{VARIANTS[0]}{_id(asset_id)}/{crop_signature}/{_rendition(recipe, key, extension)}"


def is_original(key: str) -> bool:
    """Whether an original of ours can be at this key."""
    return key.startswith(ORIGINALS)


def is_derived(key: str) -> bool:
    """Whether a variant or a contact sheet can be at this key; what is elsewhere is an original, ours or not."""
    return key.startswith((*VARIANTS, SHEETS))


def may_be_foreign(key: str) -> bool:
    """Whether an object at this key, which no row of ours names, may be of the program that shares the bucket.

    Its originals have the form of ours. Its variants are at `media-variants/{photo}/{12 digits}/{key}.{extension}`, one
    level less than ours.
    """
    return key.startswith(ORIGINALS[0]) or (key.startswith(VARIANTS[0]) and not _OWN_VARIANT.fullmatch(key))


def check_external(bucket: str, key: str) -> None:
    """Raise PermanentError (`fetch_not_found`) for a key or a bucket that cannot exist."""
    size = len(key.encode("utf-8", "surrogatepass"))
    if not 0 < size <= MAX_EXTERNAL_KEY_BYTES:
        raise PermanentError(Reason.FETCH_NOT_FOUND, f"an S3 key has 1 to 1024 bytes, not {size}: {key[:40]!r}")
    if not _BUCKET.fullmatch(bucket):
        raise PermanentError(Reason.FETCH_NOT_FOUND, f"not the name of a bucket: {bucket[:80]!r}")


def photo_prefixes(asset_id: UUID) -> tuple[str, ...]:
    """The folders that have all variants of a photo, and may have nothing else of ours."""
    return tuple(f"{prefix}{_id(asset_id)}/" for prefix in VARIANTS)


def version_of(key: str) -> str:
    """What a variant's key says it was made from: 16 digits of its original's hash, or the signature of its crop."""
    return key.split("/")[2]


def sheet_keys(batch: str, name: str, version: str) -> tuple[str, str]:
    """The keys of a batch's contact sheet, in full and small; `version` is a hash (hex) of what it shows."""
    stem = f"{SHEETS}{batch}/{name}-{version}"
    return f"{stem}.webp", f"{stem}-inline.webp"


def sheet_version(key: str) -> tuple[str, str]:
    """The name and the version of a contact sheet, by its key."""
    name, _, version = key.rpartition("/")[2].rpartition(".")[0].removesuffix("-inline").rpartition("-")
    return name, version


def content_type_of(key: str) -> str:
    """The media type of an object at this key. Raises `InputError` for an invalid key."""
    check_key(key)
    return CONTENT_TYPES[_known(key.rpartition(".")[2])]


def checked_type(key: str, content_type: str, sha256: str | None) -> str:
    """The media type of an object about to be stored. Raises `InputError` for an invalid key, type or hash."""
    expected = content_type_of(key)
    if content_type != expected:
        raise InputError(f"{key} holds {expected}, not {content_type}")
    if sha256 is not None:
        check_sha256(sha256)
    return expected


def check_key(key: str) -> None:
    """Raise `InputError` unless `key` is valid in every store and cannot lead outside it."""
    if len(key) > MAX_KEY_BYTES:
        raise InputError(f"an object key has at most {MAX_KEY_BYTES} bytes, this one has {len(key)}: {key[:40]!r}…")
    if not _KEY.fullmatch(key):
        raise InputError(f"not an object key (a-z, 0-9, '.', '_', '-' in segments that do not start with '.'): {key!r}")


def record_path(name: str) -> tuple[str, str, str]:
    """Where a store keeps the record of this name: below `.records`, which no key can name.

    Raises `InputError` unless the name is `FOLDER/NAME`, of a-z, 0-9 and '-'.
    """
    _require(_RECORD, name, "name of a record", "FOLDER/NAME of a-z, 0-9 and '-'")
    folder, _, file = name.partition("/")
    return RECORDS, folder, f"{file}.json"


def is_key(text: str) -> bool:
    """Whether `text` is valid as a key in every store."""
    return len(text) <= MAX_KEY_BYTES and bool(_KEY.fullmatch(text))


def is_segment(name: str) -> bool:
    """Whether `name` is a valid segment between the slashes of a key."""
    return bool(_NAME.fullmatch(name))


def check_prefix(prefix: str) -> None:
    """Raise `InputError` unless `prefix` is empty or the beginning of a valid key."""
    if len(prefix) > MAX_KEY_BYTES or not _PREFIX.fullmatch(prefix):
        raise InputError(f"not the beginning of an object key: {prefix[:MAX_KEY_BYTES]!r}")


def check_sha256(sha256: str) -> None:
    """Raise `InputError` unless `sha256` has the form of `hashlib.sha256(…).hexdigest()`."""
    _require(_SHA256, sha256, "sha256", "64 lower-case hex digits")


def _rendition(recipe: str, key: str, extension: str) -> str:
    _require(_RECIPE, recipe, "recipe fingerprint", "8 to 64 lower-case hex digits")
    _require(_VARIANT_KEY, key, "variant key", "at most 32 of a-z, 0-9 and '_'")
    return f"{recipe}/{key}.{_known(extension)}"


def _known(extension: str) -> str:
    if extension not in CONTENT_TYPES:
        raise InputError(f"no object has the extension {extension[:40]!r}; known are {', '.join(CONTENT_TYPES)}")
    return extension


def _id(asset_id: UUID) -> str:
    if not isinstance(asset_id, UUID):
        raise InputError(f"an asset id is a UUID, not {asset_id!r:.60}")
    return str(asset_id)


def _require(pattern: re.Pattern[str], value: str, name: str, rule: str) -> None:
    if not pattern.fullmatch(value):
        raise InputError(f"the {name} must be {rule}: {value[:80]!r}")
