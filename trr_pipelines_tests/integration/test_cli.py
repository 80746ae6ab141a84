"""`trr` as a user runs it: in a separate process, on real files, with a one-line message for each error."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import psycopg
import pytest

from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.commands import Trr, one_line
from trr_pipelines_tests.support.file_systems import has_compiler, without_hard_links


@pytest.fixture
def trr(tmp_path: Path, database_url: str, empty_database_url: str) -> Trr:
    """`trr` on separate databases given by URL, so that no server has to be started."""
    return Trr(
        tmp_path,
        TRR_DATABASE_URL=database_url,
        TRR_DAGSTER_PG_URL=empty_database_url,
        TRR_RENDER_PROCESSES="1",
    )


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "photos", {"a.jpg": pictures.jpeg(), "b.jpg": pictures.jpeg(seed=1), "again.jpg": pictures.jpeg()}
    )


# Round trips -------------------------------------------------------------------------------------------------------


def test_photos_are_imported_and_rendered_with_everything_embedded(server_home: Path, photos: Path) -> None:
    trr = Trr(photos.parent, TRR_HOME=str(server_home), TRR_RENDER_PROCESSES="1")
    imported = trr("import", photos, "--source", "deadline", "--show", "The Valley", "--json")
    assert (imported.code, imported.json["created"], imported.json["rejected"]) == (0, 3, [])
    (batch,) = imported.json["batches"]

    (ran,) = trr("run", "--json").json
    assert (ran["batch"], ran["succeeded"], ran["problem"], ran["photos"]) == (batch, True, "", 2)
    assert (ran["objects_written"], ran["rows_written"]) == (22, 20)
    (again,) = trr("run", "--batch", batch, "--json").json
    assert (again["succeeded"], again["photos"], again["objects_written"], again["rows_written"]) == (True, 0, 0, 0)
    assert trr("run", "--json").json == []

    status = trr("status", "--json").json
    assert status["assets"] == {"pending": 0, "mirrored": 2, "failed": 0}
    assert status["generations"] == {kind: {"pending": 0, "complete": 2, "failed": 0} for kind in ("base", "crop")}
    assert status["variants"]["count"] == 20
    assert "2 mirrored" in trr("status").out

    clean = trr("reconcile", "--json")
    assert (clean.code, clean.json["orphan_objects"], clean.json["rows_without_objects"]) == (0, 0, 0)
    next((server_home / "media" / "media").rglob("*.jpg")).unlink()
    lost = trr("reconcile")
    assert (lost.code, "1 rows without objects" in lost.out) == (1, True)
    assert re.match("catalogue: revision [0-9]+\nface bank: revision [0-9]+", trr("db", "upgrade").out)
    assert not EmbeddedPostgres(server_home).is_running()


def test_a_second_import_reports_that_everything_is_known(trr: Trr, photos: Path) -> None:
    trr("import", photos, "--source", "deadline")
    again = trr("import", photos, "--source", "deadline")
    assert again.code == 0
    assert again.out.startswith("3 rows: 0 new photos, 3 known, 0 rejected; 0 new links; batches: ")


def test_an_import_counts_what_it_left_out_by_kind(trr: Trr, photos: Path) -> None:
    for name in ("a.jpg ", "a.xmp", "b.jpg.json", "Thumbs.db", "clip.mp4"):
        (photos / name).write_bytes(pictures.jpeg(seed=2))
    first = trr("import", photos, "--source", "deadline")
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("4 rows: 4 new photos, 0 known, 0 rejected; ")
    assert first.out.splitlines()[1] == "skipped: 2 sidecars, 1 thumbnails, 1 videos"
    again = trr("import", photos, "--source", "deadline", "--json").json
    assert again["skipped"] == {"sidecars": 2, "thumbnails": 1, "videos": 1}


def test_a_held_batch_runs_again_by_hand_or_after_its_release(trr: Trr, photos: Path) -> None:
    (batch,) = trr("import", photos, "--source", "deadline", "--json").json["batches"]
    assert trr("hold", batch).out.startswith(f"{batch}: no more runs are requested")
    assert trr("run", "--json").json == []
    assert trr("hold", batch, "--release").code == 0
    (ran,) = trr("run", "--json").json
    assert (ran["batch"], ran["succeeded"]) == (batch, True)
    one_line(trr("hold", "20260101-nobody-00001"), "no import batch '20260101-nobody-00001' in the catalogue")


def test_files_are_rendered_without_any_database(tmp_path: Path, photos: Path) -> None:
    trr = Trr(tmp_path, TRR_DATABASE_URL="postgresql://user@127.0.0.1:1/none", TRR_RENDER_PROCESSES="1")
    (photos / "text.jpg").write_bytes(b"<html>")
    result = trr(
        "render",
        photos / "a.jpg",
        photos / "text.jpg",
        "--out",
        tmp_path / "out",
        "--crop",
        "manual,50,20,1.5",
        "--json",
    )
    assert result.code == 1
    good, bad = result.json
    assert (good["state"], len(good["variants"])) == ("complete", 10)
    assert all(Path(variant["path"]).stat().st_size == variant["bytes"] for variant in good["variants"])
    assert (bad["state"], bad["reason"], bad["variants"]) == ("failed", "not_an_image", [])


# Invalid input: everything else is done----------------------------------------------------------------------------


def test_invalid_rows_are_reported_by_line_and_all_others_are_processed(trr: Trr, photos: Path) -> None:
    manifest = photos / "manifest.csv"
    manifest.write_text(
        "path,url,kind\na.jpg,,\nmissing.jpg,,\n,ftp://photos.example/a.jpg,\n,http://169.254.169.254.:x/,\n"
        "b.jpg,,painting\nb.jpg,,\n",
        encoding="utf-8",
    )
    result = trr("import", manifest, "--source", "deadline")
    assert result.code == 1
    assert result.out.startswith("6 rows: 2 new photos, 0 known, 4 rejected; ")
    errors = result.err.splitlines()
    assert [line.partition(":")[0] for line in errors] == [f"  line {line}" for line in (3, 4, 5, 6)]
    assert f"{photos}/missing.jpg: No such file or directory" in errors[0]
    assert "unknown kind 'painting'" in errors[3]


def test_a_photo_above_a_limit_fails_alone_with_limit_and_value(trr: Trr, photos: Path) -> None:
    (photos / "wide.png").write_bytes(pictures.png_of_zeros(31_000, 10))
    trr.here("import", photos, "--source", "deadline")
    result = trr("run")
    assert result.code == 0
    assert ": complete, 2 photos rendered, 1 failed (side_too_long 1), run " in result.out
    assert result.err.count("\n") == 1
    assert "wide.png): side_too_long" in result.err
    assert "31000 × 10 pixels, the limit is 30,000" in result.err
    status = trr.here("status", "--json").json
    assert (status["assets"]["mirrored"], status["failed_by_reason"]) == (2, {"side_too_long": 1})


def test_a_run_in_which_every_photo_fails_says_why_and_ends_with_1(trr: Trr, photos: Path) -> None:
    for photo in photos.iterdir():
        photo.write_bytes(photo.read_bytes()[:4000])
    (photos / "text.jpg").write_bytes(b"<html>")
    (batch,) = trr.here("import", photos, "--source", "deadline", "--json").json["batches"]
    result = trr("run")
    assert result.code == 1
    assert f"{batch}: every photo failed, 0 photos rendered, 3 failed (not_an_image 1, truncated 2), run " in result.out
    again = trr("run", "--batch", batch, "--json")  # nothing is due, and nothing is better
    assert (again.code, again.json[0]["failed_by_reason"]) == (1, {"not_an_image": 1, "truncated": 2})


def test_a_photo_with_an_odd_address_ends_no_run(trr: Trr, photos: Path) -> None:
    (photos / "text.jpg").write_bytes(b"<html>")
    (batch,) = trr.here("import", photos, "--source", "deadline", "--json").json["batches"]
    trr("run")
    with psycopg.connect(trr.environment["TRR_DATABASE_URL"]) as conn:
        conn.execute(
            "update core.media_assets set source_url = 'https://photos.example/%00%FF%0A%1B%F0%9F%98%80' || id"
        )
    (ran,) = trr("run", "--batch", batch, "--json").json
    assert (ran["succeeded"], ran["problem"], ran["failed_by_reason"]) == (True, "", {"not_an_image": 1})


def test_a_run_that_finds_its_photos_complete_ends_with_0(trr: Trr, photos: Path) -> None:
    (photos / "text.jpg").write_bytes(b"<html>")
    (batch,) = trr.here("import", photos, "--source", "deadline", "--json").json["batches"]
    assert trr("run").code == 0
    assert trr("run", "--batch", batch).code == 0


# Bad input: refused in one line ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("empty.csv", "", ("empty.csv: the manifest holds no rows",)),
        ("empty.jsonl", "", ("empty.jsonl: the manifest holds no rows",)),
        ("unknown.csv", "url,titel\nx,y\n", ("unknown column 'titel'", "known are path, url")),
        ("latin.csv", "url,caption\nx,caf\udce9\n", ("latin.csv: not UTF-8 at byte 17",)),
    ],
)
def test_an_unusable_manifest_is_a_one_line_error(trr: Trr, name: str, text: str, parts: tuple[str, ...]) -> None:
    (trr.folder / name).write_bytes(os.fsencode(text))
    one_line(trr.here("import", name, "--source", "deadline"), *parts)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("import", "nowhere", "--source", "s"), ("nowhere: no such file or folder",)),
        (("import", ".", "--source", "!"), ("source '!' has no letter or digit",)),
        (("import", ".", "--source", "s", "--season", "2"), ("season 2 is set without a show",)),
        (("import", ".", "--source", "s", "--kind", "painting"), ("unknown kind 'painting'",)),
        (("run", "--batch", "20260212-unknown-00001"), ("no import batch '20260212-unknown-00001'",)),
        (("render", "a.jpg", "--out", "out", "--crop", "manual,1,2"), ("a crop must be manual,X,Y,ZOOM",)),
        (("render", "a.jpg", "--out", "out", "--crop", "square,1,2,3"), ("must be manual or auto, not 'square'",)),
        (("render", "a.jpg", "--out", "out", "--crop", "manual,101,2,3"), ("101",)),
        (("demo", "--photos", "nowhere"), ("nowhere: no such folder",)),
    ],
)
def test_a_wrong_argument_is_a_one_line_error(trr: Trr, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    result = trr.here(*arguments)
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("trr: ")
    for part in parts:
        assert part in result.err


@pytest.mark.parametrize(
    "arguments", [("import",), ("nonsense",), ("run", "--nonsense"), ("import", "x", "--season", "two")]
)
def test_wrong_usage_exits_with_2(trr: Trr, arguments: tuple[str, ...]) -> None:
    result = trr.here(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Error" in result.err


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("TRR_DATABASE_URL", "mysql://u:hunter2@db/x", "TRR_DATABASE_URL: "),
        ("TRR_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x", "cannot reach the database: "),
        ("TRR_API_PORT", "99999", "TRR_API_PORT: "),
        ("TRR_FETCH_ALLOW_NETWORKS", "everything", "TRR_FETCH_ALLOW_NETWORKS: "),
        ("TRR_MEDIA_STORE", "ftp://x", "an object store is file:DIRECTORY or s3://BUCKET/PREFIX, not 'ftp://x'"),
        ("TRR_MEDIA_STORE", "file:/proc/no/such", "the object store's directory /proc/no/such cannot be made"),
        ("TRR_HOME", "~no-such-user/x", "TRR_HOME: "),
    ],
)
def test_a_wrong_setting_is_a_one_line_error_without_secrets(trr: Trr, name: str, value: str, part: str) -> None:
    trr.environment[name] = value
    result = trr.here("status")
    one_line(result, part)
    assert "hunter2" not in result.err


def test_a_database_without_our_schema_is_refused_with_the_command_that_fixes_it(
    trr: Trr, empty_database_url: str
) -> None:
    trr.environment["TRR_DATABASE_URL"] = empty_database_url
    one_line(trr.here("status"), "holds no TRR schema; run: trr db upgrade")
    upgraded = trr("db", "upgrade", "--json").json
    assert upgraded["catalogue"] == {"before": None, "after": schema.known_revisions()[-1]}
    assert trr.here("status").code == 0


def test_a_database_of_other_software_is_refused(trr: Trr, empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as conn:
        conn.execute("create schema core")
    trr.environment["TRR_DATABASE_URL"] = empty_database_url
    for command in (("status",), ("db", "upgrade")):
        one_line(trr.here(*command), 'holds a schema "core" that is not ours', "TRR_DATABASE_URL")


@pytest.mark.parametrize(
    ("setting", "part"), [("TRR_API_PORT", "for the API"), ("TRR_DAGSTER_PORT", "for the Dagster UI")]
)
def test_a_port_in_use_is_a_one_line_error_naming_its_setting(trr: Trr, setting: str, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        trr.environment |= {"TRR_API_PORT": free_port(), "TRR_DAGSTER_PORT": free_port(), setting: port}
        one_line(trr("up"), f"port {port} {part} is in use", f"give another in {setting}")


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_a_home_that_is_a_file_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    one_line(Trr(tmp_path)("status"), f"cannot use {tmp_path / 'home'} for the embedded database: File exists")


def test_a_missing_dagster_yaml_is_named_in_the_error(trr: Trr, photos: Path) -> None:
    installed = trr.folder / "installed"  # only the package, as in a wheel
    package = Path(schema.__file__).parents[1]
    shutil.copytree(package, installed / "trr_pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    trr.here("import", photos, "--source", "deadline")
    trr.environment |= {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    one_line(trr("run"), f"{installed / 'dagster.yaml'} is missing: run this from a checkout")


# The machine -------------------------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system")


@needs_root
def test_a_full_disk_fails_the_photos_that_do_not_fit_and_loses_none(trr: Trr, photos: Path) -> None:
    """2 MB hold some of the photos; with more space, a second run completes the rest."""
    for number in range(12):
        (photos / f"{number}.jpg").write_bytes(pictures.jpeg(1200, 900, seed=10 + number))
    media = trr.folder / "media"
    media.mkdir()
    trr.environment["TRR_MEDIA_STORE"] = f"file:{media}"
    trr.here("import", photos, "--source", "deadline")
    kept = trr.folder / "kept"
    script = f'mount -t tmpfs -o size=2m none {media} && "$@"; code=$?; cp -a {media} {kept}; exit $code'
    result = trr("run", "--json", wrapper=("unshare", "-m", "sh", "-c", script, "sh"))
    assert result.code == (0 if result.json[0]["photos"] else 1), result
    assert set(result.json[0]["failed_by_reason"]) == {"disk_full"}
    reasons = trr.here("status", "--json").json["failed_by_reason"]
    assert set(reasons) == {"disk_full"}
    assert not list(kept.glob(".incoming/*"))
    shutil.copytree(kept, media, dirs_exist_ok=True)
    assert trr.here("reconcile", "--json").json["rows_without_objects"] == 0
    with psycopg.connect(trr.environment["TRR_DATABASE_URL"]) as conn:
        conn.execute("update core.variant_generations set next_attempt_at = now() where state = 'failed'")
    batch = trr("run", "--json", "--batch", *batches(trr)).json
    assert batch[0]["succeeded"]
    assert trr.here("status", "--json").json["assets"] == {"pending": 0, "mirrored": 14, "failed": 0}
    assert trr.here("reconcile").code == 0


needs_compiler = pytest.mark.skipif(not has_compiler, reason="a C compiler makes the library that refuses hard links")


@needs_compiler
def test_photos_are_stored_on_a_file_system_without_hard_links(trr: Trr, photos: Path) -> None:
    trr.environment |= without_hard_links(trr.folder / "library", exclusive_rename=True)
    trr.environment["TRR_MEDIA_STORE"] = f"file:{trr.folder / 'media'}"
    trr("import", photos, "--source", "deadline")
    (ran,) = trr("run", "--json").json
    assert (ran["photos"], ran["failed_by_reason"]) == (2, {})
    assert trr("reconcile", "--hashes").code == 0
    assert "TRR_MEDIA_STORE" not in lacking(trr)


@needs_compiler
def test_a_file_system_that_cannot_store_atomically_is_refused_by_every_command_and_the_doctor(
    trr: Trr, photos: Path
) -> None:
    trr.here("import", photos, "--source", "deadline")
    trr.environment |= without_hard_links(trr.folder / "library", exclusive_rename=False)
    trr.environment["TRR_MEDIA_STORE"] = f"file:{trr.folder / 'media'}"
    why = "the file system has neither hard links nor a rename that keeps an existing file"
    one_line(trr("run"), f"no object store can be in {trr.folder / 'media'}: {why}")
    assert why in lacking(trr)["TRR_MEDIA_STORE"]


def lacking(trr: Trr) -> dict[str, str]:
    findings = trr("doctor", "--json").json
    return {one["name"]: one["problem"] for one in findings["deployments"]["backend"] if not one["ok"]}


def batches(trr: Trr) -> list[str]:
    with psycopg.connect(trr.environment["TRR_DATABASE_URL"]) as conn:
        return [row[0] for row in conn.execute("select key from core.import_batches order by key")]
