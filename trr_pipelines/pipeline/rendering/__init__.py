"""Rendering: the derivatives of each photo, one batch at a time, as files, and as contact sheets."""
