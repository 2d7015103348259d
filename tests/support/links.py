"""Symbolic links, as Kubernetes mounts configurations."""

from pathlib import Path


def swapped(link: Path, to: str) -> None:
    """Let a symbolic link lead elsewhere in one step, as Kubernetes does it."""
    fresh = link.with_name("..data_tmp")
    fresh.symlink_to(to)
    fresh.rename(link)
