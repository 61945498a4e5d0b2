"""Folders that one user alone reads and writes: where work lies before it is published.

The folder for temporary files has names that anybody can guess and anybody may take first. Whoever works in a
folder that another user made, or may write to, publishes what that user wants.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from stages.errors import naming_disk_faults

OWNER_ONLY = 0o700


def private_folder(folder: Path, remedy: str) -> Path:
    """The folder, made with mode 0700 where it is missing; its own mode becomes that, too.

    Args:
        folder: absolute; the folders above it are made as usual.
        remedy: what to do about one that is refused, for its message.

    Raises:
        ValueError: what has the name is a link or a file, is another user's, or can be written by others.
        OSError: it cannot be made.
    """
    with naming_disk_faults(str(folder)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.mkdir(OWNER_ONLY)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode):
            what = "a link" if stat.S_ISLNK(status.st_mode) else "no folder"
            raise ValueError(f"{folder} is {what}, and files of others could come in through it; {remedy}")
        if status.st_uid != os.geteuid():
            raise ValueError(
                f"{folder} belongs to user {status.st_uid}, not to user {os.geteuid()}; {remedy}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            mode = stat.S_IMODE(status.st_mode)
            raise ValueError(
                f"{folder} can be written by other users (mode {mode:04o}); `chmod 700 {folder}` if all that "
                f"lies there is yours, or {remedy}"
            )
        if stat.S_IMODE(status.st_mode) != OWNER_ONLY:
            folder.chmod(OWNER_ONLY)
    return folder
