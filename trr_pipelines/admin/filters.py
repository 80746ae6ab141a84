"""The filters in the address of a gallery, and addresses that change one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from trr_pipelines.admin.backend import Query
from trr_pipelines.admin.tiles import REASONS, Mode

PAGE_SIZE = 60
MAX_TEXT = 200
_CHOICES: dict[str, tuple[str, ...]] = {
    "state": ("pending", "complete", "failed"),
    "reason": tuple(REASONS),
    "seed": ("true", "false"),
    "crop": ("auto", "manual", "none"),
    "sort": ("position", "newest"),
}
_TEXTS = ("q", "source")


@dataclass(frozen=True)
class Filters:
    """The filters of a request. Invalid values are left out, as if the filter was not set."""

    values: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    mode: Mode = "crop"
    cursor: str = ""

    @classmethod
    def read(cls, query: QueryParams) -> Filters:
        values = {name: query[name] for name, choices in _CHOICES.items() if query.get(name) in choices}
        values |= {name: text for name in _TEXTS if (text := query.get(name, "").replace("\0", "").strip()[:MAX_TEXT])}
        if values.get("sort") == "position":
            del values["sort"]
        tags = tuple(dict.fromkeys(tag.strip()[:MAX_TEXT] for tag in query.getlist("tag") if tag.strip("\0 ")))
        mode: Mode = "full" if query.get("mode") == "full" else "crop"
        return cls(values, tags, mode, query.get("cursor", ""))

    def get(self, name: str) -> str:
        """The value of a filter; empty if it is not set."""
        return self.values.get(name, "")

    @property
    def is_set(self) -> bool:
        """Whether any filter may exclude photos."""
        return bool(self.tags or self.values.keys() - {"sort"})

    def for_backend(self, kind: str, limit: int = PAGE_SIZE) -> Query:
        """The backend's parameters for one page of photos of one kind (empty: all kinds)."""
        query = [("limit", str(limit)), *self.values.items(), *(("tag", tag) for tag in self.tags)]
        if kind:
            query.append(("kind", kind))
        if self.cursor:
            query.append(("cursor", self.cursor))
        return query

    def address(self, *, tag: str = "", mode: str = "", cursor: str = "") -> str:
        """The query string with these changes; `tag` is added, or removed if it is set."""
        tags = [kept for kept in self.tags if kept != tag]
        if tag and tag not in self.tags:
            tags.append(tag)
        query = [*self.values.items(), *(("tag", kept) for kept in tags)]
        if (mode or self.mode) == "full":
            query.append(("mode", "full"))
        if cursor:
            query.append(("cursor", cursor))
        return f"?{urlencode(query)}" if query else ""
