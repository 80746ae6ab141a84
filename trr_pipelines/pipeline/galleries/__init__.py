"""Galleries: pages, which files are served of a photo, one photo in detail, shows and people, view counts."""
