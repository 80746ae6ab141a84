"""Galleries: pages, the choice of served files, photo details, shows and people, view counts."""
