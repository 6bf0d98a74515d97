"""Devices that share the images of a run."""

import copy
from collections.abc import Sequence

import torch
from torch import nn


def devices_named(words: Sequence[str]) -> list[torch.device]:
    """Return the devices for words of a command line: auto (all GPUs, or the CPU), cuda (all GPUs), cuda:1, cpu, ...

    Raises:
        ValueError: no such device.
    """
    devices: list[torch.device] = []
    for word in words:
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if word == "auto":
            word = "cuda" if count else "cpu"
        if word == "cuda" and count:
            devices += [torch.device("cuda", number) for number in range(count)]
            continue
        try:
            device = torch.device(word)
            torch.zeros(1, device=device)
        except (RuntimeError, AssertionError) as error:  # the latter from builds of PyTorch without CUDA
            raise ValueError(
                f"--device {word}: {str(error).splitlines()[0]}; this machine has {count} GPU(s)"
            ) from error
        devices.append(device)
    return devices


def on_devices(net: nn.Module, devices: Sequence[torch.device]) -> list[nn.Module]:
    """Return a network for each device: `net` itself on the first, copies on the others."""
    return [(net if number == 0 else copy.deepcopy(net)).to(device) for number, device in enumerate(devices)]
