"""A console that a program talks to instead of a person: wait for a text, send a line, log in, run a command.

    with sandbox.Console("myhost1") as console:
        console.login("root", "secret")
        print(console.run("df -h"))

It reads and types on a terminal of the container (`Container.attach`), or on that of any other Job that has one.
"""

import codecs
import contextlib
import re
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from .container import Container
from .errors import NotFound, SandboxError, WrongState
from .job import Job

#: What a shell shows when it waits for a command, at the end of all that was shown: "/ # ", "root@myhost1:~# ", "$ ".
PROMPT = re.compile(r"[^\n]*[#$] \Z")
#: Seconds without a sound after which Enter is pressed, once: who sits down at a terminal that is empty does that, too.
SILENCE = 0.5
#: Seconds of silence that tell that a prompt is one, where the terminal does not; and that no echo will come.
PAUSE = 0.2
#: The `mode` of a terminal while a password is read.
PASSWORD = (False, True)
_ASKED = ("assword:", "assword: ")
#: Characters that are kept of what was shown.
KEPT = 1 << 18

# An escape sequence: ESC [ … letter, ESC ] … BEL (or ESC \), ESC and one letter; and single control characters. ECMA-48,
# console_codes(4).
_SEQUENCE = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])|\x1b[]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_TORN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]*)?\Z")

#: One line of a script: what is waited for, an arrow, what is sent.
_ARROW = re.compile(r"(?:^|\s)<-(?:\s|$)")
#: What a script's line sends for it: the password that the container was created with.
TEMPORARY_PASSWORD = "$(tmp_root_pass)"

#: What is waited for (None: a shell's prompt; "": nothing), and the line that is sent then (None: none).
Turn = tuple[str | re.Pattern[str] | None, str | None]


class NotSeen(SandboxError, TimeoutError):
    """What was waited for did not come: within the time, or before the console ended."""


class Plain:
    """Bytes that were meant for a terminal, piece by piece, as text: without escape sequences; lines end with a newline.

    With `colours` the sequences that change the colour stay: all others move the cursor, or do worse.
    """

    def __init__(self, colours: bool = False) -> None:
        self._colours = colours
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # the beginning of a sequence, or of a line's end

    def __call__(self, data: bytes, final: bool = False) -> str:
        text = self._held + self._decoder.decode(data, final)
        torn = None if final else _TORN.search(text)
        cut = torn.start() if torn else len(text)
        if not final and cut == len(text):
            cut = len(text.rstrip("\r"))
        text, self._held = text[:cut], text[cut:]
        return re.sub(r"\r+\n", "\n", _SEQUENCE.sub(self._left, text)).replace("\r", "")

    def _left(self, sequence: re.Match[str]) -> str:
        return sequence[0] if self._colours and sequence[2] == "m" and not sequence[1].strip("0123456789;") else ""


def opened(job: Job) -> bytes:
    """Wait until the terminal of a job is there; returns what it has shown by then. Raises what keeps it from that."""
    shown = b""
    while job.console < 0 and not job.done:
        shown += b"".join(data for _, data in job.poll(0.1))
    if job.failure is not None:
        raise job.failure
    return shown


def resize(job: Job, rows: int, columns: int) -> None:
    """Say how large its terminal is; who runs on it hears of it (SIGWINCH). TIOCSWINSZ, ioctl_tty(2)."""
    with contextlib.suppress(termios.error, ValueError):  # it has ended
        termios.tcsetwinsize(job.console, (rows, columns))


def mode(job: Job) -> tuple[bool, bool]:
    """Whether its terminal shows what is typed, and whether it hands it on line by line. ECHO and ICANON, termios(3).

    A password is read without the first, and with the second; a shell in which a line can be edited needs neither.
    """
    try:
        local = termios.tcgetattr(job.console)[3]
    except (termios.error, ValueError):  # it has ended
        return True, True
    return bool(local & termios.ECHO), bool(local & termios.ICANON)


class Console:
    """A terminal in a container, and what it has shown so far (`text`).

    `of` is the container, whose terminal number `tty` is taken (0: its console; -1: the next free one), or a Job with a
    terminal. `shown` is called with every piece of text as it comes. Closing it leaves a container to itself, and ends a Job.

    Raises:
        WrongState: the container does not run, has no such terminal, or somebody has it.
    """

    def __init__(self, of: str | Container | Job, tty: int = 0, *, shown: Callable[[str], object] | None = None,
                 rows: int = 24, columns: int = 100) -> None:  # fmt: skip
        self.text = ""
        self.before = self.after = ""  # what came before that which `expect` found last, and that itself
        self._container = Container.get(of) if isinstance(of, str) else None if isinstance(of, Job) else of
        self.job = of if isinstance(of, Job) else self._container.attach(tty)  # type: ignore[union-attr]
        self._new = ""  # what came after it
        self._shown = shown
        self._at_prompt = False
        self._sent = ""  # whose echo is to come
        self._plain = Plain()
        self._heard = False
        self._quiet_since = time.monotonic()
        self._take(opened(self.job))
        resize(self.job, rows, columns)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave it: the container goes on, and a Job ends."""
        if not self.job.done:
            self.job.abandon() if self._container is None else self.job.detach()

    # --- what it shows -----------------------------------------------------------------------------------------------

    def read(self, seconds: float = 0.0) -> str:
        """What it showed within that time; usually less than `seconds` pass."""
        return self._take(b"".join(data for _, data in self.job.poll(seconds)))

    def _take(self, data: bytes) -> str:
        if text := self._plain(data):
            self._heard, self._quiet_since = True, time.monotonic()
            self.text = (self.text + text)[-KEPT:]
            self._new = (self._new + text)[-KEPT:]
            if self._shown:
                self._shown(text)
        return text

    def expect(self, *wanted: str | re.Pattern[str], timeout: float = 30.0) -> int:
        """Wait until one of these is shown, and return which one (0 is the first). Then `before` is what came before it.

        A str stands for itself; a compiled pattern is searched for. Only what came after the last thing found counts, and not
        the line that was sent, which the terminal shows, too.

        Raises:
            NotSeen: `timeout` seconds have passed, or the console has ended.
        """
        if self._at_prompt and PROMPT in wanted:  # it is still there
            return wanted.index(PROMPT)
        patterns = [re.compile(re.escape(each)) if isinstance(each, str) else each for each in wanted]
        end = time.monotonic() + timeout
        while (number := self._found(patterns)) < 0:
            if self.job.done or time.monotonic() > end:
                raise self._not_seen(wanted, timeout)
            self.read(0.05)
            if not self._heard and time.monotonic() - self._quiet_since > SILENCE:
                self._heard = True
                self.send("")
        return number

    def _found(self, patterns: list[re.Pattern[str]]) -> int:
        """Which of them stands first in what is new, which then begins after it; -1 is none."""
        if not self._past_echo():
            return -1
        found = []
        for number, pattern in enumerate(patterns):
            match = pattern.search(self._new)
            if match and (pattern is not PROMPT or self._waits_for_a_command()):
                found.append((match.start(), number, match.end()))
        if not found:
            return -1
        start, number, end = min(found)
        self.before, self.after, self._new = self._new[:start], self._new[start:end], self._new[end:]
        self._at_prompt = patterns[number] is PROMPT
        return number

    def _past_echo(self) -> bool:
        """Take the echo of what was sent away from what is new. False while the rest of it is to come."""
        if self._sent:
            # A long line is broken where the terminal ends.
            echo = re.search(r"\s*".join(map(re.escape, self._sent)) + r" *\n", self._new)
            if not echo and not self.job.done and time.monotonic() - self._quiet_since < PAUSE:
                return False
            self._new = self._new[echo.end() :] if echo else self._new
            self._sent = ""
        return True

    def _not_seen(self, wanted: Sequence[str | re.Pattern[str]], timeout: float) -> NotSeen:
        names = " or ".join(map(_name, wanted))
        why = f"within {timeout:g} s"
        if self.job.done:
            result = self.job.result()
            why = f"before the console ended, with exit code {result.exit_code}" + (result.reason and f": {result.reason}")
        last = "\n".join(f"    {line}" for line in self.text.splitlines()[-8:])
        return NotSeen(f"{names} did not come {why}", condition=f"its last lines:\n{last}" if last else "it showed nothing")

    def _waits_for_a_command(self) -> bool:
        """Whether a prompt is one: a shell that edits lines takes every key at once; of others, silence must tell."""
        return not mode(self.job)[1] or time.monotonic() - self._quiet_since > PAUSE

    # --- what is typed -----------------------------------------------------------------------------------------------

    def send(self, line: str, end: str = "\r") -> None:
        """Type a line, and Enter."""
        # Who asks for a password writes that first, then stops the echo, and forgets what was typed until then. getpass(3)
        latest = time.monotonic() + PAUSE
        while self.after.endswith(_ASKED) and mode(self.job) != PASSWORD and time.monotonic() < latest:
            self.read(0.01)
        self._at_prompt, self._sent = False, "" if mode(self.job) == PASSWORD else "".join(line.split())
        self.job.write((line + end).encode())

    def login(self, user: str = "root", password: str | None = None, timeout: float = 60.0) -> None:
        """Log in, as soon as `login:` is shown; if a shell is there already, leave it at that.

        Without a password, the temporary one is used that the container was created with.

        Raises:
            WrongState: the user or the password is refused.
            NotFound: a password is asked for, and there is none.
        """
        if self.expect("login: ", PROMPT, timeout=timeout) == 1:
            return
        self.send(user)
        answers = (PROMPT, "incorrect", "assword: ")
        if (answer := self.expect(*answers, timeout=timeout)) == 2:
            self.send(self.temporary_password() if password is None else password)
            answer = self.expect(*answers[:2], timeout=timeout)
        if answer == 1:
            raise WrongState(f"{user!r} can't log in", condition="the password is not right", cure="login(user, password)")

    def temporary_password(self) -> str:
        """Root's first password, from the container's folder. Raises NotFound."""
        folder = self._container.home.folder(self._container.name) if self._container else "."
        try:
            with open(f"{folder}/tmp_root_pass", encoding="utf-8") as file:
                return file.read().strip()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise NotFound("there is no temporary password", condition=why, cure="login(user, password)") from None

    def run(self, command: str, timeout: float = 30.0) -> str:
        """Type a command at a shell's prompt; returns what it shows, up to the next prompt."""
        self.expect(PROMPT, timeout=timeout)
        prompt = self.after
        self.send(command)
        self.expect(PROMPT, timeout=timeout)
        return self.before + (self.after.removesuffix(prompt) if self.after.endswith(prompt) else "")

    def play(self, turns: str | Iterable[Turn], timeout: float = 30.0) -> None:
        """Hold a dialogue, from a script (see `turns_of`) or from pairs: what is waited for, and what is sent then.

        At the end it waits until a prompt (or a login) shows that what was sent last is done, or the console has ended.

        Raises:
            NotSeen: something that was waited for did not come within `timeout` seconds.
        """
        line = None
        for wanted, line in turns_of(turns) if isinstance(turns, str) else turns:
            if wanted != "":
                self.expect(PROMPT if wanted is None else wanted, timeout=timeout)
            if line is not None:
                self.send(line.replace(TEMPORARY_PASSWORD, self.temporary_password()) if TEMPORARY_PASSWORD in line else line)
        if line is not None:
            try:
                self.expect(PROMPT, "login: ", timeout=timeout)
            except NotSeen:
                if not self.job.done:
                    raise


def turns_of(script: str) -> list[Turn]:
    """What the lines of a script mean:

    login: <- root                    wait for "login:", then send "root"
    Password: <- $(tmp_root_pass)     the same; sent is the password that the container was created with
    df -h                             a command: sent when a shell's prompt is there, as by "# <- df -h"
    <- y                              sent at once
    login: <-                         waited for, and nothing is sent

    Empty lines, and those that begin with "#" and have no arrow, are left out.
    """
    turns: list[Turn] = []
    for line in map(str.strip, script.splitlines()):
        if arrow := _ARROW.search(line):
            wanted, sent = line[: arrow.start()].strip(), line[arrow.end() :].strip()
            turns.append((None if wanted in ("#", "$") else wanted, sent or (None if wanted else "")))
        elif line and not line.startswith("#"):
            turns.append((None, line))
    return turns


def _name(pattern: str | re.Pattern[str]) -> str:
    return repr(pattern) if isinstance(pattern, str) else "a shell's prompt" if pattern is PROMPT else f"/{pattern.pattern}/"
