"""The sample archive: generated photo-like files for the demo and for benchmarks without a photo folder.

The set resembles the deliveries of sources, faults included, and every pixel is drawn from a fixed seed. Names of shows
and people are placeholders. Nothing here is used to process real photos.
"""

from trr_pipelines.samples.archive import MANIFEST_COLUMNS, MANIFEST_NAME, write_samples

__all__ = ["MANIFEST_COLUMNS", "MANIFEST_NAME", "write_samples"]
