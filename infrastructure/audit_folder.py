"""The audit store as a folder, such as a mounted share: files are written once, and an existing one is never overwritten."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deployment.errors import CloudError, StoredOtherwise

_HIDDEN = "."  # the names of files that are still being written begin with it


def folder_of(setting: str, root: Path) -> Path:
    """Return the folder that ``audit_folder`` names: a ``file:`` URL, or a path, relative to ``root``."""
    if setting.startswith("file:"):
        return Path(unquote(urlsplit(setting).path))
    return root / setting


class FolderAuditStore:
    """The AuditStore port on a folder that exists. It is never created: a share that is not mounted must not seem to work."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """Write the file; an existing file with equal content is accepted. Raises StoredOtherwise, CloudError.

        Other processes see the whole file or none: it is written under another name, and then linked.
        """
        path = self._path(name)
        with self._errors(name):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, other = tempfile.mkstemp(prefix=_HIDDEN, dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(other, 0o444)
                with suppress(FileExistsError):
                    os.link(other, path)
            finally:
                os.unlink(other)
            self._sync(path.parent)
        if self.get(name) != content:
            raise StoredOtherwise(f"{path} exists already with other content")

    def get(self, name: str) -> bytes | None:
        """Return the file's content; None if there is none. Raises CloudError, also if the folder does not exist."""
        path = self._path(name)
        with self._errors(name):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the name of every file that begins with ``prefix``, which ends with a slash, sorted. Raises CloudError."""
        folder = self._path(prefix)
        with self._errors(prefix):
            found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(_HIDDEN))
        yield from (path.relative_to(self._folder).as_posix() for path in found)

    def _path(self, name: str) -> Path:
        """Return the path of a name. Raises CloudError if the folder does not exist."""
        if not self._folder.is_dir():
            raise CloudError(f"the audit folder {self._folder} is not a folder: mount it, or create it")
        path = self._folder.joinpath(*name.split("/"))
        if ".." in path.parts[len(self._folder.parts) :]:
            raise CloudError(f"{name} is not a name in the audit folder {self._folder}")
        return path

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Raise CloudError for an error of the file system."""
        try:
            yield
        except OSError as error:
            raise CloudError(f"audit folder {self._folder}: {name}: {error.strerror or error}") from error

    @staticmethod
    def _sync(folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
