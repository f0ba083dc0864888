"""crypt(3) gives what /etc/shadow keeps."""

import shutil
import subprocess

import pytest

from sandbox.linux.passwords import sha512_crypt


def test_a_hash_is_the_one_that_its_inventor_published() -> None:
    # Ulrich Drepper, Unix crypt using SHA-256 and SHA-512, test vectors.
    assert sha512_crypt("Hello world!", "saltstring") == (
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    )


def test_openssl_makes_the_same() -> None:
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs openssl: apt install openssl")
    command = (openssl, "passwd", "-6", "-salt", "abc./XYZ", "pass word")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sha512_crypt("pass word", "abc./XYZ") == done.stdout.strip()


def test_a_salt_that_would_end_the_field_is_refused() -> None:
    with pytest.raises(OSError, match="salt"):
        sha512_crypt("word", "a:b")
