"""Owns how tables of one version become those of the next; a revision that was released is never changed."""
