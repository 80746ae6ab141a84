"""Foreign text as it is shown. SECURITY: foreign text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trr_pipelines.errors import InputError, PermanentError, Reason
from trr_pipelines.foreign_text import file_name_of, host_of, shown, shown_url
from trr_pipelines.pipeline.names import displayable_name

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Ålesund – photo.jpg", "Ålesund – photo.jpg"),
        ("a\x1b[2J\x1b]0;title\x07b", "a\\x1b[2J\\x1b]0;title\\x07b"),
        ("one\r\nERROR two", "one\\r\\nERROR two"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("a\u2066b\u2069 \u200e", "a\\u2066b\\u2069 \\u200e"),
        ("a\u2028b\u0085c\x9bd", "a\\u2028b\\x85c\\x9bd"),
        ("file\udcff", "file\\udcff"),
        ("می\u200cخواهم 👨\u200d👩", "می\u200cخواهم 👨\u200d👩"),
    ],
)
def test_text_is_shown_without_control_and_direction_characters(text: str, written: str) -> None:
    assert shown(text) == written


@given(st.text(st.characters(codec=None)))
def test_whatever_is_shown_is_one_line_without_control_characters(text: str) -> None:
    assert {unicodedata.category(character) for character in shown(text)} & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert len(shown(text).splitlines()) <= 1
    assert shown(shown(text)) == shown(text)


@pytest.mark.parametrize(
    ("url", "written", "name"),
    [
        (
            f"https://user:{SECRET}@cdn.example:8443/a/b.jpg?token={SECRET}#{SECRET}",
            "https://cdn.example:8443/a/b.jpg",
            "b.jpg",
        ),
        (f"HTTPS://{SECRET}@CDN.example/b.jpg", "https://CDN.example/b.jpg", "b.jpg"),
        (f"https://a@b:{SECRET}@cdn.example/b.jpg", "https://cdn.example/b.jpg", "b.jpg"),
        (f"https://cdn.example?sig={SECRET}", "https://cdn.example", "cdn.example"),
        (
            "https://cdn.example/a%0aERROR%1b%5b2J.jpg",
            "https://cdn.example/a%0aERROR%1b%5b2J.jpg",
            "a\\nERROR\\x1b[2J.jpg",
        ),
        ("https://cdn.example/%E2%80%AEgpj.exe", "https://cdn.example/%E2%80%AEgpj.exe", "\\u202egpj.exe"),
        (f"http://u:{SECRET}@[::1/a.jpg?t={SECRET}", "http://[::1/a.jpg", "a.jpg"),
        (f"https:/u:{SECRET}@cdn.example/a?t={SECRET}", "https:/cdn.example/a", "https:/cdn.example/a"),
        (f"//u:{SECRET}@cdn.example/a?t={SECRET}", "//cdn.example/a", "//cdn.example/a"),
        ("file:///photos/a%20b.jpg", "file:///photos/a%20b.jpg", "a b.jpg"),
        ("sha256:abc", "sha256:abc", "sha256:abc"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, written: str, name: str) -> None:
    assert (shown_url(url), file_name_of(url)) == (written, name)
    assert SECRET not in shown_url(url) + file_name_of(url)


@given(st.sampled_from(["http://", "https://", "ftp://", "http:/", "//", "HTTP://"]), st.text(max_size=20))
def test_credentials_and_queries_are_never_shown(start: str, end: str) -> None:
    assert SECRET not in shown_url(f"{start}u:{SECRET}@h/{end.replace('/', '')}?q={SECRET}#{SECRET}")


def test_the_host_of_a_url() -> None:
    assert [host_of(url) for url in ("https://u@a.example:8/x", "https://a.example/x", "deadline")] == [
        "a.example",
        "a.example",
        "",
    ]


@pytest.mark.parametrize(
    "name", ["A\nB", "A\x1b[31mB", "A\u202eB", "A\u2066B", "A\u2028B", "A\0B", "\ud800", "", "\u200b", "x" * 301]
)
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InputError) as error:
        displayable_name(name)
    assert shown(str(error.value)) == str(error.value)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  Zoë   Kravitz ", "Zoë Kravitz"),
        ("فرهاد مهراد", "فرهاد مهراد"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Ada\u00a0L.", "Ada L."),
    ],
)
def test_a_name_is_kept_in_one_form(name: str, kept: str) -> None:
    assert displayable_name(name) == kept


def test_the_detail_of_a_failure_is_shown_text() -> None:
    assert PermanentError(Reason.CORRUPT, "bad\x1b[31m\n\u202echunk").detail == "bad\\x1b[31m\\n\\u202echunk"
