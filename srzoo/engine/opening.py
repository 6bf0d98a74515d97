"""The first line of a training: network, device, time of the first update, and the weights that are scored."""

import time
from pathlib import Path

import torch
from torch import nn

# A backward pass takes about twice as long as a forward pass.
_PASSES = 3


def opening_line(
    network: str,
    num_parameters: int,
    *,
    device: torch.device,
    start: int,
    folder: Path,
    seconds: float | None,
    decay: float,
) -> str:
    """Return the line.

    Args:
        network: type and scale of the network.
        num_parameters: of the network.
        device: where it is trained.
        start: updates done before.
        folder: of the run.
        seconds: estimated time of the first update; None: unknown [s].
        decay: of the moving average of the weights; 0: no average.
    """
    parts = [f"training {network} ({num_parameters:,} parameters) on {device} from step {start}: {folder}"]
    if seconds is not None:
        parts.append(f"the first step takes about {_duration(seconds)}")
    if decay:
        parts.append(f"the moving average of the weights (decay {decay:g}) is scored and saved")
    return "; ".join(parts)


def seconds_of_update(net: nn.Module, side: int, samples: int, device: torch.device) -> float | None:
    """Estimate the time of the first update from forward passes of one sample, in evaluation mode.

    Losses, a discriminator and the degradation come on top. Return None if the network does not take the sample: its
    training will report why.

    Args:
        net: the network to publish; it is left as it is.
        side: of the LQ crops [pixels].
        samples: per update and rank.
        device: where the network is.
    """
    lq = torch.zeros(1, int(getattr(net, "num_in_ch", 3)), side, side, device=device)  # (1, C, side, side)
    was_training = net.training
    net.eval()
    try:
        # The first pass includes the set-up of libraries, which the first update pays for once.
        first, second = _seconds_of_pass(net, lq), _seconds_of_pass(net, lq)
    except (RuntimeError, ValueError):
        return None
    finally:
        net.train(was_training)
    return max(first - second, 0.0) + second * samples * _PASSES


def _seconds_of_pass(net: nn.Module, lq: torch.Tensor) -> float:
    started = time.perf_counter()
    with torch.no_grad():  # not inference mode: a network may keep tensors made here, such as masks
        net(lq)
    if lq.is_cuda:
        torch.cuda.synchronize(lq.device)
    return time.perf_counter() - started


def _duration(seconds: float) -> str:
    """Write a rough duration in its largest unit."""
    if seconds >= 100 * 60:
        return f"{seconds / 3600:.0f} h"
    if seconds >= 100:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 1 else "1 s or less"
