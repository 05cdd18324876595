"""The processes of one training run: which of them this is, on which device it computes, how they share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from ..devices import choose_device

PATIENCE = timedelta(hours=6)  # the others wait while the first prepares the cache


@dataclass(frozen=True)
class Processes:
    """This process's number, how many there are, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that reads, writes and speaks for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a flat tensor over all processes, where it was."""
        if self.world == 1:
            return values
        # gloo adds on the CPU only
        shared = values.cpu() if dist.get_backend() == "gloo" else values
        dist.all_reduce(shared)
        return shared.to(values.device)

    def agreed(self, number: int) -> int:
        """The first process's number."""
        return int(self.sum(torch.tensor([number if self.first else 0], device=self.device))[0])

    def stop(self) -> None:
        """Leave the group."""
        if self.world > 1:
            dist.destroy_process_group()


def start_processes(device: str) -> Processes:
    """Join the group under ``torchrun``; otherwise this process is alone.

    Processes beyond the number of GPUs share them in turn (then, and on CPUs, they talk through gloo).
    """
    if not dist.is_torchelastic_launched():
        return Processes(0, 1, choose_device(device))
    chosen = choose_device(device)
    local, together = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    backend = "gloo"
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        chosen = torch.device("cuda", local % count)
        torch.cuda.set_device(chosen)
        backend = "nccl" if together <= count else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    return Processes(dist.get_rank(), dist.get_world_size(), chosen)


def write_whole(content: dict, path: Path) -> None:
    """Save a dictionary with torch; the file is never seen half written, not even after a power cut."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as stream:
        torch.save(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
