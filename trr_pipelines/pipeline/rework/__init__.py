"""Rework: backfills and their feed, reprocessing, runs of listed photos, and the estimate of their cost."""
