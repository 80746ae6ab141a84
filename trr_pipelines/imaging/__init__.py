"""Pictures: bytes in, bytes out.

Pure: no network, database, environment or clock. The same bytes, recipe and crop give the same output bytes
under the pinned codecs. What runs this code, and under which limits, is decided in `compute`.
"""
