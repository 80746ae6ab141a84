"""`trr backfill` and `trr recipe` as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.commands import Trr, one_line


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    """`trr` on separate databases given by URL, so that no server has to be started."""
    return Trr(tmp_path, TRR_DATABASE_URL=database_url, TRR_DAGSTER_PG_URL=empty_database_url, TRR_RENDER_PROCESSES="1")


@pytest.fixture
def batch(trr: Trr, tmp_path: Path) -> str:
    """A batch of two photos imported for a backfill."""
    folder = write_files(tmp_path / "photos", {f"{n}.jpg": pictures.jpeg(300, 200, seed=n) for n in range(2)})
    (key,) = trr.here("import", folder, "--source", "deadline", "--backfill", "--json").json["batches"]
    return str(key)


def test_a_backfill_runs_from_plan_to_completion(trr: Trr, batch: str) -> None:
    assert trr("run", "--json").json == []
    plan = trr("backfill", "plan", "--order", "hot", "--json").json
    assert plan["batches"] == [{"batch": batch, "photos": 2, "backfill": None}]
    assert (plan["order"], plan["photos"], plan["is_measured"]) == ("hot", 2, False)
    assert "assumed, nothing measured yet" in trr.here("backfill", "plan").out

    number = trr("backfill", "start", "--json").json["backfill"]
    assert [trr.here("backfill", step, "--json").json["state"] for step in ("pause", "resume")] == ["paused", "running"]
    assert "no daemon is feeding this backfill; start `trr up`" in " ".join(trr.here("backfill", "status").out.split())
    (ran,) = trr("run", "--batch", batch, "--json").json
    assert (ran["succeeded"], ran["photos"]) == (True, 2)
    status = trr.here("backfill", "status", str(number), "--json").json
    assert (status["state"], status["photos"], status["done"], status["left"]) == ("running", 2, 2, 0)
    assert trr("backfill", "cancel").out == f"backfill {number}: cancelled\n"
    assert trr.here("backfill", "cancel", str(number)).out == f"backfill {number}: cancelled already\n"
    watched = trr("backfill", "status", "--watch")
    assert (watched.code, "cancelled" in watched.out) == (0, True)
    assert trr.here("backfill", "start", "--json").json["backfill"] is None
    assert "nothing to do" in trr.here("backfill", "start").out


def test_a_recipe_without_a_predecessor_has_no_difference(trr: Trr, batch: str) -> None:
    trr("run", "--batch", batch)
    diff = trr("recipe", "diff", "--json").json
    assert diff["current"] == {"base": BASE.fingerprint, "crop": CROP.fingerprint}
    assert [(set_["kind"], set_["photos"], set_["is_current"]) for set_ in diff["sets"]] == [
        ("base", 2, True),
        ("crop", 2, True),
    ]
    assert diff["rerender"]["photos"] == 0
    assert "to re-render: 0 photos" in trr.here("recipe", "diff").out


def test_an_impossible_backfill_is_a_one_line_error(trr: Trr) -> None:
    one_line(trr.here("backfill", "plan"), "the catalogue holds no photos", "trr import")
    one_line(trr.here("backfill", "status"), "no backfill was started yet")


def test_invalid_arguments_of_a_backfill_are_a_one_line_error(trr: Trr, batch: str) -> None:
    one_line(trr.here("backfill", "plan", "--source", "brava"), "'brava'", "deadline")
    one_line(trr.here("backfill", "start", "--order", "random"), "recency, hot, source", "'random'")
    one_line(trr.here("backfill", "start", "--galleries", "-1"), "0 or more, not -1")
    one_line(trr.here("backfill", "pause", "7"), "no backfill 7")
    number = trr.here("backfill", "start", "--json").json["backfill"]
    one_line(trr.here("backfill", "start"), f"backfill {number} has 1 of these 1 batches already", batch)
