"""Doped slabs: a host, the group of its sites, its decorations by rank, and the space that they make."""
