"""Train a network from an option file: python srzoo/train.py -opt FILE [--set key.path=value ...] [--resume auto]."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # run as a script: the checkout comes first on the path, not this folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from srzoo.command import Arguments, run_script

if TYPE_CHECKING:
    from srzoo.options import LoadedOptions


def train(arguments: Arguments) -> None:
    """Run each training of an option file, in order."""
    from srzoo.chain import run_chain

    run_chain(arguments.opt, arguments.set, arguments.resume, arguments.debug, arguments.accept_changes, train_one)


def train_one(loaded: "LoadedOptions", resume: str, debug: bool, accept_changes: bool) -> None:
    """Run one training, from its start or from where it stopped."""
    options, settings = loaded.options, loaded.options.train
    assert settings is not None

    from srzoo import components, heap, inputs, micro_batches, ranks, training
    from srzoo.engine import loop
    from srzoo.engine.log import log_to, logger
    from srzoo.engine.resume import set_aside, starting_state
    from srzoo.engine.run_folder import RunFolder
    from srzoo.engine.tensorboard import Board
    from srzoo.engine.watch import Watch
    from srzoo.optim.precision import set_process

    device = ranks.initialise()
    if device.type == "cpu":
        heap.keep_freed()
    log_to()
    set_process(options.precision, deterministic=options.deterministic)
    folder, total = RunFolder(options.run_folder), settings.total_iter
    state, aside = starting_state(folder, resume, loaded.text, total, loaded.path_keys, accept_changes)
    start = state["step"] if state else 0
    data = components.build_datasets(options, ("train", "val"), full_check=debug)
    files = inputs.checked_inputs(options, data, state, accept_changes)
    options = micro_batches.with_micro_batches(options, device, state, data["train"])
    loader = training.build_loader(options, data["train"], start, device)
    model = training.build_model(options, device, state, data["train"])
    degradation = training.build_degradation(options, state)
    watch = Watch(max_time=settings.max_time, save_minutes=options.logger.save_minutes)
    with folder.locked(), watch.listening():
        ranks.on_main(lambda: set_aside(folder, aside))
        ranks.on_main(lambda: folder.record(loaded.text, f"_resumed_{start}" if state else ""))
        ranks.on_main(lambda: files.write(folder, start))
        log_to(folder.path / "train.log")
        board = Board(folder.tensorboard, options.logger.use_tb_logger, purge_step=start + 1)
        logger.info(training.opening(options, model, device, folder))
        hooks, validate, stop = training.build_hooks(
            loaded, folder, model, degradation, data["val"], board, device, watch, files.text
        )
        if state:
            validate.catch_up(start)
            stop(start, loop.Progress())
        loop.train(
            model,
            loader,
            total=total,
            accumulate=model.g.stepper.accumulate,
            seed=options.seed,
            device=device,
            hooks=[*hooks, validate, stop],
            degradation=degradation,
        )
        board.close()
        logger.info(f"{total} of {total} updates done: {folder.weights_of(total)}")


if __name__ == "__main__":
    run_script("srzoo.commands.train")
