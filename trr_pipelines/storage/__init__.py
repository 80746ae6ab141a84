"""Object storage: object keys (pure), and object stores behind one small interface.

Nothing here knows the catalogue or decodes an image.
"""
