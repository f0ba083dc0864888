"""Passwords as /etc/shadow keeps them. crypt(3), in the library that every program with a login prompt uses. shadow(5)."""

import ctypes
import errno
import os
from functools import cache
from typing import Any

#: libxcrypt with and without the old names; None is the C library itself, which has it where that is musl.
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)


@cache
def _library() -> Any:
    for name in _LIBRARIES:
        try:
            # PyDLL keeps Python's lock during the call: crypt(3) answers in a buffer that all threads share.
            library = ctypes.PyDLL(name)
            library.crypt.restype = ctypes.c_char_p
        except (OSError, AttributeError):
            continue
        return library
    raise OSError(errno.ENOSYS, "there is no crypt(3) in", "libcrypt.so")


def sha512_crypt(password: str, salt: str) -> str:
    """The hash, "$6$SALT$…", which Debian's login takes as well as busybox's. `salt`: up to 16 of a-z A-Z 0-9 . and /."""
    found: bytes | None = _library().crypt(os.fsencode(password), f"$6${salt}".encode())
    if found is None or not found.startswith(b"$6$"):  # "*0" is crypt's way to say no
        raise OSError(errno.EINVAL, "crypt(3) knows no $6$, or not this salt")
    return found.decode()
