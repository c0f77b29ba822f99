"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bayes_scaling.errors import InputError


def check_writable(path: str | Path) -> Path:
    """Refuse a file that cannot be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path
        File to be written later.

    Returns
    -------
    Path
        Where it will lie: where the path leads, if it is a link.

    Raises
    ------
    InputError
        If its folder is missing or cannot be written to, or the path is a folder or a device.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {Path(path).parent}; make it first")
    if target.exists() and not target.is_file():
        raise InputError(
            f"{path}: cannot be written: it is {'a folder' if target.is_dir() else 'no plain file'}"
        )
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: you may not write to the folder {target.parent}")
    return target


def make_folder(path: str | Path) -> Path:
    """Make a folder for files to be written, with those that it lies in, if it is not there.

    Parameters
    ----------
    path : str or Path
        The folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If it cannot be made, or a file is in its place.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{path}: is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: the folder cannot be made: {error.strerror}; name another") from None
    return folder


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give the block a temporary file to write, which takes the file's place only if the block succeeds.

    Parameters
    ----------
    path : str or Path
        File to write or replace.

    Yields
    ------
    Path
        Temporary file in the same folder.

    Raises
    ------
    InputError
        As for `check_writable`.
    """
    target = check_writable(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp lets only its owner read the file; what stands in the end is for whom the umask says.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
