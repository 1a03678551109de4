"""``python -m agiwb`` is the command line."""

import sys

from agiwb.cli import main

if __name__ == "__main__":
    sys.exit(main())
