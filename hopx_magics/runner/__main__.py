"""Runs the cell in the file that the command line names, or becomes a child that multiprocessing has started for it."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))

if __name__ in ("__main__", "__mp_main__"):
    if "hopx_runner" not in sys.modules:
        sys.path.insert(0, _HERE)
        import hopx_runner.start  # type: ignore[import-not-found]

    sys.path[:] = [path for path in sys.path if path != _HERE]
    if __name__ == "__main__":
        hopx_runner.start.run(sys.argv[1])
    else:
        hopx_runner.start.be_child(globals())
