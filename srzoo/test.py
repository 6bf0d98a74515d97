"""Benchmark a network on test datasets: python srzoo/test.py -opt FILE [--set key.path=value ...]."""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the checkout comes first on the path, not this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from srzoo.command import Arguments, run_script


def test(arguments: Arguments) -> None:
    """Options -> components -> engine."""
    from srzoo.options import load_options

    loaded = load_options(arguments.opt, arguments.set)
    options = loaded.options

    from srzoo import ranks
    from srzoo.components import (
        build_datasets,
        build_metrics,
        build_network,
        load_pretrained,
        scored_form,
        write_scores,
    )
    from srzoo.engine.evaluate import evaluate
    from srzoo.engine.report import log_to, logger, score_table
    from srzoo.engine.run_folder import RunFolder

    device = ranks.initialise()
    log_to()
    folder = RunFolder(options.run_folder)
    earlier = [name for name in options.datasets.test if (folder.results / f"{name}.json").exists()]
    if earlier and not arguments.overwrite:
        raise ValueError(
            f"{folder.results} holds results of {', '.join(earlier)} from an earlier run; replace them with "
            "--overwrite, or give this run another name (--set name=...)"
        )
    data = build_datasets(options, ("test",), full_check=arguments.debug)["test"]
    if not data:
        raise ValueError(f"{arguments.opt} has no `datasets.test` section; to train use train.py")
    net, weights = build_network(options), options.path.pretrain_network_g
    if weights is None and any(True for _ in net.parameters()):
        raise ValueError("path.pretrain_network_g is missing: without weights the network's output is noise")
    load_pretrained(options, net)
    net = scored_form(options, net).to(device)
    metrics = build_metrics(options)
    ranks.barrier()  # everyone has looked at the folder before it is written to
    ranks.on_main(lambda: folder.record(loaded.text, "_test"))
    scores = {}
    for name, dataset in data.items():
        save_to = folder.visualization / name if options.val.save_img else None
        results = evaluate(net, dataset, metrics, name=name, device=device, save_to=save_to)
        scores[name] = results.mean()
        path = options.resolve(weights) if weights else None
        ranks.on_main(
            lambda results=results, dataset=dataset, path=path: write_scores(
                options, folder, results, metrics, dataset, path
            )
        )
    logger.info(score_table(f"{options.network_g.type} x{options.scale}", scores, metrics))
    logger.info(f"per-image results: {folder.results}")


if __name__ == "__main__":
    run_script("srzoo.commands.test")
