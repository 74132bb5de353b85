"""The processes that train together: each has an equal share of every batch, all have the same weights.

What is summed over them is what one process would sum over the whole batch, so their number changes a result by
rounding alone. One process needs no process group, and nothing here does anything for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from v2l.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is."""

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> "Processes":
        """Those of torch's default process group; without one, this process alone."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def first(self) -> bool:
        """Whether this is the process that writes: artifacts, checkpoints, curves."""
        return self.rank == 0

    def share(self, batch_size: int) -> slice:
        """The places of a batch that are this process's. Raises ConfigError if shares are not equal."""
        size, rest = divmod(batch_size, self.count)
        if rest:
            raise ConfigError(f"train.batch_size: expected a multiple of {self.count} processes, found {batch_size}")
        return slice(self.rank * size, (self.rank + 1) * size)

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over processes; for a value that is itself a mean over a share, the mean over the batch."""
        if self.count == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.count

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gradients of means over shares become those of the mean over the batch, all in one message."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        averages = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, average in zip(gradients, averages.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(average.view(gradient.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """[n, ...] of every process, by rank: [count * n, ...]."""
        if self.count == 1:
            return tensor
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor)
        return torch.cat(parts)

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in some process; device: where the group's messages come from."""
        return flag if self.count == 1 else bool(self.gather(torch.tensor([flag], device=device)).any())

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrites the tensors with those of the first process: processors differ in the last bits."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            dist.barrier()


ALONE = Processes()


class _Mean(torch.autograd.Function):
    """The mean over processes, with a gradient: of the sum of all processes' losses."""

    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.mean(tensor.contiguous())

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.mean(gradient.contiguous()), None


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm with the statistics of the whole batch, on any device; torch's SyncBatchNorm knows GPUs alone.

    [B, C, H, W], B the same in every process. Statistics in the parameters' precision; those as in BatchNorm2d.
    """

    def __init__(self, origin: nn.BatchNorm2d, processes: Processes) -> None:
        place = {"device": origin.weight.device, "dtype": origin.weight.dtype}
        super().__init__(origin.num_features, origin.eps, origin.momentum, **place)
        self.load_state_dict(origin.state_dict())
        self.processes = processes

    def forward(self, features: Tensor) -> Tensor:
        values = features.to(self.weight.dtype)  # under autocast too
        mean = _Mean.apply(values.mean(dim=(0, 2, 3)), self.processes)
        centred = values - mean[:, None, None]
        variance = _Mean.apply(centred.square().mean(dim=(0, 2, 3)), self.processes)
        with torch.no_grad():
            count = values.numel() / self.num_features * self.processes.count
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(features.dtype)


def share_batch_norms(network: nn.Module, processes: Processes) -> None:
    """Puts a SharedBatchNorm in place of every BatchNorm2d; one process keeps torch's."""
    if processes.count == 1:
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, SharedBatchNorm(child, processes))
