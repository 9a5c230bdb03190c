"""Networks that lift keypoints into space: published sizes, plain transcriptions, the mirror, what a window may see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from logpose.core.errors import InputError
from logpose.core.skeletons import COCO, H36M, Skeleton
from logpose.models import LiftingModel
from logpose.models.lifting import body_parts, mirror

BODY = Skeleton("person", H36M.joints[:17], flip_pairs=tuple(H36M.pairs))


def counted(model: LiftingModel) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("network", "settings", "parameters"),
    [
        ("fc", {}, 4_291_635),
        ("martinez", {"unseen": [9]}, 4_291_632),
        ("srnet", {}, 899_029),
        ("srnet", {"filters": (3, 3, 3, 3, 3)}, 3_612_067),
    ],
)
def test_published_sizes(network, settings, parameters) -> None:
    assert counted(LiftingModel(network, BODY, predicts_sigma=False, settings=settings)) == parameters


def test_sigma_takes_one_more_number_for_each_dimension_of_a_joint() -> None:
    without, with_sigma = (LiftingModel("fc", BODY, predicts_sigma=s) for s in (False, True))
    assert counted(with_sigma) - counted(without) == 51 * 1025


def leaky(x: Tensor) -> Tensor:
    return torch.maximum(x, 0.01 * x)


def normed(x: Tensor, norm: torch.nn.Module) -> Tensor:
    """Batch normalisation by hand, of channels in the second dimension."""
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, var, gain, bias = (t.view(shape) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (x - mean) / (var + 1e-5).sqrt() * gain + bias


def settle(model: LiftingModel) -> LiftingModel:
    """Numbers other than 0 and 1 wherever a formula could hide behind them."""
    torch.manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
        elif tensor.is_floating_point() and ("norm" in name or "others" in name):
            tensor.normal_(0, 0.3)
    return model.eval()


def test_the_baseline_is_its_formula() -> None:
    model = settle(LiftingModel("fc", BODY, settings={"width": 32}))
    net, x = model.network, torch.randn(5, 1, 17, 2)
    h = leaky(normed(x.flatten(1) @ net.expand[0].weight.T, net.expand[1]))
    for block in net.blocks:
        inner = leaky(normed(h @ block[0][0].weight.T, block[0][1]))
        h = h + leaky(normed(inner @ block[1][0].weight.T, block[1][1]))
    out = (h @ net.last.weight.T + net.last.bias).view(5, 2, 17, 3)
    found = model(x)
    torch.testing.assert_close(found.mu[:, 1:], out[:, 0, 1:])
    torch.testing.assert_close(found.sigma[:, 1:], out[:, 1, 1:].sigmoid(), rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(found.confidence, 1 - found.sigma.mean(dim=-1))


def test_martinez_is_its_formula() -> None:
    torch.manual_seed(0)
    model = LiftingModel("martinez", BODY, predicts_sigma=False, settings={"width": 32, "unseen": [9]})
    data = torch.randn(50, 17, 2) * 3 + 1, torch.randn(50, 17, 3) * 0.2 - 0.4
    model.network.standardise(*data)
    net, x = settle(model).network, torch.randn(5, 1, 17, 2)
    seen = [j for j in range(17) if j != 9]
    z = ((x[:, 0] - net.inputs_mean) / net.inputs_std)[:, seen].flatten(1)

    def linear(x: Tensor, layer: torch.nn.Linear) -> Tensor:
        length = math.sqrt((layer.weight.detach() ** 2).sum().item())
        return x @ (layer.weight / max(1.0, length)).T + layer.bias

    h = normed(linear(z, net.expand[0]), net.expand[1]).clamp_min(0)
    for block in net.blocks:
        inner = normed(linear(h, block[0][0]), block[0][1]).clamp_min(0)
        h = h + normed(linear(inner, block[1][0]), block[1][1]).clamp_min(0)
    out = linear(h, net.last).view(5, 16, 3) * net.targets_std[1:] + net.targets_mean[1:]
    torch.testing.assert_close(model(x).mu[:, 1:], out)
    torch.testing.assert_close(model(x).mu[:, 0], torch.zeros(5, 3))


def test_standardising_takes_the_mean_and_the_spread_of_the_data() -> None:
    model = LiftingModel("martinez", BODY)
    inputs, targets = torch.randn(40, 17, 2) * 2 + 3, torch.randn(40, 17, 3)
    targets[:, 0] = 0  # the root does not vary
    model.prepare(type("Data", (), {"inputs": inputs.numpy(), "targets": targets.numpy()}))
    torch.testing.assert_close(model.network.inputs_mean, inputs.mean(dim=0))
    torch.testing.assert_close(model.network.inputs_std, inputs.std(dim=0))
    assert model.network.targets_std[0].tolist() == [1, 1, 1]
    assert model(torch.randn(3, 1, 17, 2)).mu.isfinite().all()


@pytest.mark.parametrize("filters", [(1, 1), (3, 3), (3, 1, 5)])
def test_srnet_is_its_formula(filters) -> None:
    """Loops over frames, groups and taps, as FACTS and the counts give the network."""
    model = settle(LiftingModel("srnet", BODY, predicts_sigma=True, settings={"filters": filters, "width": 40}))
    net, parts = model.network, body_parts(BODY)
    torch.manual_seed(2)
    x = torch.randn(2, math.prod(filters), 17, 2)

    def split(layer, features: list[list[Tensor]]) -> list[list[Tensor]]:
        """features[t][g] (B, C): frames of groups."""
        taps, out = layer.taps, []
        for start in range(0, len(features), taps):
            frames = features[start : start + taps]
            row = []
            for g in range(len(parts)):
                conv, norm = layer.others[g], layer.norms[g]
                gate = conv.bias.expand(2, -1)
                for j, frame in enumerate(frames):
                    others = torch.cat([frame[o] for o in range(len(parts)) if o != g], dim=1)
                    gate = gate + others @ conv.weight[:, :, j].T
                gate = normed(gate, norm).sigmoid()
                own = layer.own[g].weight
                row.append(sum(frame[g] * gate[:, j : j + 1] @ own[:, :, j].T for j, frame in enumerate(frames)))
            out.append(row)
        return out

    def after(seq, features: list[list[Tensor]]) -> list[Tensor]:
        widths = seq[0].outputs
        rows = [leaky(normed(torch.cat(row, dim=1), seq[1])) for row in split(seq[0], features)]
        return [list(row.split(widths, dim=1)) for row in rows]

    h = after(net.expand, [[x[:, t, list(part)].flatten(1) for part in parts] for t in range(x.shape[1])])
    for block in net.blocks:
        inner = after(block.second, after(block.first, h))
        middle = [h[i + block.taps // 2] for i in range(0, len(h), block.taps)]
        h = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(middle, inner, strict=True)]
    (last,) = split(net.last, h)
    mu, sigma = torch.zeros(2, 17, 3), torch.zeros(2, 17, 3)
    for part, out in zip(parts, last, strict=True):
        both = out[:, : 6 * len(part)].view(2, 2, len(part), 3)
        mu[:, list(part)], sigma[:, list(part)] = both[:, 0], both[:, 1].sigmoid()
    found = model(x)
    torch.testing.assert_close(found.mu[:, 1:], mu[:, 1:], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.sigma[:, 1:], sigma[:, 1:], rtol=1e-4, atol=1e-5)


def test_widths_are_those_of_the_published_network() -> None:
    net = LiftingModel("srnet", BODY, predicts_sigma=False).network
    assert net.expand[0].outputs == [195, 195, 243, 195, 196]
    assert sum(net.sizes) == 64


def test_parts_by_the_joints_names() -> None:
    assert body_parts(BODY) == ((0, 1, 2, 3), (0, 4, 5, 6), (0, 7, 8, 9, 10), (0, 11, 12, 13), (0, 14, 15, 16))
    with pytest.raises(InputError, match="pelvis"):
        body_parts(COCO)
    with pytest.raises(InputError, match="arm or a leg"):
        body_parts(Skeleton("person", ("pelvis", "l_hip", "r_hip", "l_wrist", "head")))


@pytest.mark.parametrize("network", ["fc", "martinez", "srnet"])
@pytest.mark.parametrize("predicts_sigma", [True, False])
def test_the_root_is_where_positions_are_from(network, predicts_sigma) -> None:
    found = LiftingModel(network, BODY, predicts_sigma).eval()(torch.randn(3, 1, 17, 2))
    assert found.mu.shape == found.sigma.shape == (3, 17, 3)
    assert not found.mu[:, 0].any()
    assert (found.sigma > 0).all()
    assert (found.sigma[:, 0] < 1e-5).all()
    assert (found.sigma[:, 1:] > 1e-3).all()
    assert (found.confidence == 1).all() or predicts_sigma  # of those with one confidence for all joints


def test_a_mirrored_pose_is_the_pose_mirrored() -> None:
    """Whatever the network: the flip test of a pose and of its mirror image say the same, mirrored."""
    model = settle(LiftingModel("fc", BODY, settings={"width": 16}))
    x = torch.randn(4, 1, 17, 2)

    def tested(x: Tensor):
        return model.flip_average(model(x), model(model.mirrored(x)))

    straight, mirrored = tested(x), tested(model.mirrored(x))
    torch.testing.assert_close(mirrored.mu, mirror(straight.mu, BODY))
    torch.testing.assert_close(mirrored.sigma, straight.sigma[:, list(BODY.flip_index)])
    assert mirror(x, BODY)[0, 0, 1].tolist() == [-x[0, 0, 4, 0], x[0, 0, 4, 1]]  # a right hip where the left one was
    torch.testing.assert_close(mirror(mirror(x, BODY), BODY), x)


def test_distance_is_in_millimetres() -> None:
    mu, target = torch.zeros(1, 17, 3), torch.zeros(1, 17, 3)
    target[0, 3] = torch.tensor([0.003, 0.004, 0.0])
    assert LiftingModel("fc", BODY).distance(mu, target)[0, 3].item() == pytest.approx(5)


def test_momentum_of_normalisation_falls_but_in_martinez() -> None:
    for network, last in (("fc", 0.001), ("srnet", 0.001), ("martinez", 0.1)):
        model = LiftingModel(network, BODY)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)]
        model.begin_epoch(0.0)
        assert {m.momentum for m in norms} == {0.1}
        model.begin_epoch(1.0)
        assert all(m.momentum == pytest.approx(last) for m in norms)


def test_wrong_networks_are_refused() -> None:
    with pytest.raises(InputError, match="fc, martinez, srnet"):
        LiftingModel("gcn", BODY)
    with pytest.raises(InputError, match="width of 4"):
        LiftingModel("srnet", BODY, settings={"width": 4})


@pytest.mark.parametrize("network", ["fc", "martinez", "srnet"])
def test_half_precision_is_for_hidden_layers_only(network) -> None:
    """Keypoints in bf16 would come in steps of 2 pixels of 1,000, positions in steps of 4 mm."""
    model = LiftingModel(network, BODY).eval()
    x = 0.9 + 0.001 * torch.rand(64, 1, 17, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x)
    assert found.mu.dtype == found.sigma.dtype == torch.float32
    exact = model(x).mu[:, 1:]
    assert len(found.mu[:, 1, 0].unique()) > 30
    assert (found.mu[:, 1:] - exact).abs().mean() < 0.02 * exact.abs().mean()
