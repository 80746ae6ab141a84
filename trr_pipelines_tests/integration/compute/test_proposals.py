"""Proposing crops in render processes, with few open files and little memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from trr_pipelines.compute.pool import MAX_IDLE_BYTES, RenderPool
from trr_pipelines.imaging.recipes import CROP
from trr_pipelines.imaging.render import RenderRequest, render
from trr_pipelines_tests import pictures
from trr_pipelines_tests.drawn_faces import crowd

PROPOSE = RenderRequest(None, CROP)


@pytest.fixture(scope="module")
def pool() -> Iterator[RenderPool]:
    with RenderPool(1) as opened:
        yield opened


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (crowd(1600, 900, [(1000, 200, 500)]), "1 face"),
        (crowd(900, 1600, [(100, 1000, 300), (500, 1000, 300)]), "2 faces"),
        (Image.new("RGB", (1600, 900), (9, 9, 9)), "upper third"),
        (Image.new("RGBA", (700, 900)), "upper third"),
        (Image.new("L", (1, 1)), "upper third"),
        (Image.new("L", (1, 5000)), "upper third"),
        (Image.linear_gradient("L").rotate(90).resize((5000, 40)), "saliency"),
    ],
)
def test_a_render_process_proposes_the_same_crop_as_this_process(
    pool: RenderPool, picture: Image.Image, reason: str
) -> None:
    data = pictures.saved(picture, "PNG")
    there, here = pool.render(data, PROPOSE, name="photo"), render(data, PROPOSE)
    assert (there.proposal, there.proposal_reason) == (here.proposal, here.proposal_reason)
    assert there.proposal_reason == reason


def test_proposing_crops_needs_little_memory(pool: RenderPool) -> None:
    photo = pictures.saved(crowd(1600, 900, [(1000, 200, 500)]), "JPEG")
    sizes = []
    for _ in range(12):
        pool.render(photo, PROPOSE, name="photo")
        (pid,) = pool.processes()
        sizes.append(resident_bytes(pid))
    assert max(sizes) < MAX_IDLE_BYTES
    assert sizes[-1] < sizes[3] * 1.1
