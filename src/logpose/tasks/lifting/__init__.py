"""Two-stage 3-D pose: keypoints lifted into space."""
