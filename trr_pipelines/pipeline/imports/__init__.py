"""Imports: manifests and folders read, photos registered, originals fetched safely and mirrored."""
