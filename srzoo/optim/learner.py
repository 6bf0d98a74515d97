"""A network in training: what a recipe holds of each of its networks."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from srzoo import ranks
from srzoo.batch import StateDict, Terms
from srzoo.contract import contract_of
from srzoo.optim.compilation import CompileMode, compiled
from srzoo.optim.ema import EMA
from srzoo.optim.finite import FiniteCheck, Passes
from srzoo.optim.precision import DTYPES, Autocast, Precision, usable
from srzoo.optim.schedules import Iteration, Schedule
from srzoo.optim.stepper import Stepper

if TYPE_CHECKING:
    from srzoo.optim.sharding import Sharding


class Learner:
    """One network with its optimiser and its moving average.

    Recipes call `net` inside :meth:`micro_batch` and pass the loss to :meth:`minimise`. Wrappers for several ranks,
    half precision and compilation are known here only, and so is everything that surrounds a forward pass.

    Attributes:
        net: the network to call in training; wrapped when several ranks train together, compiled, or in half precision
            with float32 outputs, so that losses are computed in float32.
        module: the same network without a wrapper; sharded, if it is.
        ema: its moving average, or None.
        iteration: count of iterations that the learning rate follows, shared by all learners of a run.

    Args:
        module: the network, on the device it trains on.
        optimizer: built over its parameters.
        schedule: (base learning rate, iteration) -> learning rate.
        iteration: of the run.
        name: "g" or "d", the ending of its keys in training states.
        accumulate: micro-batches per update.
        grad_clip: largest 2-norm of all gradients together; None: no clipping.
        ema_decay: of the moving average; 0: no average.
        has_idle_parameters: True if some parameters may get no gradient in an iteration.
        precision: of passes through `net`; weights, losses and updates are float32.
        compile: mode of ``torch.compile`` for `net`; False: none.
        finite: check of losses, gradients and outputs in fp16, shared by the learners of a run; None: one for this
            learner, at once.
        alone: exchange no gradients with other ranks.
        sharding: of the network, made before its optimiser; None: every rank has the whole network.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        *,
        iteration: Iteration,
        name: Literal["g", "d"] = "g",
        accumulate: int = 1,
        grad_clip: float | None = None,
        ema_decay: float = 0.0,
        has_idle_parameters: bool = False,
        precision: Precision = "fp32",
        compile: CompileMode = False,
        finite: FiniteCheck | None = None,
        alone: bool = False,
        sharding: "Sharding | None" = None,
    ) -> None:
        self.module, self.iteration, self.name, self.sharding = module, iteration, name, sharding
        # Copied before it is wrapped, so that the average carries none of the wrapper's hooks.
        self.ema = EMA(module if sharding is None else sharding.whole(module), ema_decay) if ema_decay else None
        if sharding is not None and self.ema is not None:
            sharding.shard(self.ema.module)
        exchanging = sharding is None and not alone
        self._exchanging = _distributed(module, has_idle_parameters) if exchanging else module
        self.net = compiled(self._exchanging, compile)
        device_type = next(module.parameters()).device.type
        finite = finite or FiniteCheck()  # one for outputs, losses and gradients
        if precision in DTYPES:
            wider = usable("bf16", contract_of(module))
            self.net = Autocast(self.net, precision, device_type, wider=wider, finite=finite)
        self.stepper = Stepper(
            module,
            optimizer,
            schedule,
            iteration=iteration,
            accumulate=accumulate,
            grad_clip=grad_clip,
            # bf16 has the range of float32: its gradients do not vanish.
            scaler=torch.amp.GradScaler(device_type) if precision == "fp16" else None,  # pyright: ignore[reportPrivateImportUsage]
            finite=finite,
            sharding=sharding,
        )

    @contextlib.contextmanager
    def micro_batch(self) -> Iterator[None]:
        """Surround the forward and backward pass of one micro-batch, with the network in training mode."""
        if not self.module.training:  # asked first, because the call walks over all modules
            self.net.train()
        if self.sharding is not None:
            self.sharding.begin_micro_batch(exchange=self.stepper.at_last_micro_batch)
        with contextlib.ExitStack() as stack:
            # Ranks exchange gradients once per update, with its last micro-batch.
            if isinstance(self._exchanging, DistributedDataParallel) and not self.stepper.at_last_micro_batch:
                stack.enter_context(self._exchanging.no_sync())
            yield

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let gradients pass through the network without computing any for its weights."""
        trainable = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        for parameter in trainable:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in trainable:
                parameter.requires_grad_()

    def minimise(self, terms: Terms, keys: Sequence[str]) -> bool:
        """Add the gradients of one micro-batch; with the last one of an update, change the weights and their average.

        Args:
            terms: weighted scalars of the loss by name; their sum is minimised.
            keys: names of the samples, for the error message.

        Returns:
            True if the weights changed. With fp16, an update whose gradients overflow is left out, on all ranks, and
            the average stays as it is.

        Raises:
            NonFiniteLossError: on every rank, if a term is NaN or infinite on any rank (see :class:`FiniteCheck`).
        """
        updated = self.stepper.minimise(terms, keys)
        if updated and self.ema is not None:
            self.ema.update(self.module)
        return updated

    def verify(self) -> None:
        """Check the losses and gradients of this run's learners that were not checked yet; every rank calls this.

        Raises:
            NonFiniteLossError: on every rank, if one of them is NaN or infinite on any rank.
        """
        self.stepper.finite.verify()

    def take_passes(self) -> Passes:
        """Return the passes in fp16 of this run's learners since the last call, and those computed again."""
        return self.stepper.finite.take_passes()

    @property
    def inference_net(self) -> nn.Module:
        """Return the network to validate and to publish: the moving average if there is one.

        A sharded network is gathered: every rank asks for it, and gets a plain copy with the weights of this moment.
        """
        net = self.module if self.ema is None else self.ema.module
        return net if self.sharding is None else self.sharding.whole(net)

    @property
    def lr(self) -> float:
        """Learning rate of the coming update."""
        return self.stepper.lr

    def state_dict(self) -> StateDict:
        """Return weights, their average and the optimiser's state as net_g, net_g_ema and step_g (net_d, step_d).

        Sharded tensors are gathered on rank 0: every rank calls this, and rank 0 alone has the state.
        """
        state: StateDict = {f"net_{self.name}": self._weights(self.module)}
        if self.ema is not None:
            state[f"net_{self.name}_ema"] = self._weights(self.ema.module)
        return state | {f"step_{self.name}": self.stepper.state_dict()}

    def load_state_dict(self, state: StateDict) -> None:
        """Restore the learner's entries of a recipe's state.

        Raises:
            ValueError: only one of learner and state has a moving average.
            RuntimeError: the weights belong to another network.
        """
        average = state.get(f"net_{self.name}_ema")
        if (self.ema is None) != (average is None):
            raise ValueError(
                "train.ema_decay: the state was saved with a moving average and this run has none, or vice versa"
            )
        self._load(self.module, state[f"net_{self.name}"])
        if self.ema is not None:
            self._load(self.ema.module, average)
        step = state[f"step_{self.name}"]
        assert isinstance(step, dict)
        self.stepper.load_state_dict(step)

    def _weights(self, module: nn.Module) -> StateDict:
        return module.state_dict() if self.sharding is None else self.sharding.state_dict(module)

    def _load(self, module: nn.Module, weights: object) -> None:
        assert isinstance(weights, dict)
        if self.sharding is None:
            module.load_state_dict(weights)
        else:
            self.sharding.load_state_dict(module, weights)


def _distributed(module: nn.Module, has_idle_parameters: bool) -> nn.Module:
    """Return the network as several ranks train it together; with one rank, the network itself."""
    if ranks.world_size() == 1:
        return module
    device = next(module.parameters()).device
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(
        module, device_ids=devices, find_unused_parameters=has_idle_parameters, gradient_as_bucket_view=True
    )
