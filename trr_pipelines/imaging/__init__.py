"""Images: bytes in, bytes out.

Pure: no network, database, environment or clock. The same bytes, recipe and crop give the same output bytes with the
pinned codecs. In which processes and with which limits this code runs is decided in `compute`.
"""
