"""Benchmark a network on datasets: python srzoo/test.py -opt FILE [--set key.path=value ...]."""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the checkout comes first on the path, not this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from srzoo.command import Arguments, run_script


def test(arguments: Arguments) -> None:
    """Score the network of an option file on its test sets and print a table."""
    from srzoo.options import load_options

    loaded = load_options(arguments.opt, arguments.set)
    options = loaded.options

    from srzoo import ranks
    from srzoo.components import build_datasets, build_network, build_scorer, load_pretrained
    from srzoo.data.listing import UnusedImagesError
    from srzoo.engine.log import log_to, logger
    from srzoo.engine.run_folder import RunFolder
    from srzoo.engine.tables import conditions_line, score_table
    from srzoo.optim.precision import set_process

    device = ranks.initialise()
    log_to()
    set_process(options.val.precision, deterministic=options.deterministic)
    folder = RunFolder(options.run_folder)
    earlier = [name for name in options.datasets.test if folder.results_of(name).exists()]
    if earlier and not arguments.overwrite:
        raise ValueError(
            f"{folder.results} holds results of {', '.join(earlier)} from an earlier run; replace them with "
            "--overwrite, or give this run another name (--set name=...)"
        )
    data = build_datasets(options, ("test",), full_check=arguments.debug, set_aside=True)["test"]
    if not data:
        raise ValueError(f"{arguments.opt} has no `datasets.test` section; to train use train.py")
    net, weights = build_network(options), options.path.pretrain_network_g
    if weights is None and any(True for _ in net.parameters()):
        raise ValueError("path.pretrain_network_g is missing: without weights the network's output is noise")
    load_pretrained(options, net)
    scorer = build_scorer(options, folder, data, device)
    results = scorer.score(net, weights)
    ranks.barrier()  # all ranks have looked at the folder before rank 0 writes to it
    ranks.on_main(lambda: folder.record(loaded.text, "_test"))
    scores = {each.dataset: each.mean() for each in results}
    logger.info(score_table(f"{options.network_g.type} x{options.scale}", scores, scorer.metrics))
    logger.info(conditions_line(scorer.inference, weights.name if weights else "none", ranks.device_name(device)))
    logger.info(f"per-image results: {folder.results}")
    unused = [fault for dataset in data.values() for fault in getattr(dataset, "unused", ())]
    if unused:
        raise UnusedImagesError(unused)


if __name__ == "__main__":
    run_script("srzoo.commands.test")
