"""`logger` of an option file: intervals of log lines and saved states."""

from srzoo.compat.basicsr.reader import OptionReader, Section, given, whole


def logger(old: OptionReader) -> Section:
    """Convert `logger`."""
    new: Section = {
        "print_freq": whole(old.pop("print_freq")),
        "save_freq": whole(old.pop("save_checkpoint_freq")),
        "use_tb_logger": whole(old.pop("use_tb_logger")),
    }
    wandb = old.section("wandb")
    if wandb.pop("project") is not None:
        old.note("wandb", "not supported; TensorBoard files are written")
    wandb.pop("resume_id")
    return given(new)
