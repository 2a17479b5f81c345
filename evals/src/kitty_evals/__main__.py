"""`python -m kitty_evals`."""

import sys

from kitty_evals.main import main

sys.exit(main())
