"""The catalogue in PostgreSQL: migrations, named SQL, row types, and functions that take a connection.

No use case belongs here, and no file contents.
"""
