"""`srzoo options docs`: the option reference and the JSON schema for editors."""

import argparse
import json
import sys
from pathlib import Path

from srzoo.command import Arguments
from srzoo.commands.arguments import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder to write to."""
    describe(
        parser,
        "Write options.md, the reference of all options, and options.schema.json, a JSON schema with which editors "
        "complete and check option files. Existing files of these names are replaced.",
        "docs",
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("docs"), metavar="FOLDER", help="where to write (default: docs)"
    )


def run(arguments: Arguments) -> None:
    """Write both files."""
    from srzoo.atomic import write_text
    from srzoo.options.describe import editor_schema, markdown

    write_text(arguments.folder / "options.md", markdown())
    write_text(arguments.folder / "options.schema.json", json.dumps(editor_schema(), indent=1) + "\n")
    sys.stdout.write(f"wrote options.md and options.schema.json to {arguments.folder}\n")
