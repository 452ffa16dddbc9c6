"""A disk that can lose power: what this process does to the files below a folder is done, and noted in a journal."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.journal import FOLDER, Journal, Names, Size, Sync, Write

_CALLS = ("open", "close", "write", "fsync", "fdatasync", "replace", "unlink", "link", "ftruncate", "mkdir")


class Disk(Journal):
    """The files below ``root``; what is there at first is durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fail: Callable[[str, str], bool] = lambda call, path: False
        """Whether the next ``write`` or ``sync`` of a file fails; a write fails when it is half done."""
        self._lock = threading.RLock()
        self._open: dict[int, tuple[int | str, str]] = {}
        first: dict[str, int] = {}
        contents: dict[int, bytes] = {}
        known: dict[int, int] = {}
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_dir():
                first[name] = FOLDER
                continue
            first[name] = known.setdefault(path.stat().st_ino, len(known) + 1)
            contents[first[name]] = path.read_bytes()
        super().__init__(first, contents)
        self._names = dict(first)
        self._numbers = itertools.count(len(known) + 1)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Everything that is done below the folder is noted; all but waiting for the disk is done too."""
        with contextlib.ExitStack() as stack:
            for name in _CALLS:
                real = getattr(os, name)
                double = getattr(self, f"_{name}_")
                stack.enter_context(mock.patch.object(os, name, _bound(double, real)))
            stack.enter_context(mock.patch.object(io, "open", _bound(self._io_open, io.open)))
            yield

    def _inside(self, path: Any) -> str | None:
        """The path of something below the folder; ``None`` for anything else."""
        if isinstance(path, int):
            return None
        name = os.path.relpath(os.fspath(path), self.root)
        return None if name.startswith("..") else name

    def _name(self, *changes: tuple[str, int | None]) -> None:
        for path, target in changes:
            if target is None:
                del self._names[path]
            else:
                self._names[path] = target
        self.events.append(
            Names(tuple((os.path.dirname(path), os.path.basename(path), target) for path, target in changes))
        )

    def _open_(self, real: Any, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        name = self._inside(path)
        if name is None or "dir_fd" in kwargs:
            return int(real(path, flags, *args, **kwargs))
        with self._lock:
            file = int(real(path, flags, *args, **kwargs))
            if os.path.isdir(path):
                self._open[file] = ("" if name == "." else name, name)
            elif flags & (os.O_WRONLY | os.O_RDWR):
                if name not in self._names:
                    self._name((name, next(self._numbers)))
                elif flags & os.O_TRUNC:
                    self.events.append(Size(self._names[name], 0))
                self._open[file] = (self._names[name], name)
            return file

    def _close_(self, real: Any, file: int) -> None:
        with self._lock:
            self._open.pop(file, None)
            real(file)

    def _write_(self, real: Any, file: int, data: Any) -> int:
        with self._lock:
            number, name = self._open.get(file, ("", ""))
            if not isinstance(number, int):
                return int(real(file, data))
            failing = self.fail("write", name)
            part = memoryview(data)[: len(data) // 2] if failing else data
            written = int(real(file, part))
            at = os.lseek(file, 0, os.SEEK_CUR) - written
            self.events.append(Write(number, at, bytes(part[:written])))
            if failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return written

    def _fsync_(self, real: Any, file: int) -> None:
        with self._lock:
            if file not in self._open:
                real(file)
                return
            number, name = self._open[file]
            if self.fail("sync", name):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.events.append(Sync(number))

    _fdatasync_ = _fsync_

    def _replace_(self, real: Any, source: Any, target: Any) -> None:
        old, new = self._inside(source), self._inside(target)
        with self._lock:
            real(source, target)
            if old is not None and new is not None:
                self._name((new, self._names[old]), (old, None))

    def _unlink_(self, real: Any, path: Any, **kwargs: Any) -> None:
        name = self._inside(path)
        with self._lock:
            real(path, **kwargs)
            if name is not None:
                self._name((name, None))

    def _link_(self, real: Any, source: Any, target: Any) -> None:
        old, new = self._inside(source), self._inside(target)
        with self._lock:
            real(source, target)
            if old is not None and new is not None:
                self._name((new, self._names[old]))

    def _ftruncate_(self, real: Any, file: int, size: int) -> None:
        with self._lock:
            real(file, size)
            if file in self._open:
                self.events.append(Size(int(self._open[file][0]), size))

    def _mkdir_(self, real: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        name = self._inside(path)
        with self._lock:
            real(path, *args, **kwargs)
            if name is not None:
                self._name((name, FOLDER))

    def _io_open(self, real: Any, path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if mode not in ("wb", "ab") or self._inside(path) is None:
            return real(path, mode, *args, **kwargs)
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if mode == "wb" else os.O_APPEND)
        return io.BufferedWriter(_Raw(os.open(path, flags, 0o644)))


class _Raw(io.RawIOBase):
    """A file whose writes go the recorded way."""

    def __init__(self, file: int) -> None:
        self._file = file

    def fileno(self) -> int:
        return self._file

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self._file, offset, whence)

    def write(self, data: Any) -> int:
        return os.write(self._file, data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def _bound(double: Callable[..., Any], real: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: double(real, *args, **kwargs)
