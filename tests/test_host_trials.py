"""Trials tell the truth: what works, what fails and with which call; one that dies spoils no other."""

import errno
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from sandbox import host, host_trials
from sandbox.linux.syscalls import SyscallError

SOURCE = Path(host.__file__).parent.parent


def in_a_process_of_its_own(code: str) -> str:
    code = f"import sys; sys.path.append({str(SOURCE)!r}); from sandbox.host_trials import *; {code}"
    return subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_device_that_no_kernel_knows_is_not_found():
    if not host.report().can("network.veth"):
        pytest.skip(host.report().why_not("network.veth"))
    code = "print(all_tried({'a': lambda: new_link('unheard'), 'b': lambda: new_link('veth')}, lambda: enter('network')))"
    assert in_a_process_of_its_own(code) == str({"a": [errno.EOPNOTSUPP, "netlink"], "b": [0, ""]})


def test_sockets_of_a_family_that_nobody_can_list_are_not_found():
    code = "print(all_tried({'a': lambda: diagnosis(43, bytes(22))}, lambda: enter('network')))"
    if not host.report().can("namespace.network"):
        pytest.skip(host.report().why_not("namespace.network"))
    number = json.loads(in_a_process_of_its_own(code).replace("'", '"'))["a"][0]
    assert number in (errno.ENOENT, errno.EINVAL)


def test_a_trial_that_dies_is_a_failure_and_spoils_no_other():
    code = "print(tried(lambda: os.kill(os.getpid(), 9)), tried(lambda: 'well'), tried(lambda: 1 / 0)[0])"
    assert in_a_process_of_its_own(code) == f"({errno.ENOSYS}, 'killed by signal 9 in') (0, 'well') {errno.EIO}"


def test_a_failed_trial_names_its_call_and_path(tmp_path):
    missing = f"{tmp_path}/none"
    with pytest.raises(SyscallError) as caught:
        host_trials.attempt(partial(host_trials.make_group, missing))
    assert (caught.value.call, caught.value.errno) == ("open", errno.ENOENT)
    assert caught.value.filename.startswith(missing)
