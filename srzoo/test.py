"""Benchmark networks on datasets: python srzoo/test.py -opt FILE ... [--set key.path=value ...]."""

import functools
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the checkout comes first on the path, not this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from srzoo.command import Arguments, run_script


def test(arguments: Arguments) -> None:
    """Score the networks of option files on their test sets and print a table of each; of several, one of all too."""
    from srzoo.options import load_options

    files = arguments.opt if isinstance(arguments.opt, list) else [arguments.opt]
    # The faults of every file come before any network is scored.
    loaded = [load_options(file, arguments.set) for file in files]

    from srzoo import heap, ranks
    from srzoo.atomic import write_text
    from srzoo.benchmark import benchmark, refuse_used_folders, with_costs
    from srzoo.data.listing import UnusedImagesError
    from srzoo.engine.log import log_to, logger
    from srzoo.engine.tables import table
    from srzoo.report.scores import formatted, note, rows

    file: Path | None = getattr(arguments, "table", None)
    if file is not None:
        formatted([], file, "")  # an unknown suffix ends the command here
    device = ranks.initialise()
    if device.type == "cpu":
        heap.keep_freed()
    log_to()
    if not arguments.overwrite:
        refuse_used_folders([each.options for each in loaded])
    networks, unused = [], []
    for each, source in zip(loaded, files, strict=True):
        done = benchmark(each, source, device, debug=arguments.debug)
        unused += done.unused
        if len(files) > 1 or file is not None:
            measure = functools.partial(with_costs, done, arguments.input, device, latency=not arguments.no_latency)
            networks.append(ranks.on_main(measure))
    if networks:
        below = note(arguments.input, ranks.device_name(device))
        logger.info(f"\n{table(rows(networks))}\n{below}")
        if file is not None:
            ranks.on_main(lambda: write_text(file, formatted(networks, file, below)))
    if unused:
        raise UnusedImagesError(unused)


if __name__ == "__main__":
    run_script("srzoo.commands.test")
