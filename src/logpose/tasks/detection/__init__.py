"""Pose of all people in whole images, without boxes."""
