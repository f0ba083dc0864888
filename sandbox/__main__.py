"""`python -m sandbox` is `sandbox`."""

import sys

from .cli import main

sys.exit(main())
