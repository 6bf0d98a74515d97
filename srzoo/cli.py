"""`srzoo COMMAND ...`: the table of commands and the way from a command line to the module that runs it.

Only the module of the command that was asked for is imported, so that ``srzoo --help`` answers at once.
"""

import argparse
import difflib
import shutil
import sys
import textwrap
from collections.abc import Sequence

from srzoo import __version__
from srzoo.command import Arguments, HelpText, execute, load_command, parser_of

# Name -> (module, one line of help). A new command is a line here and a file in srzoo/commands/.
# A name of two words is an action of a group.
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("srzoo.commands.train", "train a network"),
    "test": ("srzoo.commands.test", "score a network on test datasets"),
    "sweep": ("srzoo.commands.sweep", "train, test and compare the variants of a study"),
    "compare": ("srzoo.commands.compare", "compare networks image by image: intervals, tests, tables"),
    "upscale": ("srzoo.commands.upscale", "enlarge images and videos by a network"),
    "blend": ("srzoo.commands.blend", "interpolate between the weights of two networks"),
    "report": ("srzoo.commands.report", "write one HTML page about runs: scores, curves, pictures, provenance"),
    "profile": ("srzoo.commands.profile", "count and measure what networks cost, side by side"),
    "fuse": ("srzoo.commands.fuse", "merge re-parameterisable blocks for deployment"),
    "export": ("srzoo.commands.export", "write a network for another runtime: ONNX, ncnn, TFLite, torch.export"),
    "options show": ("srzoo.commands.options_show", "print an option file with inheritance and defaults written out"),
    "options explain": ("srzoo.commands.options_explain", "print type, unit, default and meaning of an option"),
    "options docs": ("srzoo.commands.options_docs", "write the option reference and the JSON schema for editors"),
    "convert weights": ("srzoo.commands.convert_weights", "convert weights from any published layout, and back"),
    "convert options": ("srzoo.commands.convert_options", "convert option files of BasicSR and projects built on it"),
    "data get": ("srzoo.commands.data_get", "get published datasets and weights"),
    "data info": ("srzoo.commands.data_info", "summarise a folder of images; contact sheet"),
    "data make-lr": ("srzoo.commands.data_make_lr", "make LR files from GT, bit for bit as published ones"),
    "data subimages": ("srzoo.commands.data_subimages", "cut training images into sub-images"),
    "data list": ("srzoo.commands.data_list", "write a list of pairs"),
    "data meta-info": ("srzoo.commands.data_meta_info", "write a BasicSR meta_info file"),
    "data degrade": ("srzoo.commands.data_degrade", "make the test degradations of Reflash Dropout"),
    "data check": ("srzoo.commands.data_check", "examine the datasets of an option file before a training"),
    "data pack": ("srzoo.commands.data_pack", "pack a folder of images for fast training"),
    "data manifest": ("srzoo.commands.data_manifest", "compare the files that two runs used"),
    "analyze lam": ("srzoo.commands.analyze_lam", "local attribution maps, diffusion index"),
    "analyze erf": ("srzoo.commands.analyze_erf", "effective receptive field"),
    "analyze saliency": ("srzoo.commands.analyze_saliency", "channel saliency maps, ablation of channels"),
    "analyze degradation": ("srzoo.commands.analyze_degradation", "how far features tell degradations apart"),
    "analyze features": ("srzoo.commands.analyze_features", "feature maps, and statistics of their channels"),
    "analyze errors": ("srzoo.commands.analyze_errors", "error maps, PSNR by edges and frequency"),
    "analyze similarity": ("srzoo.commands.analyze_similarity", "which layers of two networks are alike"),
    "doctor": ("srzoo.commands.doctor", "check this machine: Python, PyTorch, GPU, codecs, disk"),
}

# First word of such a name -> one line of help.
GROUPS: dict[str, str] = {
    "options": "show, explain and document option files",
    "convert": "convert weights and option files of other projects",
    "data": "prepare datasets",
    "analyze": "explain the output of a network",
}


def main() -> None:
    """Run the command line and end the interpreter with its exit code."""
    arguments = parse(sys.argv[1:])
    sys.exit(execute(arguments.run, arguments))


def parse(words: Sequence[str]) -> Arguments:
    """Parse a command line; the result has the command's arguments, and its function as `run`.

    Ends the interpreter for --help and --version (exit code 0) and for a wrong command line (2), as argparse does.
    """
    name, rest = _split(words)
    command = load_command(COMMANDS[name][0])
    arguments = parser_of(command, f"srzoo {name}").parse_args(rest)
    arguments.run = command.run
    return arguments


def _split(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Split a command line into the name of a command and its arguments."""
    group, rest = "", words
    while True:
        parser = _parser_of_group(group)
        # One word at a time: the rest, `--help` included, belongs to the command.
        word: str | None = parser.parse_args(rest[:1]).name
        if word is None:
            parser.error(f"expected one of: {', '.join(_members(group))}")
        name, rest = f"{group} {word}".lstrip(), rest[1:]
        if name in COMMANDS:
            return name, rest
        if name not in GROUPS:
            parser.error(f"unknown command {name!r}; {_suggestion(group, word)}")
        group = name


def _parser_of_group(group: str) -> argparse.ArgumentParser:
    """Return a parser for one word, the name of a command; its help lists the group (or everything, for "")."""
    prog, word = (f"srzoo {group}", "ACTION") if group else ("srzoo", "COMMAND")
    parser = argparse.ArgumentParser(prog=prog, usage=f"{prog} {word} ...", formatter_class=HelpText)
    parser.add_argument("name", nargs="?", help=argparse.SUPPRESS)
    if group:
        parser.description = f"{GROUPS[group].capitalize()}."
    else:
        parser.description = "Super-resolution research in which every number can be checked."
        parser.add_argument("--version", action="version", version=f"srzoo {__version__}")
    rows = "\n".join(_rows(group))
    footer = f"`{prog} {word} --help` explains its arguments and gives an example."
    parser.epilog = f"{word.lower()}s:\n{rows}\n\n{footer}"
    return parser


def _members(group: str) -> list[str]:
    """List the words that may follow the group's name (or `srzoo`, for ""): groups once, in the order of the table."""
    prefix = f"{group} ".lstrip()
    return list(dict.fromkeys(name[len(prefix) :].split()[0] for name in COMMANDS if name.startswith(prefix)))


def _rows(group: str) -> list[str]:
    """Lay out the members of a group, one per row; members that are groups list their actions below."""
    members = _members(group)
    column = max(map(len, members)) + 4
    width = max(shutil.get_terminal_size().columns, column + 20)
    rows: list[str] = []
    for member in members:
        name = f"{group} {member}".lstrip()
        lines = [COMMANDS[name][1]] if name in COMMANDS else [GROUPS[name], f"({', '.join(_members(name))})"]
        wrapped = [part for line in lines for part in textwrap.wrap(line, width - column)]
        # The first row carries the name, the others are indented to the same column.
        rows += [f"  {member if not number else '':<{column - 2}}{part}" for number, part in enumerate(wrapped)]
    return rows


def _suggestion(group: str, word: str) -> str:
    """Return "did you mean ...?" with the closest names, else the list of all names in the group."""
    near = [f"{group} {member}".lstrip() for member in difflib.get_close_matches(word, _members(group))]
    # The action of another group without the group's name: `degrade` for `data degrade`.
    near += [name for name in COMMANDS if difflib.get_close_matches(word, [name.split()[-1]])]
    if near:
        return "did you mean " + " or ".join(repr(name) for name in dict.fromkeys(near)) + "?"
    return "known: " + ", ".join(_members(group))


if __name__ == "__main__":
    main()
