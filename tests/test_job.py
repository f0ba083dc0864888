"""`sandbox.run` and jobs: what goes in, what comes out, and what is remembered of it."""

import pytest

import sandbox
from sandbox import Container
from sandbox.errors import AlreadyExists, KernelRefused, NotFound, WrongState
from sandbox.listing import finished
from sandbox.starting import OUTPUT_KEPT, collect
from tests.shell import until

pytestmark = [pytest.mark.needs_userns, pytest.mark.usefixtures("home")]


def text(container: Container) -> bytes:
    return b"".join(data for _, _, data in container.logs())


def test_run_returns_what_was_written_and_how_it_ended() -> None:
    result = sandbox.run("busybox", "cat; echo err >&2; exit 3", stdin=b"given\n")
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"given\n", b"err\n")
    assert not result
    assert [entry.step for entry in result.trace][-1].startswith("Exec")


def test_bytes_that_are_no_utf_8_come_back_unchanged() -> None:
    every = bytes(range(256)) * 300
    result = sandbox.run("busybox", ["cat"], stdin=every)
    assert result.stdout == every
    assert "\ufffd" in result.text
    assert text(Container(finished()[0].name)) == every


def test_of_thirty_megabytes_the_first_sixteen_are_returned_and_the_rest_is_let_go() -> None:
    result = sandbox.run("busybox", "seq 4200000")
    assert result.exit_code == 0
    assert len(result.stdout) == OUTPUT_KEPT
    whole = text(Container(finished()[0].name))
    assert whole.endswith(b"\n4199999\n4200000\n")  # the log keeps the end
    assert len(whole) >= 4 << 20


def test_a_megabyte_of_stdin_that_nobody_reads_does_not_hang() -> None:
    assert sandbox.run("busybox", ["true"], stdin=bytes(1 << 20)).exit_code == 0


def test_a_missing_program_is_an_error_and_leaves_a_record() -> None:
    with pytest.raises(KernelRefused, match="no program 'no-such'") as caught:
        sandbox.run("busybox", ["no-such"])
    assert caught.value.step == "Exec"
    assert finished()[0].exit_code == 125
    assert "ENOENT" in finished()[0].reason


def test_the_last_twenty_runs_are_remembered() -> None:
    for number in range(22):
        sandbox.run("busybox", ["sh", "-c", f"echo {number}; exit {number}"], name=f"run-{number}")
    until(lambda: finished()[0].exit_code == 21, "the last one should be recorded")
    assert [info.exit_code for info in finished()] == list(range(21, 1, -1))
    assert text(Container("run-21")) == b"21\n"
    assert Container("run-21").info().exit_code == 21
    assert Container("run-21").wait().exit_code == 21
    with pytest.raises(NotFound):
        Container("run-1").info()


def test_what_ended_is_known_the_moment_run_returns() -> None:
    for number in range(20):
        sandbox.run("busybox", ["echo", str(number)], name="same")
        assert text(Container("same")) == f"{number}\n".encode()
        assert Container("same").state == "STOPPED"


def test_keep_leaves_a_container_that_can_be_started_again() -> None:
    result = sandbox.run("busybox", "echo $((1 + $(cat /count || echo 0))) > /count; cat /count", name="kept", keep=True)
    assert result.stdout == b"1\n"
    kept = Container.get("kept")
    assert kept.state == "STOPPED"
    kept.start()
    assert kept.wait().exit_code == 0
    assert text(kept).endswith(b"2\n")
    with pytest.raises(AlreadyExists):
        sandbox.run("busybox", ["true"], name="kept")
    kept.destroy()
    with pytest.raises(NotFound):
        Container.get("kept").start()


def test_leaving_the_output_ends_the_container() -> None:
    job = sandbox.spawn("busybox", ["yes"], name="left")
    for _ in job.output():
        break
    assert job.done
    assert Container("left").state == "STOPPED"


def test_a_job_is_written_to_while_it_runs() -> None:
    job = sandbox.spawn("busybox", ["cat"], interactive=True)
    seen = b""
    for word in (b"one ", b"two "):
        job.write(word)
        while not seen.endswith(word):
            seen += b"".join(data for _, data in job.poll(1))
    job.close_stdin()
    assert collect(job).exit_code == 0


# --- terminals --------------------------------------------------------------------------------------------------------


def test_a_job_is_typed_to_and_its_terminal_read() -> None:
    job = sandbox.spawn("busybox", ["sh"], tty=True)
    job.write(b"echo $((6 * 7)); tty\n")
    seen = b""
    while b"/dev/pts/0\r\n" not in seen and not job.done:
        seen += b"".join(data for _, data in job.poll(0.2))
    assert b"42\r\n" in seen
    job.write(b"exit 5\n")
    assert collect(job).exit_code == 5


def test_run_with_a_terminal_returns_what_it_showed() -> None:
    result = sandbox.run("busybox", "tty; seq 3000", tty=True)
    assert result.stdout.startswith(b"/dev/pts/0\r\n1\r\n2\r\n")
    assert result.stdout.endswith(b"\r\n3000\r\n")


def test_who_has_no_terminal_can_not_be_attached_to() -> None:
    box = sandbox.Container.create(command=["sleep", "100"])
    box.start()
    with pytest.raises(WrongState, match="no terminal"):
        collect(box.attach())
    box.destroy(force=True)
