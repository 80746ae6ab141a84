"""A short run of the fuzz script `python -m benchmarks.fuzz_decoder`."""

from __future__ import annotations

from benchmarks.fuzz_decoder import fuzz, seed_files
from trr_pipelines.imaging.decode import decode


def test_every_seed_is_a_valid_picture() -> None:
    assert {decode(data).info.format for data in seed_files()} == {
        "jpeg",
        "png",
        "webp",
        "gif",
        "avif",
        "tiff",
        "bmp",
        "heic",
    }


def test_damaged_files_complete_or_fail_with_a_reason_and_leave_nothing_behind() -> None:
    findings = fuzz(count=400, seed=7)

    assert findings.faults == []
    assert sum(findings.ends.values()) == 400
    assert {"complete", "truncated", "corrupt"} <= set(findings.ends)
