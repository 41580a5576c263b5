"""`python -m tests.infra.readme`: write the tables of terraform/README.md from its variables and outputs."""

import json
from pathlib import Path

import hcl2.api

FOLDER = Path(__file__).parents[2] / "terraform"
README = FOLDER / "README.md"
MARK = "<!-- generated below: make terraform-readme -->\n"


def with_tables(text: str) -> str:
    """Return the text with new tables below its mark."""
    return text.partition(MARK)[0] + MARK + "\n" + _inputs() + "\n" + _outputs()


def _inputs() -> str:
    lines = ["## Inputs", "", "| name | default | |", "|---|---|---|"]
    for entry in _parsed("variables.tf")["variable"]:
        for name, variable in entry.items():
            default = "required" if "default" not in variable else f"`{_shown(variable['default'])}`"
            lines.append(f"| `{name}` | {default} | {_text(str(variable['description']))} |")
    return "\n".join(lines) + "\n"


def _outputs() -> str:
    lines = ["## Outputs", "", "| name | |", "|---|---|"]
    for entry in _parsed("outputs.tf")["output"]:
        lines += [f"| `{name}` | {_text(str(output['description']))} |" for name, output in entry.items()]
    return "\n".join(lines) + "\n"


def _parsed(name: str) -> dict[str, list[dict[str, dict[str, object]]]]:
    with (FOLDER / name).open() as file:
        parsed: dict[str, list[dict[str, dict[str, object]]]] = hcl2.api.load(file)
    return parsed


def _shown(default: object) -> str:
    return json.dumps(default) if default is None or isinstance(default, bool) else str(default)


def _text(description: str) -> str:
    lines = description.strip('"').splitlines()
    return " ".join(line.strip() for line in lines if not line.strip().endswith("EOT")).replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
