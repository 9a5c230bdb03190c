"""Leeds Sports Pose and its extension: one `joints.mat` and a folder of numbered photographs.

LSP (Johnson and Everingham, BMVC 2010) has `joints` of 3×14×N, whose third row flags hidden joints; all joints
are labelled, the first half of its 2,000 people is for training. LSP-Extended (CVPR 2011) has 14×3×N, whose third
column flags labelled joints; its labels come from crowd workers. Neither has boxes: a person's is the tight box
of the labelled joints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from logpose.core.errors import InputError
from logpose.core.samples import Sample
from logpose.core.skeletons import LSP
from logpose.data.images import check_image, most_found
from logpose.data.matlab import read_matlab
from logpose.data.problems import FARTHEST, PeopleFile, Problem, of_part, refuse

__all__ = ["LspPeople"]

HELD_OUT = 1000
"""People at the end of a file that are held out, as in LSP's own split (half of them where there are fewer)."""
JOINTS_LEAST = 2  # labelled joints that make a box


class LspPeople(PeopleFile):
    """The people of a `joints.mat`, their coordinates as they are in the file.

    Arguments and errors as of `open_people`. Images are `im0001.jpg` or `im00001.jpg` and so on, whichever are more, by
    default in `images` beside the file; the part "val" has the last 1,000 people.
    """

    def __init__(
        self, file: str | Path, images: str | Path | None = None, strict: bool = False, part: str | None = None
    ) -> None:
        file = Path(file)
        super().__init__(file, LSP, images or file.parent / "images")
        positions, visible = _read(file)
        numbers = range(1, len(positions) + 1)
        digits = most_found((5, 4), lambda digits: (self._image(number, digits) for number in numbers))
        first_held_out = len(positions) - min(HELD_OUT, len(positions) // 2)
        for i in range(len(positions)):
            if part is None or (i >= first_held_out) == (part == "val"):
                self.counts["annotations"] += 1
                person = self._person(i, self._image(i + 1, digits), positions[i], visible[i])
                self._add(person, "with too few labelled joints")
        self.counts["people"] = len(self.samples)
        refuse(self.samples, self.problems, strict, f"{file}: no labelled people{of_part(part, 'the end of the file')}")

    def _image(self, number: int, digits: int) -> Path:
        return self.image_folder / f"im{number:0{digits}d}.jpg"

    def _person(
        self, i: int, image: Path, positions: Float[np.ndarray, "14 2"], visible: Int[np.ndarray, "14"]
    ) -> Sample | Problem | None:
        where = f"{self.file}: person {i + 1} ({image.name})"
        labelled = positions[visible > 0]
        if not np.isfinite(labelled).all() or np.abs(labelled).max(initial=0) > FARTHEST:
            return Problem(where, f"joints not finite, or beyond ±{FARTHEST:g} pixels")
        if len(labelled) < JOINTS_LEAST or not np.ptp(labelled, axis=0).any():
            return None
        if fault := check_image(image):
            return Problem(where, fault, str(image))
        low, extent = labelled.min(axis=0), np.ptp(labelled, axis=0)
        # The area that OKS divides by: there are no outlines, and a line of joints has no area.
        area = float(max(extent.prod(), extent.max() ** 2 / 4))
        keypoints = np.where(visible[:, None] > 0, positions, 0)
        return Sample(image, np.concatenate([low, extent]), keypoints, visible, area, image_id=i + 1, id=i + 1)


def _read(file: Path) -> tuple[Float[np.ndarray, "N 14 2"], Int[np.ndarray, "N 14"]]:
    """Positions, and COCO's flags of visibility."""
    joints = read_matlab(file, "joints")
    count = len(LSP)
    if joints.shape[:2] == (count, 3) and joints.ndim == 3:
        rows, unflagged, flagged = joints.transpose(2, 0, 1), 0, 2
    elif joints.shape[:2] == (3, count) and joints.ndim == 3:
        rows, unflagged, flagged = joints.transpose(2, 1, 0), 2, 1
    else:
        shape = "×".join(map(str, joints.shape))
        raise InputError(f"{file}: joints must be {count}×3×N (LSP-Extended) or 3×{count}×N (LSP), got {shape}")
    flags = rows[..., 2]
    wrong = np.flatnonzero(~np.isin(flags, (0, 1)).all(axis=1))
    if len(wrong):
        raise InputError(f"{file}: person {wrong[0] + 1}: joint flags must be 0 or 1")
    return rows[..., :2].astype(np.float64), np.where(flags > 0, flagged, unflagged).astype(np.int64)
