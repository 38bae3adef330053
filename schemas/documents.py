"""`python -m schemas.documents` writes the documents that are made from the contracts.

`schemas/json/` holds a JSON Schema for each MQTT payload, `docs/asyncapi.yaml` all channels. Both
are committed; a test finds what is out of date.
"""

import tomllib
from pathlib import Path
from typing import Final

import orjson

from schemas.asyncapi import document
from schemas.json_schema import NAMES, payload_schema

ROOT: Final = Path(__file__).parents[1]


def documents() -> dict[Path, str]:
    """Path in the repository → what the file must hold."""
    # Here, not at the top: a tool of the developers, that no installation needs.
    import yaml  # noqa: PLC0415

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    files = {
        Path("schemas/json") / f"{name}.schema.json": orjson.dumps(
            payload_schema(name), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        ).decode()
        for name in NAMES
    }
    head = "# Written by `make contracts` from schemas/; a test keeps it true.\n"
    body = yaml.safe_dump(
        document(project["version"]), sort_keys=False, allow_unicode=True, width=100
    )
    return {**files, Path("docs/asyncapi.yaml"): head + body}


def main() -> int:
    """Write every document."""
    for path, text in documents().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
