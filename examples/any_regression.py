"""RLE without images: learn y = sin(3 x) and how noisy it is, from heavy-tailed labels whose noise grows with x."""

import torch

from logpose import RLELoss

torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(1, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU())
network.append(torch.nn.Linear(64, 4))  # mu and the logit of sigma, of two outputs each
loss = RLELoss(dim=2)
optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()], lr=2e-3)


def draw(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, labels, and the standard deviation of the labels' noise (Student's t with 4 degrees of freedom)."""
    x = torch.rand(count, 1) * 2 - 1
    std = 0.02 * (2 + x)
    noise = torch.distributions.StudentT(4.0).sample((count, 2)) * std / 2**0.5
    return x, torch.cat([torch.sin(3 * x), torch.cos(3 * x)], dim=1) / 3 + noise, std


for step in range(1500):
    x, y, _ = draw(512)
    out = network(x)[:, None]  # (B, K=1, 2 D)
    value = loss(out[..., :2], out[..., 2:].sigmoid(), y[:, None])
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    if step % 300 == 0:
        print(f"step {step:4}: {value.item():.2f} nats (negative is fine: it is a density)")

loss.eval()
x, y, std = draw(20_000)
with torch.no_grad():
    out = network(x)[:, None]
predicted = loss.distribution(out[..., :2], out[..., 2:].sigmoid())
inside = predicted.region(0.9).contains(y[:, None]).float().mean()
print(f"labels inside the 90 % region: {inside:.1%}")
print(f"predicted over true standard deviation: {(predicted.std[:, 0] / std).mean():.2f}")
