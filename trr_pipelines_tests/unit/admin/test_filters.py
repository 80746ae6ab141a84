"""Gallery filters in the address."""

from __future__ import annotations

from starlette.datastructures import QueryParams

from trr_pipelines.admin.filters import Filters


def read(query: str) -> Filters:
    return Filters.read(QueryParams(query))


def test_invalid_values_are_ignored() -> None:
    filters = read("state=done&reason=%3Cb%3E&seed=1&crop=manual&sort=position&q=%00+&limit=9999&mode=x&tag=&kind=news")
    assert filters.for_backend("photo") == [("limit", "60"), ("crop", "manual"), ("kind", "photo")]
    assert filters.address() == "?crop=manual"


def test_a_tag_is_added_and_removed() -> None:
    filters = read("tag=cast&tag=red+carpet&tag=cast&q=a%26b")
    assert filters.tags == ("cast", "red carpet")
    assert filters.address(tag="cast") == "?q=a%26b&tag=red+carpet"
    assert filters.address(tag="new") == "?q=a%26b&tag=cast&tag=red+carpet&tag=new"


def test_the_cursor_belongs_to_one_page_only() -> None:
    filters = read("cursor=abc&seed=true")
    assert ("cursor", "abc") in filters.for_backend("photo")
    assert filters.address() == "?seed=true"
    assert filters.address(cursor="def", mode="full") == "?seed=true&mode=full&cursor=def"


def test_a_sort_does_not_count_as_a_filter() -> None:
    assert not read("sort=newest&mode=full").is_set
    assert read("tag=cast").is_set
    assert read("").address() == ""
