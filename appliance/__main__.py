"""``python -m appliance``: the same as ``seedkeep``. This module only calls it."""

import sys

from appliance.cli import main

if __name__ == "__main__":
    sys.exit(main())
