"""`python -m blixard`, the same as the console script."""

import sys

from blixard.cli import main

if __name__ == "__main__":
    sys.exit(main())
