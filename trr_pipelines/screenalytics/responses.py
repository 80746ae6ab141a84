"""The backend's list of a person's photos, and its validation. No requests are made here.

Two backends answer it: ours with every field and headers, TRR-Backend with six fields and no headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, urljoin, urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter, ValidationError

from trr_pipelines.errors import BackendError, printable

MAX_TEXT = 10_000

# Keys of the application have spaces, and so have the URLs made from them.
Url = Annotated[str, Field(pattern=r"^https?://[^\s/][^\x00-\x1f\x7f]*$", max_length=MAX_TEXT)]
Key = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=MAX_TEXT)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Side = Annotated[int, Field(ge=1, le=2**31 - 1)]


class BackendPhoto(BaseModel):
    """A photo as TRR-Backend lists it; sides in pixels. Without a `hosted_key` it is not mirrored yet."""

    served_url: Url
    hosted_key: Key | None
    is_primary: bool
    width: Side | None
    height: Side | None
    kind: Text

    @property
    def photo_id(self) -> UUID:
        """The photo's id, made from its key: two rows with the same key are one photo."""
        return uuid5(NAMESPACE_URL, self.hosted_key or self.served_url.partition("?")[0])


class OwnPhoto(BackendPhoto):
    """A photo as our backend lists it."""

    hosted_key: Key
    width: Side
    height: Side
    link_id: UUID
    media_asset_id: UUID
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    source: Text
    facebank_seed: bool
    caption: Text
    updated_at: datetime

    @property
    def photo_id(self) -> UUID:
        """The photo's id in the backend."""
        return self.media_asset_id


_OWN_FIELDS = frozenset(OwnPhoto.model_fields) - frozenset(BackendPhoto.model_fields)
_SIX, _OWN = "six", "own"


def _form(given: Any) -> str:
    return _OWN if isinstance(given, dict) and not _OWN_FIELDS.isdisjoint(given) else _SIX


_Photo = Annotated[Annotated[BackendPhoto, Tag(_SIX)] | Annotated[OwnPhoto, Tag(_OWN)], Discriminator(_form)]
_PHOTOS: TypeAdapter[list[BackendPhoto | OwnPhoto]] = TypeAdapter(list[_Photo])


@dataclass(frozen=True)
class PhotosPage:
    """One page of the list, in the backend's order.

    `total` and `unserved` are its headers, None where it sends none. `following` are the parameters of the next page,
    None without a link to one.
    """

    photos: list[BackendPhoto]
    total: int | None
    unserved: int | None
    following: dict[str, str] | None


def parse_page(body: bytes, headers: httpx.Headers, *, url: str, seed_only: bool, limit: int) -> PhotosPage:
    """Parse and validate a page that was requested from `url` with at most `limit` photos.

    Raises BackendError for truncated JSON, another schema, too many photos, unflagged photos among seeds, and headers
    that cannot be read.
    """
    try:
        photos = _PHOTOS.validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in (_SIX, _OWN))
        raise BackendError(f"the backend's response violates its schema: {where or 'body'}: {first['msg']}") from None
    if len(photos) > limit:
        raise BackendError(f"the backend lists {len(photos)} photos in a page, requested were at most {limit}")
    if len({type(photo) for photo in photos}) > 1:
        raise BackendError(f"some of the backend's photos lack {', '.join(sorted(_OWN_FIELDS))}")
    if seed_only and any(isinstance(photo, OwnPhoto) and not photo.facebank_seed for photo in photos):
        raise BackendError("the backend lists an unflagged photo among the seeds")
    for photo in photos:
        if isinstance(photo, OwnPhoto):
            photo.caption, photo.source = printable(photo.caption), printable(photo.source)
    following = _following(headers, url, seed_only=seed_only)
    if following is not None and not photos:
        raise BackendError("the backend returned an empty page with a link to a next page")
    return PhotosPage(list(photos), _count(headers, "X-Total-Count"), _count(headers, "X-Unserved"), following)


def _count(headers: httpx.Headers, name: str) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 12):
        raise BackendError(f"the backend's header {name} is {printable(value)[:80]!r}, expected a number")
    return int(value)


def _following(headers: httpx.Headers, url: str, *, seed_only: bool) -> dict[str, str] | None:
    """The parameters of the link to the next page. It must lead to the same list: the token goes nowhere else."""
    links = httpx.Response(200, headers=headers).links
    target: Mapping[str, str] | None = links.get("next")
    if target is None:
        return None
    address = printable(target.get("url", ""))[:200]
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, target["url"]))
        parameters = dict(parse_qsl(there.query, keep_blank_values=True, strict_parsing=True))
        # A proxy may serve the backend under a prefix, which the backend does not know.
        is_same = here.path.endswith(there.path) and there.path.endswith("/photos")
        is_same = is_same and (here.scheme, here.netloc) == (there.scheme, there.netloc)
    except (ValueError, KeyError):
        raise BackendError(f"the backend's link to the next page is not a URL: {address}") from None
    if not is_same:
        raise BackendError(f"the backend's next page is at another address: {address}")
    if parameters.get("seed_only", _text(seed_only)) != _text(seed_only):
        raise BackendError(f"the backend's next page is of another list than seed_only={_text(seed_only)}: {address}")
    return parameters


def _text(value: bool) -> str:
    return "true" if value else "false"
