"""`python -m tests.infra.offline.extract SCHEMA.json`: keep of the provider's schema what terraform/ uses."""

import json
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
TERRAFORM = FOLDER.parents[2] / "terraform"


def main(schema: Path) -> None:
    """Write google.json, a type a line."""
    full = json.loads(schema.read_text())
    text = "".join(path.read_text() for path in TERRAFORM.glob("*.tf"))
    lines = []
    for section, word in (("resources", "resource"), ("data", "data")):
        names = sorted(set(re.findall(rf'^{word} "(google_\w+)"', text, re.MULTILINE)))
        types = ",\n".join(f"{json.dumps(n)}: {json.dumps(full[section][n], sort_keys=True)}" for n in names)
        lines.append(f'"{section}": {{\n{types}\n}}')
    (FOLDER / "google.json").write_text(f'{{"version": "{full["version"]}",\n' + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
