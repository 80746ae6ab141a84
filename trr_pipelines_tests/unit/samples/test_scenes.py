"""Sample scenes: deterministic, with the statistics of photographs."""

from __future__ import annotations

import io

import numpy as np
import pytest

from trr_pipelines.samples import scenes


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(scene: str) -> None:
    first, again, other = (scenes.photograph(scene, 120, 80, seed).tobytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_a_scene_compresses_like_a_photograph(scene: str) -> None:
    """At quality 80 real photos take about 0.03 to 0.33 bytes per pixel; flat drawings less, noise 0.6 and more."""
    buffer = io.BytesIO()
    scenes.photograph(scene, 1200, 800, 3).save(buffer, "JPEG", quality=80)
    assert 0.03 < buffer.tell() / (1200 * 800) < 0.33


@pytest.mark.parametrize("scene", scenes.SCENES)
def test_the_spectrum_falls_like_that_of_a_photograph(scene: str) -> None:
    """Amplitude falls near 1 / frequency: a slope of -0.5 to -2 over two octaves and more."""
    side = 512
    grey = np.asarray(scenes.photograph(scene, side, side, 4).convert("L"), np.float64)
    window = np.hanning(side)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((grey - grey.mean()) * window[:, None] * window)))
    rows, columns = np.indices(spectrum.shape) - side // 2
    radius = np.hypot(rows, columns).astype(int).ravel()
    amplitude = np.bincount(radius, spectrum.ravel()) / np.bincount(radius)
    frequencies = np.arange(4, 128)
    slope = np.polyfit(np.log(frequencies), np.log(amplitude[frequencies]), 1)[0]
    assert -2.0 < slope < -0.5
