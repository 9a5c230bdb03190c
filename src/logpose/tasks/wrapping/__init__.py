"""An uncertainty for keypoints that another program predicted."""
