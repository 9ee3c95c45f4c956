"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_phenolens.export.errors import ExportError


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; it takes the asked name when everything is on disk, and is removed where writing failed.

    Parameters
    ----------
    path : str or Path
        The file to make; its folder is made where it is missing.

    Raises
    ------
    ExportError
        Where the folder cannot be written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix="".join(path.suffixes), dir=path.parent)
    except OSError as error:
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}; choose a folder that you may write to"
        ) from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        # mkstemp makes files that nobody else may read; give what any new file gets.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        os.replace(part, path)
    except IsADirectoryError as error:
        raise ExportError(f"cannot write {path}: it is a folder; give the name of a file") from error
    finally:
        part.unlink(missing_ok=True)
