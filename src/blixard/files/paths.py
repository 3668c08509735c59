"""What is done to names: create, rename, unlink, directories, and opening what must lie beneath a root.

Everything here refuses to follow a symbolic link as the last component, because names come from files and other users;
`open_beneath` and `remove_tree` refuse it in every component. What fails is a StorageError that names the path.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path, PurePath

from blixard.errors import StorageError
from blixard.files.seam import AnyPath, mutating, storage_error, translated

_PRIVATE = 0o700
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def create(path: AnyPath, *, exclusive: bool = True, mode: int = 0o600) -> int:
    """Make a file for reading and writing; return its descriptor. The mode is exact, whatever the umask.

    Args:
        path: where; a symlink there is refused.
        exclusive: fail when something is there; otherwise an existing regular file is emptied.
        mode: of the file, from its first byte.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_EXCL if exclusive else os.O_TRUNC)
    with mutating("create", path):
        fd = os.open(path, flags, mode)
        try:
            os.fchmod(fd, mode)
        except OSError:
            os.close(fd)
            raise
        return fd


def make_file(path: AnyPath) -> None:
    """Make an empty file, private, for a library that would go by the umask; one that another process made stays."""
    try:
        os.close(create(path))
    except StorageError as error:
        if not isinstance(error.__cause__, FileExistsError):
            raise


def open_existing(path: AnyPath) -> int:
    """A descriptor for reading and writing of an existing file that is not a symlink."""
    with translated("open", path):
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)


def open_beneath(root: AnyPath, relative: AnyPath) -> int:
    """A read-only descriptor of a regular file beneath `root`; no `..`, no absolute path, no symlink on the way.

    Raises:
        StorageError: not there, not readable, not a regular file, or an attempt to leave `root`.
    """
    whole = Path(root) / relative
    *folders, name = _inner_parts(relative, whole)
    folder = _open_folder(root, folders)
    try:
        with translated("open", whole):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StorageError(f"cannot open `{whole}`: not a regular file")
    return fd


def is_there(path: AnyPath) -> bool:
    """True when something has that name, a dangling symlink too.

    Raises:
        StorageError: we may not look; `Path.exists` raises a bare PermissionError then, and a guess would be wrong.
    """
    return mode_of(path, follow=False) is not None


def is_dir(path: AnyPath) -> bool:
    """True when `path` names a directory, through symlinks too."""
    mode = mode_of(path, follow=True)
    return mode is not None and stat.S_ISDIR(mode)


def is_file(path: AnyPath) -> bool:
    """True when `path` names a regular file, through symlinks too."""
    mode = mode_of(path, follow=True)
    return mode is not None and stat.S_ISREG(mode)


def mode_of(path: AnyPath, *, follow: bool) -> int | None:
    """Kind and mode of what `path` names, or of the symlink that has that name; None when there is nothing."""
    about = _look(path, follow=follow)
    return None if about is None else about.st_mode


def identity_of(path: AnyPath) -> tuple[int, int] | None:
    """Device and inode of what `path` names, the same whatever its name; None when there is nothing."""
    about = _look(path, follow=True)
    return None if about is None else (about.st_dev, about.st_ino)


def _look(path: AnyPath, *, follow: bool) -> os.stat_result | None:
    with translated("look at", path):
        try:
            return Path(path).stat(follow_symlinks=follow)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None  # symlinks in a circle name nothing
            raise


def rename(source: AnyPath, target: AnyPath) -> None:
    """Give `source` the name `target` in one step, replacing what had it; durable after `fsync_dir` of both parents."""
    with mutating("rename", target):
        Path(source).rename(target)


def unlink(path: AnyPath, *, missing_ok: bool = False) -> None:
    """Remove a name."""
    with mutating("unlink", path):
        try:
            Path(path).unlink()
        except FileNotFoundError:
            if not missing_ok:
                raise


def make_dir(path: AnyPath) -> None:
    """Make a directory and the missing ones above it, all of them private; one that is there is left as it is.

    Each new directory is made durable in its parent.
    """
    missing: list[Path] = []
    at = Path(path)
    while not is_dir(at):
        missing.append(at)
        if at.parent == at:
            break
        at = at.parent
    for folder in reversed(missing):
        with mutating("make directory", folder):
            try:
                folder.mkdir(_PRIVATE)
            except FileExistsError:
                if not is_dir(folder):
                    raise
                continue  # another process was faster
            folder.chmod(_PRIVATE)  # whatever the umask
        fsync_dir(folder.parent)


def fsync_dir(path: AnyPath) -> None:
    """Make the names in a directory durable."""
    with mutating("fsync directory", path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            # FUSE and some network file systems have no fsync for directories; there is nothing better to do there
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)


def remove_tree(path: AnyPath, *, beneath: AnyPath) -> None:
    """Remove a directory (or file) and all in it, without ever leaving `beneath` or following a symlink.

    What is already gone is fine, so a removal that was cut short can be repeated.

    Raises:
        StorageError: naming what could not be removed, or `path` when it does not lie beneath `beneath`.
    """
    path, root = Path(path), Path(beneath)
    if not path.is_relative_to(root) or path == root:
        raise StorageError(f"cannot remove `{path}`: it does not lie beneath `{root}`")
    *folders, name = _inner_parts(path.relative_to(root), path)
    try:
        parent = _open_folder(root, folders)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise
    try:
        _remove_at(parent, name, path)
    finally:
        os.close(parent)


def _remove_at(parent: int, name: str, path: Path) -> None:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        with mutating("unlink", path), suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)
        return
    try:
        folder = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return  # another sweep was faster
    except OSError as error:
        raise storage_error("open", path, error) from error
    try:
        for inner in sorted(os.listdir(folder)):  # noqa: PTH208 - by descriptor, so that no name is resolved twice
            _remove_at(folder, inner, path / inner)
    finally:
        os.close(folder)
    with mutating("remove directory", path), suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)


def _open_folder(root: AnyPath, parts: list[str]) -> int:
    """A descriptor of the directory `parts` beneath `root`; `root` itself may be reached through symlinks."""
    at = Path(root)
    with translated("open", at):
        folder = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        at /= part
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=folder)
        except OSError as error:
            raise storage_error("open", at, error) from error
        finally:
            os.close(folder)
        folder = inner
    return folder


def _inner_parts(relative: AnyPath, whole: Path) -> list[str]:
    parts = PurePath(relative).parts
    if not parts or PurePath(relative).is_absolute() or ".." in parts or any("\0" in part for part in parts):
        raise StorageError(f"cannot open `{whole}`: the path leads outside its directory")
    return list(parts)
