"""Rework: backfills and their feed, reprocessing, runs of scattered photos, and what all of them cost."""
