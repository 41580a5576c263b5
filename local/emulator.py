"""`python -m local.emulator`: bqemulator's own command with a fix for columns of records."""

import sys

from bqemulator import cli

from local.record_columns import know_record_columns

if __name__ == "__main__":
    know_record_columns()
    sys.exit(cli.main())
