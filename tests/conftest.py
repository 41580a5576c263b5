"""What all tests start from: the frozen catalog of tests/catalogue; one's own streams fail no test."""

import os
from pathlib import Path

from decoder.streams import CATALOG

# Set before main.py is imported, and inherited by every process that a test starts.
os.environ[CATALOG] = str(Path(__file__).parent / "catalogue")
