"""Photo derivatives for TRR, an entertainment archive: imported, rendered, catalogued, served."""

import os
import sys

# `python -m` puts the current folder first on the search path, where a file named like a library, such as secrets.py,
# would be imported instead of it. While it looks for the module, the first argument is "-m".
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    _parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH120, PTH100  pathlib is not imported yet
    if os.path.abspath(sys.path[0]) != _parent:  # noqa: PTH100
        del sys.path[0]
