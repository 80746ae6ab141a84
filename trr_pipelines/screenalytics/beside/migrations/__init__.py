"""Alembic's environment and the revisions of `trr_face_bank`, each in SQL beside a two-line Python file.

Every statement makes what is missing and leaves what is there: `trr db upgrade` runs them all again after a table is
lost. No statement here changes an object of another schema.
"""
