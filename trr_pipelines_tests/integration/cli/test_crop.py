"""`trr crop` as a user runs it: the active crop of a photo, and the own crop of a link."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines_tests.support.archives import add_photo, query
from trr_pipelines_tests.support.commands import Trr, one_line


@pytest.fixture
def trr(tmp_path: Path, database_url: str) -> Trr:
    return Trr(tmp_path, TRR_DATABASE_URL=database_url)


@pytest.fixture
def link(database: Database) -> UUID:
    """The link of a mirrored photo."""
    (person,) = query(database, "insert into core.people (full_name) values ('Person One') returning id")
    return add_photo(database, person["id"], 1, served=True, seed=False)


def photo_of(database: Database, link: UUID) -> tuple[str, str]:
    """Id and version of the link's photo."""
    sql = "select a.id, a.sha256 from core.media_links l join core.media_assets a on a.id = l.media_asset_id"
    (row,) = query(database, f"{sql} where l.id = %s", link)
    return str(row["id"]), row["sha256"]


def test_a_crop_is_set_by_its_middle_and_rounded(trr: Trr, database: Database, link: UUID) -> None:
    photo, version = photo_of(database, link)
    edit = trr.here("crop", photo, "--set", "manual,33.33333,20,1.5", "--json").json
    assert edit["signature"] == crop_signature(Crop("manual", 33.333, 20, 1.5), version)
    assert (edit["crop"]["x"], edit["changed"], edit["served"]) == (33.333, True, False)
    assert "x 33.333 y 20 zoom 1.5" in trr.here("crop", photo).out
    assert trr.here("crop", photo, "--auto").out == "no proposal yet: changed, waiting to be rendered\n"


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ("manual,50,50,4.1", "crop zoom must be from 1 to 4, not 4.1"),
        ("manual,-1,50,1", "crop x must be from 0 to 100, not -1.0"),
        ("manual,50,nan,1", "crop y must be a number from 0 to 100, not nan"),
        ("50,50,1", "a crop must be manual,X,Y,ZOOM such as manual,50,20,1.5, not '50,50,1'"),
    ],
)
def test_another_number_is_refused(trr: Trr, database: Database, link: UUID, crop: str, message: str) -> None:
    one_line(trr.here("crop", photo_of(database, link)[0], "--set", crop), message)


def test_the_crop_of_a_link_is_set_and_removed(trr: Trr, database: Database, link: UUID) -> None:
    photo, version = photo_of(database, link)
    query(database, "update core.media_links set is_external = true")
    own = "select crop_signature from core.media_links where id = %s"
    trr.here("crop", photo, "--set", "manual,10,20,2", "--link", str(link))
    assert query(database, own, link) == [{"crop_signature": crop_signature(Crop("manual", 10, 20, 2), version)}]
    assert query(database, "select from core.media_asset_crops") == []
    assert trr.here("crop", photo, "--auto", "--link", str(link)).out == "no crop: changed\n"
    assert query(database, own, link) == [{"crop_signature": None}]
    unknown = uuid4()
    one_line(trr.here("crop", photo, "--auto", "--link", str(unknown)), f"photo {photo} has no link {unknown}")
    one_line(trr.here("crop", photo, "--link", str(link)), "--link needs --set or --auto")
    one_line(trr.here("crop", photo, "--auto", "--link", "7"), "a link id must be a UUID, not '7'")
