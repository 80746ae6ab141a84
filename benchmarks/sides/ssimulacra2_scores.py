"""SSIMULACRA2 of pairs of PNG files: reads `reference<TAB>derivative` from stdin, answers each with a line.

Runs in a separate environment and imports nothing from the product.
"""

from __future__ import annotations

import sys

from ssimulacra2 import compute_ssimulacra2

for line in sys.stdin:
    print(compute_ssimulacra2(*line.rstrip("\n").split("\t")), flush=True)
