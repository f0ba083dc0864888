"""`sandbox.Console`: a console that a program talks to."""

import re
from collections.abc import Iterator

import pytest

import sandbox
from sandbox import Console, Container
from sandbox.console import PROMPT, NotSeen, Plain, turns_of
from sandbox.errors import NotFound, WrongState

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def box() -> Iterator[Container]:
    """A container with a shell on its console."""
    container, _ = sandbox.launch("busybox", ["sh"], tty=True, name="box")
    yield container
    if container.entry is not None:
        container.kill()


# --- text of a terminal -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (b"plain\r\nlines\r\r\n", "plain\nlines\n"),
        (b"\x1b[0;32m  OK  \x1b[0m done", "  OK   done"),
        (b"\x1b]0;a title\x07name\x1b]8;;http://x\x1b\\link", "namelink"),
        (b"\x1b[?2004hroot@box:~# \x1b[6n\x1b(B\x1b=\x1bc", "root@box:~# "),
        (b"a\x07b\x00c\x1b", "abc"),
        ("grüße 容器".encode(), "grüße 容器"),
        (b"\xff", "\ufffd"),
    ],
)
def test_escape_sequences_are_no_text_wherever_they_are_cut(shown: bytes, text: str) -> None:
    assert Plain()(shown, final=True) == text
    for cut in range(len(shown)):
        plain = Plain()
        assert plain(shown[:cut]) + plain(shown[cut:], final=True) == text, cut


def test_colours_stay_when_they_are_wanted_and_nothing_else() -> None:
    plain = Plain(colours=True)
    assert plain(b"\x1b[2J\x1b[1;31mred\x1b[>4;2m\x1b[0m\x1b]52;c;eA==\x07") == "\x1b[1;31mred\x1b[0m"


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_the_lines_of_a_script_are_answers_commands_and_waits() -> None:
    script = """
        # a note
        login: <- root
        Password: <- $(tmp_root_pass)
        df -h
        # <- cat <<-END
        <- y
        <-
        login: <-
    """
    assert turns_of(script) == [
        ("login:", "root"), ("Password:", "$(tmp_root_pass)"), (None, "df -h"), (None, "cat <<-END"), ("", "y"), ("", ""),
        ("login:", None),
    ]  # fmt: skip


# --- a shell ----------------------------------------------------------------------------------------------------------


@pytest.mark.needs_userns
def test_a_command_returns_what_it_shows_and_nothing_of_the_prompt(box: Container) -> None:
    with Console("box") as console:
        assert console.run("echo hello; cd /tmp") == "hello\n"
        assert console.run("pwd") == "/tmp\n"
        assert console.run("printf 'no newline'") == "no newline"
        words = " ".join(str(number) for number in range(200))  # longer than a line of the terminal
        assert console.run(f"echo {words}") == f"{words}\n"
        assert console.run("stty size") == "24 100\n"
        assert console.run("true") == ""
    assert box.state == "RUNNING"
    with Console(box) as console:  # the shell is where it was left
        assert console.run("pwd") == "/tmp\n"


@pytest.mark.needs_userns
def test_expect_finds_the_first_of_several_and_never_the_line_that_was_sent(box: Container) -> None:
    with Console(box) as console:
        console.expect(PROMPT)
        console.send("echo one; echo two; echo three")
        assert console.expect("three", re.compile(r"t.o\n"), "nothing") == 1
        assert console.before == "one\n"
        assert console.after == "two\n"
        assert console.expect("three") == 0
        assert console.before == ""


@pytest.mark.needs_userns
def test_what_does_not_come_is_named_with_the_last_lines(box: Container) -> None:
    shown: list[str] = []
    with Console(box, shown=shown.append) as console:
        console.run("echo the last line")
        with pytest.raises(NotSeen, match=r"'login: ' or /x\+/ did not come within 0.3 s") as caught:
            console.expect("login: ", re.compile("x+"), timeout=0.3)
        assert "the last line" in caught.value.condition
        assert "".join(shown) == console.text
        console.send("exit 3")
        with pytest.raises(NotSeen, match="before the console ended, with exit code 3"):
            console.expect("never")


@pytest.mark.needs_userns
def test_a_dialogue_is_held_line_by_line(box: Container) -> None:
    with Console(box) as console:
        console.play("""
            echo -n 'your name? '; read name; echo "hello $name"
            name? <- somebody
            # <- echo $((6 * 7))
        """)
        assert re.search(r"your name\? somebody\nhello somebody\n.*\n42\n/ # $", console.text)
        console.play([(None, "exit")])  # the end of the console is the end of the dialogue
        assert console.job.done


@pytest.mark.needs_userns
def test_a_terminal_that_two_want_is_had_by_the_first(box: Container) -> None:
    with Console(box), pytest.raises(WrongState, match="attached"):
        Console(box)


@pytest.mark.needs_userns
def test_a_shell_of_a_job_ends_with_its_console(box: Container) -> None:
    with Console(box.spawn(["sh"], tty=True)) as console:
        assert console.run("tty") == "/dev/pts/1\n"
        job = console.job
    assert job.done
    assert box.state == "RUNNING"


@pytest.mark.needs_userns
def test_a_login_goes_on_where_a_shell_waits_and_a_missing_password_is_named(box: Container) -> None:
    with Console(box) as console:
        console.login()
        assert console.run("id -un") == "root\n"
        with pytest.raises(NotFound, match="no temporary password"):
            console.temporary_password()


@pytest.mark.needs_root
@pytest.mark.needs_userns
def test_a_login_takes_the_temporary_password_and_a_wrong_one_is_refused() -> None:
    from sandbox.home import home
    from sandbox.lxc.create import create

    create(home(), "host1", "busybox")
    host = Container("host1")
    host.start()
    try:
        with Console("host1", 1) as console:
            console.login()
            assert console.run("id -un; tty") == "root\n/dev/tty1\n"
            console.send("exit")
            with pytest.raises(WrongState, match="'root' can't log in"):
                console.login("root", "not-this")
    finally:
        host.kill()
        host.destroy()
