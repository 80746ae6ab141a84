"""Where bytes rest: object keys (pure), and object stores behind one small interface.

Nothing here knows the catalogue or decodes a picture.
"""
