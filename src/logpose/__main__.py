"""`python -m logpose`: the command `logpose`, where its folder is not on the path."""

import sys

from logpose.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
