"""Train a network from an option file: python srzoo/train.py -opt FILE [--set key.path=value ...] [--resume auto]."""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the checkout comes first on the path, not this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from srzoo.command import Arguments, run, train_parser


def train(arguments: Arguments) -> None:
    """Options -> components -> engine."""
    from srzoo.options import load_options

    loaded = load_options(arguments.opt, arguments.set)
    options, settings = loaded.options, loaded.options.train
    if settings is None:
        raise ValueError(f"{arguments.opt} has no `train` section; to benchmark use test.py")

    from srzoo import ranks
    from srzoo.components import build_datasets, build_hooks, build_loader, build_model, build_pipeline
    from srzoo.engine import loop
    from srzoo.engine.report import Board, log_to, logger
    from srzoo.engine.resume import starting_state
    from srzoo.engine.run_folder import RunFolder

    device = ranks.initialise()
    log_to()
    folder = RunFolder(options.run_folder)
    state = starting_state(folder, arguments.resume, loaded.text)
    start = state["step"] if state else 0
    if start > settings.total_iter:
        raise ValueError(f"{folder.path} has {start} updates already, more than train.total_iter {settings.total_iter}")
    data = build_datasets(options, ("train", "val"), full_check=arguments.debug)
    loader = build_loader(options, data["train"], start, device)
    model = build_model(options, device, state, data["train"])
    pipeline = build_pipeline(options, device, state)
    with folder.locked():
        ranks.on_main(lambda: folder.record(loaded.text, f"_resumed_{start}" if state else ""))
        log_to(folder.path / "train.log")
        board = Board(folder.tensorboard, options.logger.use_tb_logger, purge_step=start + 1)
        count = sum(parameter.numel() for parameter in model.inference_net.parameters())
        what = f"{options.network_g.type} x{options.scale} ({count:,} parameters)"
        logger.info(f"training {what} on {device} from step {start}: {folder.path}")
        hooks, validate = build_hooks(loaded, folder, model, pipeline, data["val"], board, device)
        if state:
            validate.catch_up(start)
        loop.train(
            model,
            loader,
            start=start,
            total=settings.total_iter,
            accumulate=settings.accumulate,
            seed=options.seed,
            device=device,
            hooks=[*hooks, validate],
            prepare=pipeline,
        )
        board.close()
        logger.info(
            f"{settings.total_iter} of {settings.total_iter} updates done: {folder.weights_of(settings.total_iter)}"
        )


if __name__ == "__main__":
    run(train, train_parser)
