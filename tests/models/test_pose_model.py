"""What every model carries: pixels as the backbone wants them, and the distribution of its errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from logpose.core.skeletons import COCO
from logpose.core.structures import LEVELS, ErrorDistribution, Prediction
from logpose.models import PoseModel
from logpose.models.pose_model import IMAGENET_MEAN, IMAGENET_STD


class Nothing(PoseModel):
    """The least that a model is."""

    def forward(self, images: Tensor) -> Prediction:
        mu = self.normalised(images).mean(dim=(1, 2, 3))[:, None, None].expand(-1, len(self.skeleton), self.dim)
        return Prediction(mu, torch.ones_like(mu), torch.ones_like(mu[..., 0]), self.error_distribution)

    def config(self) -> dict[str, Any]:
        return {}


def error_distribution() -> ErrorDistribution:
    return ErrorDistribution(torch.tensor([0.1, -0.2]), torch.tensor([1.4, 1.5]), torch.linspace(0.1, 3, len(LEVELS)))


def test_pixels_are_standardised_by_channel() -> None:
    model = Nothing(COCO, (4, 3))
    images = torch.randint(0, 256, (2, 3, 4, 3), dtype=torch.uint8)
    expected = torch.stack(
        [(images[:, c].double() / 255 - IMAGENET_MEAN[c]) / IMAGENET_STD[c] for c in range(3)], dim=1
    ).float()
    torch.testing.assert_close(model.normalised(images), expected)
    torch.testing.assert_close(model.normalised(images.float() / 255), expected)
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_pixels_have_the_precision_of_the_weights(dtype: torch.dtype) -> None:
    images = torch.randint(0, 256, (2, 3, 4, 3), dtype=torch.uint8)
    exact = Nothing(COCO, (4, 3)).normalised(images)
    model = Nothing(COCO, (4, 3)).to(dtype)
    for given in (images, images.float() / 255, images.to(dtype) / 255):
        found = model.normalised(given)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), exact, rtol=0, atol=8 * max(torch.finfo(dtype).eps, 2**-23))


def test_the_normalisation_travels_with_the_weights() -> None:
    model = Nothing(COCO, (4, 3), pixel_mean=(0.1, 0.2, 0.3), pixel_std=(1.0, 2.0, 3.0))
    assert {"pixel_mean", "pixel_std", "error_mean", "error_std", "error_radius"} == set(model.state_dict())
    other = Nothing(COCO, (4, 3))
    images = torch.rand(2, 3, 4, 3)
    assert not torch.equal(other.normalised(images), model.normalised(images))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.normalised(images), model.normalised(images))
    assert list(model.parameters()) == []


@pytest.mark.parametrize("dim", [2, 3])
def test_a_new_models_error_distribution_is_unknown(dim: int) -> None:
    model = Nothing(COCO, (4, 3), dim)
    assert model.error_distribution.std.isnan().all()
    assert model.error_distribution.radius.isnan().all()
    assert model.error_distribution.mean.tolist() == [0] * dim
    prediction = model(torch.rand(1, 3, 4, 3))
    assert prediction.std.isnan().all()
    assert torch.equal(prediction.mean, prediction.mu)


def test_the_error_distribution_is_kept_with_the_weights() -> None:
    model = Nothing(COCO, (4, 3))
    kept = model.error_std
    model.set_error_distribution(error_distribution())
    assert kept is model.error_std, "in place: an exported or wrapped model has it too"
    other = Nothing(COCO, (4, 3))
    other.load_state_dict(model.state_dict())
    for name in ("mean", "std", "radius"):
        assert torch.equal(getattr(other.error_distribution, name), getattr(error_distribution(), name))
    prediction = other(torch.rand(1, 3, 4, 3))
    torch.testing.assert_close(prediction.mean, prediction.mu + torch.tensor([0.1, -0.2]))
    torch.testing.assert_close(prediction.std, torch.tensor([1.4, 1.5]).expand(1, 17, 2))


def test_a_model_describes_its_inputs() -> None:
    with pytest.raises(TypeError, match="abstract"):
        PoseModel(COCO, (4, 3))  # type: ignore[abstract]
