"""The joints of one photograph, with a standard deviation in pixels for each.

python predict_photo.py best.ckpt photo.jpg
"""

import sys

from logpose import Predictor

predictor = Predictor(sys.argv[1])
poses = predictor(sys.argv[2])
for joint, (x, y), (sx, sy) in zip(poses.skeleton.joints, poses.keypoints[0], poses.sigma[0], strict=True):
    print(f"{joint:16} {x:7.1f} ± {sx:5.1f}   {y:7.1f} ± {sy:5.1f}")
