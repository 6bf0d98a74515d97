"""Sharded networks: each rank keeps a part of every weight, of its average, gradient and optimiser state.

Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", SC 2020, arXiv:1910.02054,
stage 3, as PyTorch's ``fully_shard`` (FSDP2) does it: the weights of a block are gathered for its passes and released
after them, and each rank gets its part of the mean gradient. Training states hold whole tensors, so that they do not
depend on the number of ranks. PyTorch's modules for this take most of a second to import, and this one only where it is
used.
"""

import copy
import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from srzoo import ranks
from srzoo.batch import StateDict

logger = logging.getLogger("srzoo")


class Sharding:
    """A network divided among the ranks, and the ways to whole tensors and back.

    Every rank calls the methods, in the same order. `net` is sharded in place: its parameters are replaced by shards,
    so that an optimiser is built afterwards.

    Args:
        net: the network, on the device it trains on. All ranks take the values of rank 0.

    Raises:
        ValueError: PyTorch cannot shard the network.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        for tensor in itertools.chain(net.parameters(), net.buffers()):
            dist.broadcast(tensor.detach(), src=0)
        # The network before it is sharded, with parameters that take no memory.
        without_memory = {
            id(parameter): nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
            for parameter in net.parameters()
        }
        self._form = copy.deepcopy(net, cast("dict[int, object]", without_memory))
        self._mesh = init_device_mesh(next(net.parameters()).device.type, (ranks.world_size(),))
        name, num_blocks = type(net).__name__, len(repeated_blocks(net))
        self.shard(net)
        logger.info(f"parallel: fsdp divides {name} among {ranks.world_size()} ranks, {num_blocks} blocks and the rest")

    def shard(self, net: nn.Module) -> None:
        """Shard a network of this structure in place: its repeated blocks, and the rest together.

        Raises:
            ValueError: PyTorch cannot shard the network.
        """
        try:
            for module in (*repeated_blocks(net), net):
                # Between passes all parameters are shards: the moving average and states read them then.
                fully_shard(module, mesh=self._mesh, reshard_after_forward=True)
        except (NotImplementedError, ValueError) as error:
            raise ValueError(f"parallel: fsdp cannot shard {type(self._form).__name__} ({error}): use ddp") from error

    def begin_micro_batch(self, *, exchange: bool) -> None:
        """Prepare the passes of one micro-batch.

        Args:
            exchange: True: ranks exchange gradients in its backward pass; False: each rank adds them up for itself.
        """
        ranks.broadcast_buffers(self.net)  # as DDP does: statistics of rank 0 are those of all
        cast(FSDPModule, self.net).set_requires_gradient_sync(exchange)

    def whole(self, net: nn.Module) -> nn.Module:
        """Return `net`, sharded, as a plain network in evaluation mode, with copies of all weights on every rank."""
        return self._filled(net, get_model_state_dict(net, options=StateDictOptions(full_state_dict=True)))

    def state_dict(self, net: nn.Module) -> StateDict:
        """Return the state dict of `net`, sharded, as that of a plain network: whole tensors on the CPU.

        Only rank 0, which writes files, gets it; the result of other ranks is empty.
        """
        weights = get_model_state_dict(net, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        return cast(StateDict, self._filled(net, weights).state_dict()) if ranks.rank() == 0 else {}

    def _filled(self, net: nn.Module, weights: Mapping[str, object]) -> nn.Module:
        filled = copy.deepcopy(self._form)
        filled.load_state_dict(weights, assign=True)
        # Buffers that are not in state dicts: constants in most networks, but nobody promises that.
        for buffer, now in zip(filled.buffers(), net.buffers(), strict=True):
            buffer.copy_(now)
        return filled.eval()

    def load_state_dict(self, net: nn.Module, weights: Mapping[str, object]) -> None:
        """Load a plain network's state dict, which every rank has, into `net`, sharded.

        Raises:
            RuntimeError: it is that of another network.
        """
        copy.deepcopy(self._form).load_state_dict(weights, assign=True)  # the errors of a plain network
        options = StateDictOptions(full_state_dict=True)
        set_model_state_dict(net, dict(weights), options=options)  # pyright: ignore[reportArgumentType]

    def total_norm(self, gradients: Sequence[Tensor]) -> Tensor:
        """Return the 2-norm of all gradients together, over the shards of all ranks: a scalar, equal on every rank."""
        norm = nn.utils.get_total_norm([_local(gradient) for gradient in gradients])
        squared = norm.double().square()  # in float64: the square leaves the range of float32 earlier than the norm
        dist.all_reduce(squared)
        return squared.sqrt().to(norm.dtype)

    # PyTorch's get_optimizer_state_dict makes an update where there is no state yet, as for a generator that has to
    # wait for its discriminator, and names parameters; states of srzoo number them, as optimisers do.
    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> StateDict:
        """Return the state dict of an optimiser with whole tensors on the CPU; they are empty except on rank 0."""
        state = optimizer.state_dict()
        whole = {
            number: {name: _whole(value) for name, value in values.items()} for number, values in state["state"].items()
        }
        return {**state, "state": whole}

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: StateDict) -> None:
        """Load the state dict of an optimiser with whole tensors, which every rank has."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        values_of = state["state"]
        assert isinstance(values_of, Mapping)
        shards = {
            number: {name: _as_shard(value, parameters[number]) for name, value in values.items()}
            for number, values in values_of.items()
        }
        optimizer.load_state_dict({**state, "state": shards})


def repeated_blocks(net: nn.Module) -> list[nn.Module]:
    """Return the blocks that make up most of a network: the children of one class with the most parameters together.

    A layer is no block: exchanging its weights alone costs more than they take. The list may be empty.
    """
    best: list[nn.Module] = []
    for parent in net.modules():
        by_class: dict[type[nn.Module], list[nn.Module]] = {}
        for child in parent.children():
            is_block = next(child.children(), None) is not None and not isinstance(child, nn.ModuleList | nn.ModuleDict)
            if is_block and _num_parameters([child]):
                by_class.setdefault(type(child), []).append(child)
        # Parents come before their children: with equal counts the outer blocks stay.
        best = max(best, [], *(blocks for blocks in by_class.values() if len(blocks) > 1), key=_num_parameters)
    return best


def _num_parameters(modules: Sequence[nn.Module]) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(value: object) -> object:
    """Return a value of an optimiser's state with its shards gathered to rank 0's CPU; empty tensors elsewhere."""
    if not isinstance(value, DTensor):
        return value
    full = value.full_tensor()
    return full.cpu() if ranks.rank() == 0 else full.new_empty(0)


def _as_shard(value: object, parameter: Tensor) -> object:
    """Return this rank's shard of a whole tensor of the parameter's shape; other values, such as counts, unchanged."""
    if not (isinstance(value, Tensor) and isinstance(parameter, DTensor) and value.shape == parameter.shape):
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    # Every rank has the whole tensor: none has to send it.
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)
