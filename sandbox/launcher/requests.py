"""What a client can ask of the launcher: one function a word, given the launcher, the message, descriptors and the client.

What it returns is the answer; None: the answer comes later, or has been given. A SandboxError is the answer, too.
"""

import os
import signal
import socket
from typing import NoReturn

from ..errors import AlreadyExists, InvalidOption, NotFound, SandboxError, WrongState
from ..primitives import cgroups
from .endings import ignores
from .launcher import Handler, Launcher
from .ledger import refuse_half_made
from .protocol import Message
from .runs import Run
from .stepped import Stepped


def postpone(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Serve this a little later: something has ended, how is on its way from the keeper, and this comes after that."""
    kept, fds[:] = list(fds), []
    launcher.later(0.01, lambda: launcher.serve(client, message, kept))


def after_the_ended(handler: Handler) -> Handler:
    """Have it answer after all that had ended when it was asked is put away, or has rebooted."""

    def serve(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message | None:
        runs = [run for run in launcher.runs.values() if "after" not in message or [run.name, run.begun] in message["after"]]
        if over := [[run.name, run.begun] for run in runs if run.is_over()]:
            postpone(launcher, {**message, "after": over}, fds, client)
            return None
        return handler(launcher, message, fds, client)

    return serve


def hello(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Who is there. The answer also means: all that was asked before is done."""
    pids = {"pid": os.getpid(), "keeper": os.getppid()}
    return {"event": "hello", **pids, "layout": launcher.layout.to_json(), "running": len(launcher.runs)}


def settle(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Undo at once what was left for later."""
    launcher.lingering.settle_all()
    return {"event": "done"}


def end(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> NoReturn:
    """Launcher and keeper end, unless a container runs."""
    if launcher.runs:
        raise WrongState(f"{len(launcher.runs)} containers still run", cure="stop them first")
    launcher.lingering.settle_all()
    launcher.nursery.drop()
    launcher.answer(client, {"event": "done"})
    launcher.end()


def start(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Start a container, or a process in one. Answers "started", and in the foreground "exited"; or "failed"."""
    name = message["name"]
    if name in launcher.runs and launcher.runs[name].is_over():
        postpone(launcher, message, fds, client)
        return
    if name in launcher.runs or launcher.ledger.entry(name):
        raise AlreadyExists(f"a container called {name!r} is running", cure="choose another name, or stop that one")
    if message.get("in") and message["in"] not in launcher.runs:
        raise NotFound(f"no container called {message['in']!r} is running")
    if message.get("in") and cgroups.frozen(launcher.runs[message["in"]].cgroups):
        raise WrongState(f"the container {message['in']!r} is frozen", cure="unfreeze it first")
    streams, fds[:] = tuple(fds), []
    kind = Stepped if message.get("stepped") else Run
    launcher.begin(kind(name, message, [client]), streams)


def step(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Make one step of a run that was started to be stepped. Answers "stepped" when it is made or refused.

    A step whose time it is not is refused like any other: it may be made later.
    """
    run = find(launcher, message)
    if not isinstance(run, Stepped) or client not in run.waiting:
        raise WrongState(f"{run.name!r} was not started to be stepped by you", cure="sandbox.Stepper")
    was_born = run.born
    try:
        run.step(message["lane"], message["number"], lambda answer: launcher.answer(client, answer))
    except SandboxError as error:
        launcher.answer(client, {"event": "stepped", "row": None, "refused": error.to_json()})
    if run.born and not was_born:
        launcher.watch_child(run)


def find(launcher: Launcher, message: Message) -> Run:
    run = launcher.runs.get(message["name"])
    if run is None:
        raise WrongState(f"the container {message['name']!r} is not running")
    return run


def checked(number: object) -> int:
    """A signal's number. Raises InvalidOption."""
    if not isinstance(number, int) or number not in range(1, signal.NSIG):
        raise InvalidOption(f"there is no signal {number!r}", cure=f"choose a number from 1 to {signal.NSIG - 1}")
    return number


def send_signal(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Send a signal to the first process; SIGKILL ends all."""
    run = find(launcher, message)
    number = checked(message["signal"])
    if number == signal.SIGKILL:
        launcher.kill(run, "signal 9")
    else:
        run.kill(number)
    return {"event": "done"}


def stop(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Ask by a signal, wait, then kill (not with "kill" false: then the answer is "running").

    A process that could not even notice is not waited for.
    """
    run = find(launcher, message)
    run.waiting.append(client)
    run.stopping = "stopped"
    number, seconds = checked(message.get("signal", signal.SIGTERM)), message.get("timeout", 10.0)
    if cgroups.frozen(run.cgroups):
        cgroups.thaw(run.cgroups)
    lost = ignores(run.world.pid, number)  # asked before: the signal itself changes what it waits for
    run.kill(number)

    def give_up() -> None:
        if launcher.runs.get(run.name) is run and client in run.waiting:
            run.stopping = ""
            run.waiting.remove(client)
            launcher.answer(client, {"event": "running", "ignored": lost})

    over = give_up if message.get("kill") is False else lambda: launcher.kill(run, "stopped")
    launcher.later(0.0 if lost else seconds, over)


def freeze(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Let no process of the container go on. One that is being made must: whoever steps waits for it."""
    run = find(launcher, message)
    refuse_half_made(launcher.ledger.entry(run.name))
    cgroups.freeze(run.cgroups)
    return {"event": "done"}


def unfreeze(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Let them go on."""
    cgroups.thaw(find(launcher, message).cgroups)
    return {"event": "done"}


def update(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message:
    """Note that a container has other limits now: for whoever asks, for its record, and for its next start after a reboot."""
    run = find(launcher, message)
    limits, known = message["limits"], run.request
    known["spec"]["resources"].update(limits)
    for step in known["plan"]["outside"] if run.system and "plan" in known else ():
        if step["step"] == "SetLimits":
            step.update(limits)
    launcher.ledger.add(run.name, {key: known[key] for key in (("spec", "plan") if run.system else ("spec",)) if key in known})
    return {"event": "done"}


def wait(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> Message | None:
    """Answer when it ends; at once, if it has."""
    if run := launcher.runs.get(message["name"]):
        run.waiting.append(client)
        return None
    if ended := launcher.finished.get(message["name"]) or launcher.home.last_record(message["name"]):
        return ended
    raise NotFound(f"nothing is known of a run called {message['name']!r}")


def attach(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Hand out a terminal, each to one client at a time; answers again when the container ends.

    "tty" is 0 for the console (so without it), a number for /dev/tty1 and so on, or -1 for the first of these that is free.
    """
    run = find(launcher, message)
    if not run.terminals:
        if run.request.get("terminal"):
            raise WrongState(
                f"the container {run.name!r} has no terminals any more",
                condition="they went with its keeper, which was killed", cure="stop it, and start it again",
            )  # fmt: skip
        raise WrongState(f"the container {run.name!r} has no terminal", cure="start it with a terminal (-t), or use exec -it")
    tty, count = message.get("tty", 0), len(run.terminals) - 1
    if tty < 0:
        tty = next((number for number in range(1, count + 1) if number not in run.attached), None)
    if tty is None:
        raise WrongState(f"all {count} terminals of {run.name!r} are taken", cure="leave one, or take the console (-t 0)")
    if tty > count:
        raise WrongState(f"{run.name!r} has no tty{tty}", condition=f"lxc.tty.max is {count}", cure="choose a smaller number")
    if tty in run.attached:
        what = f"tty{tty}" if tty else "its console"
        raise WrongState(f"somebody is attached to {what} of {run.name!r} already", cure="let them leave it first")
    master = run.masters[tty]
    launcher.forget(master)
    run.attached[tty] = client
    run.waiting.append(client)
    launcher.answer(client, {"event": "attached", "tty": tty}, (master,))


def detach(launcher: Launcher, message: Message, fds: list[int], client: socket.socket) -> None:
    """Leave the container to itself: from here on its client may go."""
    find(launcher, message).foreground = False
    launcher.on_gone(client)


HANDLERS: dict[str, Handler] = {
    "hello": after_the_ended(hello), "settle": after_the_ended(settle), "end": end, "start": start, "step": step,
    "signal": send_signal, "stop": stop, "freeze": freeze, "unfreeze": unfreeze, "wait": wait, "attach": attach,
    "detach": detach, "update": update,
}  # fmt: skip
