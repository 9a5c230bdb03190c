"""Errors of worker processes come out as they were raised."""

from __future__ import annotations

import pytest
from torch.utils.data import Dataset

from logpose.core.errors import InputError, NoImagesError
from logpose.data.loading import ErrorsAsRows, InputErrorLoader, JoinedOrError


class Rows(Dataset[int]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> int:
        if row == 4:
            raise NoImagesError("images.json: lists no images")
        return row


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_is_the_one_that_was_raised(workers) -> None:
    loader = InputErrorLoader(ErrorsAsRows(Rows()), batch_size=2, num_workers=workers, collate_fn=JoinedOrError(sum))
    found = []
    with pytest.raises(NoImagesError) as error:
        found.extend(loader)
    assert str(error.value) == "images.json: lists no images"
    assert isinstance(error.value, InputError)


def test_batches_before_it_are_given() -> None:
    batches = iter(InputErrorLoader(ErrorsAsRows(Rows()), batch_size=2, collate_fn=JoinedOrError(sum)))
    assert [next(batches), next(batches)] == [1, 5]
    with pytest.raises(NoImagesError):
        next(batches)
