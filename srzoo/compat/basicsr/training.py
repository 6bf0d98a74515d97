"""`train` of an option file: number of updates, optimisers, learning-rate schedule, and the losses."""

from srzoo.compat.basicsr.losses import losses
from srzoo.compat.basicsr.reader import OptionReader, Section, given, whole

# BasicSR has a switch only; its models clip the norm of the gradients at this value.
GRAD_CLIP = 0.01


def training(old: OptionReader, *, adversarial: bool) -> Section:
    """Convert `train`; `adversarial` is True if a discriminator is trained too."""
    new: Section = {"total_iter": whole(old.pop("total_iter", "niter"))}
    new["optim_g"] = old.section("optim_g").pop_rest()
    optim_d = old.section("optim_d").pop_rest()
    if adversarial:
        new["optim_d"] = optim_d
    elif optim_d:
        old.note("optim_d", "not needed: this model_type has no discriminator")
    scheduler = old.section("scheduler")
    if scheduler:
        new["scheduler"] = _schedule(scheduler)
    warmup = old.pop("warmup_iter", default=-1)
    if warmup != -1:  # BasicSR's value for no warm-up
        new["warmup_iter"] = whole(warmup)
    ema = old.pop("ema_decay", default=0)
    if ema:
        new["ema_decay"] = ema
    if old.pop("use_grad_clip"):
        new["grad_clip"] = GRAD_CLIP
        old.note("use_grad_clip", f"written as grad_clip: {GRAD_CLIP}, the limit in BasicSR's models")
    new["losses"] = losses(old, adversarial=adversarial)
    return new


def _schedule(old: OptionReader) -> Section:
    kind = str(old.pop("type"))
    new: Section
    if kind in ("MultiStepLR", "MultiStepRestartLR"):
        new = {"type": "MultiStepRestart", "milestones": whole(old.pop("milestones")), "gamma": old.pop("gamma")}
        restarts, weights = whole(old.pop("restarts")), old.pop("restart_weights")
        if isinstance(restarts, list) and restarts[:1] == [0]:
            # BasicSR lists the start of a training as a restart; srzoo starts at the full rate without it.
            restarts, weights = restarts[1:], weights[1:] if isinstance(weights, list) else weights
        new |= {"restarts": restarts, "restart_weights": weights}
    elif kind == "CosineAnnealingRestartLR":
        new = {"type": "CosineRestart", "periods": whole(old.pop("periods")), "eta_min": old.pop("eta_min")}
        new["restart_weights"] = old.pop("restart_weights")
    elif kind == "TrueCosineAnnealingLR":
        new = {"type": "CosineRestart", "periods": [whole(old.pop("T_max"))], "eta_min": old.pop("eta_min")}
    else:
        old.refuse("type", kind)
        new = {"type": kind, **old.pop_rest()}
    return given(new)
