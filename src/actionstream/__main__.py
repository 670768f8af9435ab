"""`python -m actionstream` is `actionstream`."""

import sys

from actionstream.cli import main

if __name__ == "__main__":
    sys.exit(main())
