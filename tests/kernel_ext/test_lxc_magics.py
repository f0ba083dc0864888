"""LXC's commands in a real kernel: the walk-through of a container that is a system."""

import re
import threading

import pytest

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


@pytest.fixture(scope="module")
def host1(kernel):
    """A container that was made and started by magics; and what the two cells sent."""
    made = kernel.run("%lxc_create -t busybox -n host1")
    started = kernel.run("%lxc_start -n host1")
    yield made, started
    kernel.run("%lxc_stop -n host1 -k")
    assert kernel.run("%lxc_destroy -n host1").status == "ok"


def test_creating_tells_what_it_does_and_starting_shows_how_it_boots(kernel, host1):
    made, started = host1
    assert made.status == started.status == "ok"
    assert "Copying rootfs to" in made.stream("stdout")
    assert "tmp_root_pass" in made.stream("stdout")
    assert re.search(r"host1 login: \s+To log in: %lxc_console -n host1\n$", started.stream("stdout"))
    assert "State:          RUNNING" in kernel.run("%lxc_info").stream("stdout")  # the last one spoken of
    assert kernel.run("%lxc_start -n host1").stream("stderr") == "lxc-start: host1: Container is already running\n"


def test_a_dialogue_in_a_cell_is_held_and_shown(kernel, host1):
    ran = kernel.run("""%%lxc_console -n host1 --script
login: <- root
Password: <- $(tmp_root_pass)
id -un; tty
exit
""")
    assert ran.status == "ok"
    text = ran.stream("stdout")
    assert re.search(r"login: root\nPassword: *\n.*# id -un; tty\nroot\n/dev/tty\d\n.*# exit\n", text, re.DOTALL)
    assert text.endswith("host1 login: ")
    assert "\x1b" not in text


def test_a_dialogue_in_a_variable_is_the_same(kernel, host1):
    kernel.run("talk = [('login:', 'root'), ('Password:', '$(tmp_root_pass)'), (None, 'echo $((6 * 7))'), (None, 'exit')]")
    ran = kernel.run("%lxc_console -n host1 -t 0 --script talk")
    assert "\n42\n" in ran.stream("stdout")
    kernel.run("talk = 5")
    ran = kernel.run("%lxc_console -n host1 --script talk")
    assert ran.cards[0].startswith("--script: talk is no dialogue (it is of type int)")


def test_a_dialogue_that_goes_wrong_says_what_was_expected_and_shows_the_last_lines(kernel, host1):
    ran = kernel.run("%%lxc_console -n host1 --timeout 0.7\nlogin: <- root\nfriend? <- no\n")
    assert ran.status == "error"
    assert ran.cards[0].startswith("'friend?' did not come within 0.7 s (its last lines:")
    assert "host1 login: root\n    Password: " in ran.cards[0]
    assert "Traceback" not in ran.error


def test_a_console_opens_and_returns_at_once_and_says_how_to_have_it_elsewhere(kernel, host1):
    ran = kernel.run("%lxc_console -n host1 -t 2")
    assert ran.status == "ok"
    assert "application/vnd.jupyter.widget-view+json" in ran.of("display_data")[-1]["data"]
    assert "sandbox lxc-console -n host1 -t 2" in "".join([*ran.cards, ran.stream("stdout")])
    assert "somebody is attached" in kernel.run("import sandbox; sandbox.Console('host1', 2)").cards[0]
    again = kernel.run("%lxc_console -n host1 -t 2")  # the same cell, run again, takes it over
    assert again.status == "ok"


def test_a_console_line_by_line_says_so_too(kernel, host1):
    ran = kernel.run("%lxc_console -n host1 -t 3 --dialogue")
    assert ran.status == "ok"
    assert "application/vnd.jupyter.widget-view+json" in ran.of("display_data")[-1]["data"]
    assert "sandbox lxc-console -n host1 -t 3\n" in ran.stream("stdout")


def test_attach_shows_what_a_command_writes_and_its_exit_code(kernel, host1):
    ran = kernel.run("%lxc_attach -n host1 -- sh -c 'echo out; echo err >&2; exit 3'")
    assert (ran.stream("stdout"), ran.stream("stderr"), ran.cards) == ("out\n", "err\n", ["exit code 3"])
    ran = kernel.run("%lxc_attach -n host1 -- no-such-program")
    assert ran.cards == ["exit code 127"]
    assert "there is no program 'no-such-program'" in ran.stream("stderr")


def test_attach_without_a_command_is_a_terminal_with_a_shell(kernel, host1):
    ran = kernel.run("%lxc_attach -n host1")
    assert ran.status == "ok"
    assert "application/vnd.jupyter.widget-view+json" in ran.of("display_data")[-1]["data"]


def test_interrupt_ends_an_attached_command_and_not_the_container(kernel, host1):
    def press(message):
        if message["msg_type"] == "stream":
            threading.Timer(0.3, kernel.manager.interrupt_kernel).start()

    ran = kernel.run("%lxc_attach -n host1 -- sh -c 'echo go; sleep 100'", on_message=press)
    assert ran.status == "error"
    assert ran.cards[0].startswith("interrupted")
    assert kernel.run("%lxc_info -n host1 -sH").stream("stdout") == "RUNNING\n"
    assert "sleep 100" not in kernel.run("%lxc_attach -n host1 -- ps").stream("stdout")


def test_execute_runs_a_command_in_a_container_of_its_own(kernel):
    assert kernel.run("%lxc_execute -n once -- hostname").stream("stdout") == "once\n"


def test_a_start_that_is_no_more_than_a_program_says_how_it_ended(kernel):
    kernel.run("%lxc_create -t busybox -n short")
    script = r"printf '\033[32mgreen\033[0m\033[2J\033]0;x\007\n'; exit 4"
    ran = kernel.run(f'script = {script!r}\n%lxc_start -n short -- sh -c "$script"')
    assert "\x1b[32mgreen\x1b[0m\n" in ran.stream("stdout")  # colours, and nothing else that a terminal obeys
    assert ran.cards == ["short stopped: exit code 4\n  → %container_logs short"]
    kernel.run("%lxc_destroy -n short")


def test_interrupt_stops_watching_a_start_and_not_the_container(kernel):
    def press(message):
        if message["msg_type"] == "stream":
            threading.Timer(0.3, kernel.manager.interrupt_kernel).start()

    kernel.run("%lxc_create -t busybox -n slow")
    ran = kernel.run("%lxc_start -n slow -- sh -c 'echo up; sleep 100'", on_message=press)
    assert ran.status == "ok"
    assert ran.cards == ["no longer watched: slow goes on\n  → %lxc_console -n slow"]
    assert kernel.run("%lxc_info -n slow -sH").stream("stdout") == "RUNNING\n"
    assert kernel.run("%lxc_destroy -f -n slow").status == "ok"


def test_monitor_goes_on_until_interrupt_and_that_is_no_failure(kernel):
    def press(message):
        if message["msg_type"] == "execute_input":
            threading.Timer(1.0, kernel.manager.interrupt_kernel).start()

    ran = kernel.run("%lxc_monitor", on_message=press)
    assert (ran.status, ran.cards) == ("ok", [])


def test_the_shells_command_works_in_a_cell(kernel, host1):
    assert re.search(r"(?m)^host1\b.*RUNNING", kernel.run("%sandbox ps -a").stream("stdout"))


def test_what_would_take_a_container_away_must_be_told_which(kernel):
    kernel.run("%lxc_create -t busybox -n dear")
    ran = kernel.run("%lxc_destroy")
    assert ran.cards == ["No container name specified\n  → lxc-destroy -n NAME"]
    assert kernel.run("%lxc_ls").stream("stdout").split().count("dear") == 1
    kernel.run("%lxc_destroy -n dear")


def test_an_option_that_there_is_not_is_one_card_and_help_is_lxcs_own(kernel):
    ran = kernel.run("%lxc_info --nonsense")
    assert ran.status == "error"
    assert ran.cards == ["unrecognized option '--nonsense'\n  → lxc-info --help"]
    assert kernel.run("%lxc_info --help").stream("stdout").startswith("Usage: lxc-info --name=NAME")
    text = kernel.run("%lxc_console --help").stream("stdout")
    assert "--tty=NUMBER" in text
    assert "--dialogue" in text
