"""%%container in a real kernel."""

import json
import threading
import time
from datetime import datetime

import pytest

pytestmark = pytest.mark.needs_userns


def test_output_comes_before_the_end_and_the_streams_are_told_apart(kernel):
    ran = kernel.run("%%container\necho first; echo problem >&2; sleep 0.8; echo last")
    assert ran.status == "ok"
    assert ran.stream("stdout") == "first\nlast\n"
    assert ran.stream("stderr") == "problem\n"
    at = {message["content"]["text"]: when for when, message in ran.messages if message["msg_type"] == "stream"}
    assert at["last\n"] - at["first\n"] > 0.5


@pytest.mark.needs_cgroup("memory")
def test_options_reach_the_container_and_python_variables_the_line(kernel):
    ran = kernel.run("size = '64m'\nname = 'box'\nget_ipython().run_cell_magic('container', '', 'true')")
    assert ran.status == "ok"
    ran = kernel.run(
        "%%container --memory {size} --hostname $name -e 'A=b c'\nhostname; echo $A; cat /proc/self/cgroup | wc -l"
    )
    assert ran.stream("stdout").splitlines()[:2] == ["box", "b c"]


def test_bytes_that_are_no_text_and_escape_sequences_do_no_harm(kernel):
    script = r"printf '\033]52;c;eA==\007\377\303'; sleep 0.2; printf '\266\033[2J<b>\r\n'"
    ran = kernel.run(f"%%container\n{script}")
    assert ran.stream("stdout") == "␛]52;c;eA==␇\ufffdö␛[2J<b>\n"


def test_another_interpreter_runs_the_script(kernel):
    for line in ("--interpreter 'awk'", "--interpreter 'busybox ash'"):
        ran = kernel.run(f"%%container {line}\necho $0 $((6*7))")
        assert (ran.status == "ok") == ("ash" in line)
    ran = kernel.run("%%container\n#!/bin/busybox ash\necho by ash: $((6*7))")
    assert ran.stream("stdout") == "by ash: 42\n"


# --- how it ended ---------------------------------------------------------------------------------------------------


def test_an_exit_code_is_a_card_and_no_error(kernel):
    ran = kernel.run("%%container\nexit 3")
    assert (ran.status, ran.cards, ran.error) == ("ok", ["exit code 3"], "")


def test_with_check_the_cell_fails(kernel):
    ran = kernel.run("%%container --check\nexit 3")
    assert (ran.status, ran.cards) == ("error", ["exit code 3"])
    assert ran.error == "\x1b[1;31mFailed\x1b[0m: exit code 3"


@pytest.mark.needs_cgroup("memory")
def test_out_of_memory_is_named_with_its_limit(kernel):
    ran = kernel.run("%%container --memory 16m\ntail /dev/zero")
    assert ran.cards == ["exit code 137: killed by the kernel: out of memory, limit 16m"]


def test_a_timeout_is_named(kernel):
    ran = kernel.run("%%container --timeout 0.3s\nsleep 60")
    assert ran.cards == ["exit code 137: stopped: its timeout of 0.3 s was over"]


def test_an_error_is_one_card_with_its_cure_and_no_traceback(kernel):
    ran = kernel.run("%%container --memroy 64m\ntrue")
    assert ran.status == "error"
    assert ran.cards == ["%%container has no option --memroy\n  → did you mean --memory?"]
    assert ran.error.startswith("\x1b[1;31mInvalidOption\x1b[0m: %%container has no option --memroy")
    assert "Traceback" not in ran.error
    ran = kernel.run("import sandbox; sandbox.run('no-such-image', 'true')")
    assert ran.status == "error"
    assert len(ran.cards) == 1
    assert "Traceback" not in ran.error


def test_a_program_that_is_not_there_is_an_error(kernel):
    ran = kernel.run("%%container --interpreter python3\nprint(1)")
    assert ran.status == "error"
    assert "Exec" in ran.cards[0]


# --- options of the cell --------------------------------------------------------------------------------------------


def test_stdin_is_read_from_a_variable_and_out_is_written_to_one(kernel):
    kernel.run("data = 'zwei\\neins\\n' * 50_000")
    ran = kernel.run("%%container --stdin data --out result\nsort | uniq -c; exit 4")
    assert ran.stream("stdout").split() == ["50000", "eins", "50000", "zwei"]
    assert kernel.value("(result.exit_code, result.text.split())") == "(4, ['50000', 'eins', '50000', 'zwei'])"
    ran = kernel.run("%%container --stdin dota\ncat")
    assert ran.cards == ["there is no variable 'dota'\n  → did you mean data?"]
    ran = kernel.run("number = 5")
    ran = kernel.run("%%container --stdin number\ncat")
    assert ran.cards == ["--stdin: number is of type int\n  → give text or bytes"]


def test_plan_runs_nothing(kernel):
    before = kernel.value("len(__import__('sandbox').Container('x').home.records())")
    ran = kernel.run("%%container --plan --out plan --hostname box\nhostname")
    text = ran.stream("stdout")
    assert "PivotRoot()" in text
    assert "SetHostname('box')" in text or "SetHostname(name='box')" in text or "box" in text
    assert kernel.value("[step.name for step in plan][-1]") == "'Exec'"
    assert kernel.value("len(__import__('sandbox').Container('x').home.records())") == before


def test_trace_shows_steps_and_calls_their_system_calls(kernel):
    steps = kernel.run("%%container --trace\ntrue").stream("stdout")
    assert "PivotRoot" in steps
    assert "pivot_root(" not in steps
    calls = kernel.run("%%container --calls\ntrue").stream("stdout")
    assert "pivot_root(" in calls


def test_a_step_left_out_breaks_what_it_is_for(kernel):
    ran = kernel.run("%%container --hostname box --without SetHostname\nhostname")
    assert ran.status == "ok"
    assert ran.stream("stdout").strip() != "box"
    ran = kernel.run("%%container --without SetHostnam\nhostname")
    assert "the plan has no step 'SetHostnam'" in ran.cards[0]


def test_help_needs_no_script_and_nothing_else_does_without(kernel):
    assert "--memory" in kernel.run("%%container --help").stream("stdout")
    assert kernel.run("%%container busybox").cards[0].startswith("the cell has no script")


def test_bg_returns_a_handle_at_once_and_in_runs_beside_it(kernel):
    begun = time.monotonic()
    ran = kernel.run("%%container --bg --name beside --out handle\necho hello; sleep 60")
    assert time.monotonic() - begun < 10
    assert ran.status == "ok"
    assert kernel.value("handle.state") == "'RUNNING'"
    ran = kernel.run("%%container --in beside\nps | grep -c 'sleep 60'; exit 2")
    assert ran.cards == ["exit code 2"]
    assert kernel.run("%container_logs beside").stream("stdout") == "hello\n"
    assert "State:          RUNNING" in kernel.run("%lxc_info -n beside").stream("stdout")
    assert kernel.run("%lxc_ls").stream("stdout").split() == ["beside"]
    assert kernel.run("%%container --in beside --memory 64m\nps").status == "error"
    kernel.run("handle.kill()")
    text = kernel.run("%lxc_info -n beside").stream("stdout")
    assert text.splitlines()[:3] == ["Name:           beside", "State:          STOPPED", "Exit code:      137"]
    assert kernel.run("%container_logs beside").stream("stdout") == "hello\n"
    assert kernel.run("%lxc_ls").stream("stdout") == ""


def test_lxc_info_knows_the_last_run_of_this_notebook(kernel):
    kernel.run("%%container --name last-one\necho here; exit 5")
    lines = kernel.run("%lxc_info").stream("stdout").splitlines()
    assert lines == ["Name:           last-one", "State:          STOPPED", "Exit code:      5"]
    assert kernel.run("%lxc_info -sH").stream("stdout") == "STOPPED\n"
    assert kernel.run("%lxc_info -n nobody").status == "error"


def test_lxc_checkconfig_is_printed(kernel):
    assert "--- Namespaces ---" in kernel.run("%lxc_checkconfig").stream("stdout")


# --- Interrupt ------------------------------------------------------------------------------------------------------


def interrupted(kernel, code, ready):
    """The cell, interrupted once `ready` says so of a message; and the seconds from there to its end."""
    pressed = []

    def press():
        pressed.append(time.monotonic())
        kernel.manager.interrupt_kernel()

    def on_message(message):
        if ready(message) and not pressed:
            pressed.append(0.0)
            threading.Timer(0.3, press).start()

    ran = kernel.run(code, on_message=on_message)
    return ran, time.monotonic() - pressed[1]


def prints(message):
    return message["msg_type"] == "stream"


def begins(message):
    return message["msg_type"] == "execute_input"


@pytest.mark.parametrize(
    "script",
    ["echo ready; sleep 60", "trap '' INT TERM HUP; echo ready; while :; do sleep 1; done", "yes"],
    ids=["asleep", "deaf", "flood"],
)
def test_interrupt_stops_container_and_cell_and_leaves_nothing(kernel, script):
    ran, seconds = interrupted(kernel, f"%%container --name victim\n{script}", prints)
    assert ran.status == "error"
    assert "interrupted: victim was killed" in ran.cards
    assert "Traceback" not in ran.error
    assert seconds < 10  # one is promised; this machine may be busy
    assert kernel.value("__import__('sandbox').ledger()") == "[]"
    assert kernel.run("%%container\necho alive").stream("stdout") == "alive\n"


@pytest.mark.needs_cgroup("freezer")
def test_a_frozen_container_lets_nobody_in_and_says_so(kernel):
    kernel.run("%%container --bg --name cold --out cold\nsleep 60")
    kernel.run("cold.freeze()")
    try:
        ran = kernel.run("%%container --in cold\necho never")
        assert ran.status == "error"
        assert "the container 'cold' is frozen" in ran.cards[0]
        assert ran.stream("stdout") == ""
    finally:
        assert kernel.run("cold.kill()").status == "ok"


# --- too much -------------------------------------------------------------------------------------------------------


def test_a_flood_stays_below_jupyters_limits_and_shows_beginning_and_end(kernel):
    ran = kernel.run("%%container --name flood\necho begin; yes | head -c 20000000; echo end", timeout=60)
    assert ran.status == "ok"
    text = ran.stream("stdout")
    assert text.startswith("begin\ny\n")
    assert text.endswith("y\nend\n")
    assert 1_000_000 < len(text) <= 1 << 20
    assert len(ran.cards) == 1
    assert ran.cards[0].startswith("18.1 MiB left out here")
    assert "%container_logs flood" in ran.cards[0]
    sent = [(message["header"]["date"], len(json.dumps(message, default=str))) for _, message in ran.messages]
    assert all(isinstance(date, datetime) for date, _ in sent)
    for begin, _ in sent:
        window = [size for date, size in sent if 0 <= (date - begin).total_seconds() < 1]
        assert sum(window) < 1_000_000
        assert len(window) < 1000


def test_the_log_of_a_flood_is_on_the_shelf(kernel):
    kernel.run("%%container --name tide --output-limit 1k\nyes | head -c 3000000; echo end")
    ran = kernel.run("%container_logs tide --output-limit 1k")
    assert ran.stream("stdout").endswith("y\nend\n")
    assert ran.cards[0].startswith("2.9 MiB left out")


def test_two_streams_in_quick_turns_are_few_messages(kernel):
    ran = kernel.run("%%container\ni=0; while [ $i -lt 2000 ]; do echo a; echo b >&2; i=$((i+1)); done")
    assert ran.stream("stdout") == "a\n" * 2000
    assert ran.stream("stderr") == "b\n" * 2000
    assert len(ran.messages) < 1000


def test_a_step_debugger_ends_with_another_run_of_its_cell_and_not_with_one_of_another_cell(kernel):
    """This client tells no cell, as nbclient does not: what is asked for is the cell."""
    for script, name in (("echo one", "a"), ("echo two", "b"), ("echo one", "again")):
        kernel.run(f"%%container --step --out {name}\n{script}")
        kernel.run(f"{name}.next(4)")
    assert kernel.value("[a.pid > 0, b.pid > 0, again.pid > 0]") == "[False, True, True]"
    kernel.run("b.reset(); again.reset()")
