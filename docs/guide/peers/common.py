"""What the scripts of this folder share."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def enter():
    """Goes to the folder that the first argument names, if there is one, so that files are written there."""
    os.chdir(sys.argv[1] if len(sys.argv) > 1 else HERE)


def compare(written, committed):
    """Fails if an array differs from the committed one of the same name by more than rounding."""
    import numpy

    assert written.keys() == committed.keys(), sorted(written.keys() ^ committed.keys())
    for name in written.keys():
        assert numpy.allclose(written[name], committed[name], rtol=0, atol=1e-9), name
