"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bayes_scaling.errors import InputError


def check_folder(path: str | Path) -> None:
    """Refuse a file whose folder is missing, before any work is done for it.

    Parameters
    ----------
    path : str or Path
        File to be written later.

    Raises
    ------
    InputError
        If its folder does not exist.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise InputError(f"{path}: cannot be written: there is no folder {folder}; make it first")


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Give the block a temporary file to write, which takes the path's place only if the block succeeds.

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
        If the folder is missing or cannot be written to.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
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
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
