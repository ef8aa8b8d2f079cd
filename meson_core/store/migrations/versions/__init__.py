"""Owns the revisions, one file each; `meson_core.store.versions.REVISIONS` lists them."""
