"""Which process of how many this is, and what all of them agree on. One process needs no set-up."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")


def initialise() -> torch.device:
    """Join the process group that ``torchrun`` describes in the environment, if any; NCCL on GPUs, gloo on CPUs.

    Returns the device this process computes on.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"this machine has {torch.cuda.device_count()} GPU(s) but process {local_rank} was started on it; "
                f"start torchrun with --nproc_per_node={torch.cuda.device_count()}"
            )
        torch.cuda.set_device(device)
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(minutes=30))
    return device


def finalise() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 for the one that writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait until every process is here."""
    if dist.is_initialized():
        dist.barrier()


def mean_over_ranks(values: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """The mean of each value over all processes."""
    if world_size() == 1:
        return dict(values)
    packed = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(packed)
    return dict(zip(values, (packed / world_size()).tolist(), strict=True))


def all_true(condition: torch.Tensor) -> bool:
    """Whether a boolean scalar is true on every process."""
    flag = condition.to(torch.int32)
    if world_size() > 1:
        flag = flag.clone()
        dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag.item())


def gather(item: T) -> list[T]:
    """The items of all processes, in rank order, on every process."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def from_main(item: T) -> T:
    """Process 0's item, on every process."""
    if world_size() == 1:
        return item
    items = [item]
    dist.broadcast_object_list(items, src=0)
    return items[0]


def on_main(work: Callable[[], T]) -> T:
    """What process 0 gets from `work`, on every process; an error of process 0 is raised on every process."""
    result: T | None = None
    error: Exception | None = None
    if rank() == 0:
        try:
            result = work()
        except Exception as caught:
            error = caught
    result, error = from_main((result, error))
    if error is not None:
        raise error
    return result  # pyright: ignore[reportReturnType]  # without an error there is a result


def broadcast_buffers(net: nn.Module) -> None:
    """Give every process the buffers of process 0 (running statistics differ between them after a training step)."""
    if world_size() > 1:
        for buffer in net.buffers():
            dist.broadcast(buffer, src=0)
