"""`python -m failoverd.demo`: the demo without the rest of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from failoverd.demo import main
from failoverd.demo.pair import Fault

if __name__ == "__main__":
    options = argparse.ArgumentParser(prog="python -m failoverd.demo")
    options.add_argument("--fault", choices=[str(fault) for fault in Fault], default="crash")
    options.add_argument("--keep", action="store_true")
    options.add_argument("--postgres", type=Path)
    given = options.parse_args()
    sys.exit(main(given.fault, given.keep, given.postgres))
