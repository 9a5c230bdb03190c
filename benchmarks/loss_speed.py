"""Time and memory of the loss, against a straightforward transcription of the released network, in one process.

    python benchmarks/loss_speed.py

Forward and backward of the loss alone, at the batch sizes (B, K) of the paper, of a large batch, and of whole bodies
with hands and faces. The transcription has a scale and a shift network of its own for each of six coupling layers and
the released formula (no s). Rounds of all candidates take turns; printed are the median time and the quartiles of the
ratio to the transcription in the same round, and the largest memory in use at once, by PyTorch's own count of what it
allocates and frees; first, how many operators compute something, which on a GPU is kernels to launch. `--device cuda`
does the same on a GPU.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

from logpose.losses import RLELoss

SIZES = ((32, 17), (256, 17), (1024, 133))


class Transcription(nn.Module):
    """RealNVP with a network per layer and role, and the released loss around it, line by line."""

    def __init__(self) -> None:
        super().__init__()

        def net(*last: nn.Module) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(2, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 2), *last
            )

        self.register_buffer("mask", torch.tensor([[0.0, 1], [1, 0]] * 3))
        self.s = nn.ModuleList(net(nn.Tanh()) for _ in range(6))
        self.t = nn.ModuleList(net() for _ in range(6))
        self.register_buffer("zero", torch.zeros(2))
        self.register_buffer("eye", torch.eye(2))

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of points."""
        log_det, z = x.new_zeros(len(x)), x
        for i in reversed(range(6)):
            kept = self.mask[i] * z
            s = self.s[i](kept) * (1 - self.mask[i])
            t = self.t[i](kept) * (1 - self.mask[i])
            z = (1 - self.mask[i]) * (z - t) * torch.exp(-s) + kept
            log_det = log_det - s.sum(dim=1)
        return torch.distributions.MultivariateNormal(self.zero, self.eye).log_prob(z) + log_det

    def forward(self, mu: Tensor, sigma: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """The released loss of a batch."""
        error = (mu - target) / sigma
        log_phi = self.log_prob(error.reshape(-1, 2)).reshape(*error.shape[:2], 1)
        nf = (torch.log(sigma) - log_phi) * weight[..., None]
        amp = 1 / math.sqrt(2 * math.pi)
        q = torch.log(sigma / amp) + torch.abs(target - mu) / (math.sqrt(2) * sigma + 1e-9)
        return (nf + q * weight[..., None]).sum() / len(mu)


CANDIDATES: dict[str, Callable[[], nn.Module]] = {
    "transcription": Transcription,
    "released": lambda: RLELoss(convention="released"),
    "paper": lambda: RLELoss(convention="paper"),
    "normalized": RLELoss,
}


def inputs(batch: int, joints: int, device: str) -> tuple[Tensor, ...]:
    """mu and raw sigma (leaves), labels, weights."""
    generator = torch.Generator().manual_seed(0)
    mu, raw, target = torch.randn(3, batch, joints, 2, generator=generator).mul(0.3).to(device)
    weight = (torch.rand(batch, joints, generator=generator) < 0.8).float().to(device)
    return mu.requires_grad_(), raw.requires_grad_(), target, weight


def step(loss: nn.Module, mu: Tensor, raw: Tensor, target: Tensor, weight: Tensor) -> None:
    """Forward and backward; gradients are left where they are, as between two batches."""
    loss(mu, raw.sigmoid(), target, weight).backward()


def peak(loss: nn.Module, batch: tuple[Tensor, ...], device: str) -> int:
    """Most bytes that a step holds at once, beyond what was there before it."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, *batch)
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step(loss, *batch)
    changes = (event for event in record.profiler.kineto_results.events() if event.name() == "[memory]")
    held = most = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        held += change.nbytes()  # below 0 where something is freed
        most = max(most, held)
    return most


class Operators(TorchDispatchMode):
    """Counts those that compute something: views of tensors do not."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not function.is_view
        return function(*args, **(kwargs or {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true", help="torch.compile every candidate, whole graph")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name, make in CANDIDATES.items():
        with Operators() as counted:
            step(make(), *inputs(*SIZES[0], "cpu"))
        print(f"{name}: {counted.count} operators")
    print("| B, K | loss | ms | ratio (quartiles) | MB | ratio |\n|---|---|---|---|---|---|")
    for batch, joints in SIZES:
        torch.manual_seed(0)
        losses = {name: make().to(given.device).train() for name, make in CANDIDATES.items()}
        if given.compile:
            losses = {name: torch.compile(loss, fullgraph=True) for name, loss in losses.items()}
        data = inputs(batch, joints, given.device)
        repeats = max(1, 20_000 // (batch * joints))
        times: dict[str, list[float]] = {name: [] for name in losses}
        for turn in range(given.rounds + 2):
            for name, loss in losses.items():
                started = time.perf_counter()
                for _ in range(repeats):
                    step(loss, *data)
                if given.device != "cpu":
                    torch.cuda.synchronize()
                if turn >= 2:  # the first two warm up
                    times[name].append((time.perf_counter() - started) / repeats)
        base = times["transcription"]
        held = {name: peak(loss, data, given.device) for name, loss in losses.items()}
        for name, mine in times.items():
            low, middle, high = statistics.quantiles([a / b for a, b in zip(mine, base, strict=True)], n=4)
            spread = f"{middle:.2f} ({low:.2f} … {high:.2f})"
            memory = f"{held[name] / 1e6:.1f} | {held[name] / held['transcription']:.2f}"
            print(
                f"| {batch}, {joints} | {name} | {1e3 * statistics.median(mine):.1f} | {spread} | {memory} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
