"""What the page cache has of a file: this module tells whether bytes can be had without waiting for a disk."""

import ctypes
import errno
import os

_CACHESTAT = 451  # the same on every architecture but alpha
_STEP = 1024 * 1024
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Found(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("cached", "dirty", "written", "evicted", "recently_evicted"))


class PageCache:
    """Asks cachestat(2), which Linux has from 6.5 on: ``knows`` is False where it answered once that it is not there.

    Not to be shared between threads.
    """

    def __init__(self) -> None:
        self.knows = True
        self._range, self._found = _Range(), _Found()
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._call.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
        self._places = ctypes.addressof(self._range), ctypes.addressof(self._found)

    def has(self, fd: int, offset: int, length: int) -> bool:
        """Tell whether all of these bytes of an open file are in memory now. False also where nobody can say.

        A page counts from the moment that its reading begins, so one of each ``_STEP`` and the last are tried as well
        (RWF_NOWAIT, preadv2(2)): pages are read in their order, many at a time.
        """
        if not self.knows or length <= 0:
            return False
        first = offset - offset % _PAGE
        self._range.offset, self._range.length = first, offset + length - first
        if self._call(_CACHESTAT, fd, *self._places, 0):
            self.knows = ctypes.get_errno() != errno.ENOSYS
            return False
        if self._found.cached * _PAGE < offset + length - first:
            return False
        byte, last = [bytearray(1)], offset + length - 1
        try:
            return all(os.preadv(fd, byte, at, os.RWF_NOWAIT) == 1 for at in (*range(offset, last, _STEP), last))
        except OSError:
            return False
