"""`python -m trr_pipelines` is `trr`."""

from trr_pipelines.cli import main

main()
