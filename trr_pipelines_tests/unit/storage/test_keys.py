"""Object keys: their form, and that nothing else is accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trr_pipelines.errors import InputError
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.storage.keys import (
    CONTENT_TYPES,
    check_key,
    check_prefix,
    content_type_of,
    crop_key,
    is_segment,
    original_key,
    variant_key,
)

ASSET = UUID("6f1ed0d4-9d1b-4c5a-8f7e-0a1b2c3d4e5f")
SHA = "ab" + "0123456789abcdef" * 3 + "0123456789abcd"
SIGNATURE = "cd" * 32
RECIPE = "0123456789ab"

HOSTILE = {
    "empty": "",
    "absolute": "/etc/passwd.jpg",
    "up": "../secret.jpg",
    "up inside": "a/../b.jpg",
    "here": "./a.jpg",
    "empty segment": "a//b.jpg",
    "trailing slash": "a/b.jpg/",
    "hidden": "a/.hidden.jpg",
    "only dots": "...",
    "nul": "a/b\0.jpg",
    "line feed": "a/b.jpg\n",
    "header injection": "a/b.jpg\r\nX-Evil: 1",
    "backslash": "a\\..\\b.jpg",
    "drive": "c:/a.jpg",
    "space": "a b.jpg",
    "upper case": "A.jpg",
    "percent": "%2e%2e/a.jpg",
    "query": "a.jpg?x",
    "right-to-left": "a/\u202egpj.exe.jpg",
    "emoji": "a/\U0001f600.jpg",
    "full-width dots": "\uff0e\uff0e/a.jpg",
    "full-width digit": "a/\uff11.jpg",
    "one kilobyte": "a" * 1024,
    "long in depth": "a/" * 300 + "b.jpg",
    "long segment": "a" * 201,
}


def test_the_key_of_an_original_starts_with_its_hash() -> None:
    assert original_key(SHA, "jpg") == f"media/ab/{SHA}.jpg"


def test_the_key_of_a_variant_has_asset_source_version_and_recipe() -> None:
    assert variant_key(ASSET, SHA, RECIPE, "thumb", "webp") == f"media-variants/{ASSET}/{SHA[:16]}/{RECIPE}/thumb.webp"


def test_the_key_of_a_crop_has_asset_signature_and_recipe() -> None:
    assert (
        crop_key(ASSET, SIGNATURE, RECIPE, "crop_card", "jpg")
        == f"media-variants/{ASSET}/{SIGNATURE}/{RECIPE}/crop_card.jpg"
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: original_key(SHA.upper(), "jpg"),
        lambda: original_key(SHA[:-1], "jpg"),
        lambda: original_key(SHA + "\n", "jpg"),
        lambda: original_key(SHA, "svg"),
        lambda: original_key(SHA, "jpg/../../x"),
        lambda: original_key(SHA, "JPG"),
        lambda: original_key(SHA, ""),
        lambda: variant_key(ASSET, SHA[:16], RECIPE, "thumb", "webp"),
        lambda: variant_key(ASSET, SHA, "latest", "thumb", "webp"),
        lambda: variant_key(ASSET, SHA, "", "thumb", "webp"),
        lambda: variant_key(ASSET, SHA, RECIPE, "../thumb", "webp"),
        lambda: variant_key(ASSET, SHA, RECIPE, "Thumb", "webp"),
        lambda: variant_key(ASSET, SHA, RECIPE, "", "webp"),
        lambda: variant_key(str(ASSET), SHA, RECIPE, "thumb", "webp"),  # type: ignore[arg-type]
        lambda: crop_key(ASSET, "../" + SIGNATURE[3:], RECIPE, "crop_card", "webp"),
        lambda: crop_key(ASSET, SIGNATURE, RECIPE, "crop_card", "html"),
    ],
)
def test_an_invalid_part_makes_no_key(make: Callable[[], str]) -> None:
    with pytest.raises(InputError):
        make()


@pytest.mark.parametrize("key", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_string_is_not_a_key(key: str) -> None:
    with pytest.raises(InputError):
        check_key(key)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_string_is_not_one_segment_of_a_key(name: str) -> None:
    assert not is_segment(name)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is not a failure
@given(st.text())
def test_every_valid_key_is_plain_and_stays_below_its_root(key: str) -> None:
    try:
        check_key(key)
    except InputError:
        return
    assert re.fullmatch(r"[a-z0-9._/-]+", key, re.ASCII)
    assert all(part and not part.startswith(".") for part in key.split("/"))


@pytest.mark.parametrize("prefix", ["", "o", "media", "media/", "media/ab/c", "media-variants/6f1e", "a/b."])
def test_the_beginning_of_a_key_is_a_prefix(prefix: str) -> None:
    check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".incoming/", "a\0", "a\n", "a" * 1024, "Ä"])
def test_a_string_that_begins_no_key_is_not_a_prefix(prefix: str) -> None:
    with pytest.raises(InputError):
        check_prefix(prefix)


def test_a_message_about_a_long_key_stays_short() -> None:
    with pytest.raises(InputError, match="512 bytes, this one has 100000") as caught:
        check_key("a" * 100_000)
    assert len(str(caught.value)) < 200


def test_the_type_of_an_object_follows_from_its_extension() -> None:
    assert content_type_of("a/b.jpg") == "image/jpeg"
    with pytest.raises(InputError, match="svg"):
        content_type_of("a/b.svg")
    with pytest.raises(InputError):
        content_type_of("a/jpg/b")


def test_every_format_that_is_decoded_can_be_stored_and_nothing_else() -> None:
    assert {kind.extension: kind.content_type for kind in FILE_TYPES.values()} == dict(CONTENT_TYPES)
