"""Owns nothing: the commands of `mesonctl`, one file per family."""
