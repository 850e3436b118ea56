"""``liminal`` and ``python -m liminal_mesh``."""

import sys

from liminal_mesh.node.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
