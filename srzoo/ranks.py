"""The rank of this process, the number of ranks, and values on which all ranks agree; one rank needs no set-up."""

import functools
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import nn

T = TypeVar("T")


def initialise() -> torch.device:
    """Join the process group that ``torchrun`` describes in the environment, if any; NCCL on GPUs, gloo on CPUs.

    Returns:
        the device that this rank computes on.

    Raises:
        ValueError: more ranks than GPUs on this machine.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"this machine has {torch.cuda.device_count()} GPU(s) but local rank {local_rank} was started on it; "
                f"start torchrun with --nproc_per_node={torch.cuda.device_count()}"
            )
        torch.cuda.set_device(device)
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(minutes=30))
    return device


def is_restarted() -> bool:
    """Return True if torchrun (--max-restarts) has started the same command again after a failure."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def device_name(device: torch.device) -> str:
    """Return the kind of a device for results: "cpu", or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def finalise() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        _control_group.cache_clear()
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process; rank 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of ranks."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait until every rank has called this."""
    if dist.is_initialized():
        dist.barrier()


def mean_over_ranks(values: Mapping[str, float], device: torch.device) -> dict[str, float]:
    """Return the mean of each value over all ranks."""
    if world_size() == 1:
        return dict(values)
    packed = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(packed)
    return dict(zip(values, (packed / world_size()).tolist(), strict=True))


def all_true(condition: torch.Tensor) -> bool:
    """Return True if a boolean scalar is true on every rank."""
    flag = condition.to(torch.int32)
    if world_size() > 1:
        flag = flag.clone()
        dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag.item())


def gather(item: T) -> list[T]:
    """Return the items of all ranks, in rank order, on every rank."""
    if world_size() == 1:
        return [item]
    items: list[T | None] = [None] * world_size()
    dist.all_gather_object(items, item)
    return cast(list[T], items)


def from_main(item: T) -> T:
    """Return rank 0's item, on every rank."""
    if world_size() == 1:
        return item
    items = [item]
    dist.broadcast_object_list(items, src=0)
    return items[0]


def on_main(work: Callable[[], T]) -> T:
    """Run `work` on rank 0 and return its result on every rank, or raise its error on every rank."""
    result: T | None = None
    error: Exception | None = None
    if rank() == 0:
        try:
            result = work()
        except Exception as caught:
            error = caught
    result, error = from_main((result, error))  # also a barrier: no rank goes on before rank 0 is done
    if error is not None:
        raise error
    return result  # pyright: ignore[reportReturnType]  # without an error there is a result


class Vote:
    """The largest of the numbers that all ranks give, one call late, so that no rank waits for the others."""

    def __init__(self) -> None:
        self._pending: tuple[dist.Work, torch.Tensor] | None = None

    def __call__(self, values: list[int]) -> list[int]:
        """Give this rank's numbers and return the largest ones of the call before; zeros at the first."""
        if world_size() == 1:
            return values
        numbers = torch.tensor(values)
        work = dist.all_reduce(numbers, dist.ReduceOp.MAX, group=_control_group(), async_op=True)
        assert work is not None
        before = self.finish()
        self._pending = work, numbers
        return before or [0] * len(values)

    def finish(self) -> list[int]:
        """Wait for the last call and return its result; nothing if there is none."""
        if self._pending is None:
            return []
        work, numbers = self._pending
        self._pending = None
        work.wait()
        return numbers.tolist()


@functools.cache
def _control_group() -> dist.ProcessGroup | None:
    """Return a group for numbers on the CPU, apart from the exchange of gradients; every rank calls this."""
    return cast("dist.ProcessGroup | None", dist.new_group(backend="gloo"))


def broadcast_buffers(net: nn.Module) -> None:
    """Copy the buffers of rank 0 to all ranks: each rank has collected running statistics from different batches."""
    if world_size() > 1:
        for buffer in net.buffers():
            dist.broadcast(buffer, src=0)
