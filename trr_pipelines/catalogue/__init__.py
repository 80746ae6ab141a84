"""What is known about photos: migrations, named SQL, row types and functions (conn, …) → rows.

No use case lives here, and no bytes: only what stands in PostgreSQL.
"""
