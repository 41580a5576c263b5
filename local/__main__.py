"""`python -m local`: the whole pipeline on this machine, from sample events in Kafka to rows in BigQuery."""

import sys

from local.interrupts import interrupts


def main() -> int:
    """Run a command; Ctrl-C at any moment ends it with one line at most."""
    interrupts.install()
    try:
        with interrupts.held():
            from local.command import execute  # noqa: PLC0415 - a second of imports, begun with signals handled
        return execute(sys.argv[1:])
    except KeyboardInterrupt:
        print("local: stopped", file=sys.stderr)
        return 130
    finally:
        interrupts.ignore()


if __name__ == "__main__":
    sys.exit(main())
