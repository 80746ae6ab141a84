"""Reports of a batch: all of them are read in one snapshot, and agree with each other."""

from __future__ import annotations

from pathlib import Path

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.reporting import batches
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, run


def test_all_reports_of_a_batch_come_in_one_call(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> None:
    files = {"a.jpg": pictures.jpeg(900, 1200), "text.jpg": b"<html>"}
    batch = import_files(archive, tmp_path / "in", files)
    run(archive, batch, pool=render_pool)
    reports = batches.report_batch(archive, batch)
    assert reports.originals.numbers["photos"] == 2
    assert (reports.originals.numbers["mirrored"], reports.originals.numbers["failed"]) == (1, 1)
    assert [row["file"] for row in reports.originals.failures] == ["text.jpg"]
    assert (reports.base.numbers["complete"], len(reports.base.details)) == (1, 1)
    assert reports.proposals.numbers["auto"] == 1
    assert reports.crops.numbers["complete"] == 1
    assert reports.galleries == []
