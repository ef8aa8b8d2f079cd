"""Owns the host: the one process in which the async steps of plugins wait, thousands of them, and its small protocol.

The executor starts `python -m meson_core.host` with a connected socket, whose descriptor is in $MESON_HOST_FD. Both sides send
one JSON object a line; `"t"` says what it is, and `n` is the number that the executor gave to an order.

Down:

    order    n, order, template           begin; an Order and a Template of `meson_executor.protocol`
    kill     n, grace_s                   cancel; to be answered by an end when the step has really stopped
    message  n, name, value               something was sent to the step
    acked    id                           that fact is in the log
    secret   id, value | error            the answer to a question
    leave                                 nothing more will come; end when nothing is under way

Up:

    ready    v                            it has imported what it needs; `v` is 1
    progress n, fraction, message         the latest counts; null where there is no news
    log      n, at, text                  a line for the attempt's log
    fact     n, id, fact                  `fact` has the fields of a protocol Fact without `k` and `at`: "f" is submitting,
                                          remembered, emitted or link. With an `id` (a number of the host's choice, or null)
                                          the host hears when it is in the log
    secret   id, name                     wants a secret of this machine
    end      n, end                       `end` has the fields of a protocol Fact without `k`, `at` and `began`: "f" is
                                          succeeded (outputs), failed (cause, failure, final) or killed

What the host writes to its standard output and errors goes into the executor's log. A host that has ended takes all its
attempts along. Those that may have to do with an outside job are fenced, so that they keep their job key; the others have
failed. The next order starts a new host. An attempt that does not stop within its grace cannot be killed by itself: its
host gets no further orders, and is killed when nothing else is in it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any, Callable

from meson_executor.channel import Channel
from meson_executor.fencing import WORKER_VARIABLE, Journal, Sweeper, boot_ticks
from meson_executor.loop import EDGE, READ, Loop
from meson_executor.processes import Reaper, Spawner, signal_name
from meson_executor.protocol import Key, Message, WireError, decode, encode, failure
from meson_executor.secrets import SecretMissingError, Secrets
from meson_runtime.outputs import OutputError, check, dumps

if TYPE_CHECKING:
    from meson_executor.executor import Executor
    from meson_executor.logs import Logs
    from meson_executor.orders import Attempt

VERSION = 1

_COMPLAINT = 4000
#: Seconds that a host has to end after it has closed its socket.
_SILENCE_S = 0.5
_FACTS = frozenset(("submitting", "remembered", "emitted", "link"))
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


class Host:
    """One host process.

    Attributes:
        attempts: in it, by the number of their orders.
        outside: numbers of those that may have to do with an outside job.
        retired: it gets nothing more.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.marker = "%s=host-%d" % (WORKER_VARIABLE, number)
        self.pid = 0
        self.out = -1
        self.channel: Channel
        self.attempts: dict[int, Attempt] = {}
        self.outside: set[int] = set()
        self.ready = False
        self.retired = False
        self.complaint = b""


class Hosts:
    """Runs the attempts of async step kinds.

    Args:
        command: interpreter and module of the host.
        environment: of the host.
        directory: that it starts in.
        note: told what hosts write to their standard output and errors.
    """

    def __init__(
        self,
        loop: Loop,
        executor: Executor,
        spawner: Spawner,
        reaper: Reaper,
        journal: Journal,
        sweeper: Sweeper,
        logs: Logs,
        secrets: Secrets,
        command: tuple[str, ...],
        environment: dict[bytes, bytes],
        directory: str,
        note: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._executor = executor
        self._spawner = spawner
        self._reaper = reaper
        self._journal = journal
        self._sweeper = sweeper
        self._logs = logs
        self._secrets = secrets
        self._command = command
        self._environment = environment
        self._directory = directory
        self._note = note
        self._hosts: dict[int, Host] = {}
        self._present: Host | None = None
        self._count = 0
        self._orders = 0
        self._samples: dict[Key, tuple[float | None, str | None]] = {}

    # --- the runner -----------------------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        host = self._present
        if host is None:
            try:
                host = self._present = self._start_host()
            except OSError as error:
                self._executor.release(attempt.template.need)
                self._executor.fail(attempt, "platform", failure("launch", "the host could not be started: %s" % error))
                return
        self._orders += 1
        number = self._orders
        host.attempts[number] = attempt
        order = attempt.order
        if order.get("remembered") is not None or order.get("job_first") is False:
            host.outside.add(number)
        attempt.runner = (host, number)
        template = attempt.template
        told = {"step": template.step, "project": template.project, "outputs": template.outputs, "work": template.work}
        self._send(host, {"t": "order", "n": number, "order": order, "template": told})
        self._executor.began(attempt, time.time())

    def stop(self, attempt: Attempt, grace_s: float) -> None:
        host, number = attempt.runner
        self._send(host, {"t": "kill", "n": number, "grace_s": grace_s})
        if grace_s > 0:
            self._loop.after(grace_s, lambda: self._insist(host, number))
        else:
            self._insist(host, number)

    def deliver(self, attempt: Attempt, name: str, value: Any) -> None:
        host, number = attempt.runner
        self._send(host, {"t": "message", "n": number, "name": name, "value": value})

    def samples(self) -> list[tuple[Key, float | None, str | None]]:
        found = [(key, fraction, message) for key, (fraction, message) in self._samples.items()]
        self._samples.clear()
        return found

    def leave(self) -> None:
        """Let the host go; the executor ends."""
        for host in self._hosts.values():
            self._send(host, {"t": "leave"})

    # --- a host's life --------------------------------------------------------------------------------------------

    def _start_host(self) -> Host:
        self._count += 1
        host = Host(self._count)
        ours, theirs = socket.socketpair()
        out, out_theirs = os.pipe()
        env = dict(self._environment)
        env[WORKER_VARIABLE.encode()] = b"host-%d" % host.number
        env[b"MESON_HOST_FD"] = b"%d" % theirs.fileno()
        argv = [os.fsencode(text) for text in self._command]
        earliest = boot_ticks()
        try:
            theirs.set_inheritable(True)
            host.pid = self._spawner.spawn(self._command[0], argv, env, self._directory, out_theirs, out_theirs)
        except OSError:
            ours.close()
            os.close(out)
            raise
        finally:
            theirs.close()
            os.close(out_theirs)
        self._journal.add(host.pid, earliest)
        os.set_blocking(out, False)
        host.out = out
        host.channel = Channel(
            self._loop, ours, lambda line: self._on_line(host, line), lambda reason: self._on_silence(host, reason)
        )
        self._loop.watch(out, lambda _events: self._on_output(host), READ | EDGE)
        self._hosts[host.number] = host
        self._reaper.watch(host.pid, lambda status: self._on_end(host, status))
        return host

    def _on_output(self, host: Host) -> None:
        for _ in range(8):
            try:
                data = os.read(host.out, 65536)
            except BlockingIOError:
                return
            if not data:
                return
            host.complaint = (host.complaint + data)[-_COMPLAINT:]
            self._note("host %d: %s" % (host.number, data.decode("utf-8", "replace").rstrip()))
        self._loop.change(host.out, READ | EDGE)

    def _on_silence(self, host: Host, reason: str) -> None:
        if reason:
            self._note("host %d: %s" % (host.number, reason))
        # It closes the socket when it ends by itself, and then its own end is to be told.
        self._loop.after(_SILENCE_S, lambda: self._end(host))

    def _on_end(self, host: Host, status: int) -> None:
        host.channel.read_rest()
        self._on_output(host)
        host.channel.close()
        self._loop.close(host.out)
        del self._hosts[host.number]
        if host is self._present:
            self._present = None
        how = (
            "by %s" % signal_name(os.WTERMSIG(status))
            if os.WIFSIGNALED(status)
            else "with exit code %d" % (status >> 8)
        )
        if host.attempts:
            self._note("host %d ended %s with %d attempts in it" % (host.number, how, len(host.attempts)))
        self._sweeper.clear(host.marker, host.pid, lambda: self._charge(host, how))

    def _charge(self, host: Host, how: str) -> None:
        for number, attempt in host.attempts.items():
            self._executor.release(attempt.template.need)
            if attempt.stopping is not None:
                self._executor.stopped(attempt)
            elif number in host.outside:
                self._executor.fence(attempt, "the host that it waited in ended %s" % how)
            elif not host.ready:
                told = host.complaint.decode("utf-8", "replace").strip()
                message = "the host ended %s before it was ready%s" % (how, ": " + told if told else "")
                self._executor.fail(attempt, "platform", failure("launch", message))
            else:
                message = "the host that it waited in ended %s" % how
                self._executor.fail(attempt, "platform", failure("host died", message))
        host.attempts.clear()

    def _insist(self, host: Host, number: int) -> None:
        """An attempt did not stop within its grace: it will go with its host, which must not take others along."""
        attempt = host.attempts.get(number)
        if attempt is None or host.number not in self._hosts:
            return
        if host is self._present:
            self._present = None
            host.retired = True
            self._logs.note(attempt.key, "it does not stop; its host is ended when nothing else is in it")
        self._end_if_hopeless(host)

    def _end(self, host: Host) -> None:
        if host.number in self._hosts:
            self._sweeper.signal(host.marker, host.pid, signal.SIGKILL)

    def _end_if_hopeless(self, host: Host) -> None:
        if not host.retired or host.number not in self._hosts:
            return
        if all(attempt.stopping is not None for attempt in host.attempts.values()):
            self._end(host)

    # --- what it says ---------------------------------------------------------------------------------------------

    def _on_line(self, host: Host, line: bytes) -> None:
        try:
            message = decode(line)
            self._on_message(host, message)
        except (WireError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            self._note("host %d sent what its protocol does not have (%r): %.200r" % (host.number, error, line))
            self._end(host)

    def _on_message(self, host: Host, message: Message) -> None:
        what = message["t"]
        if what == "ready":
            if message["v"] != VERSION:
                raise ValueError("it speaks version %r, and this is version %d" % (message["v"], VERSION))
            host.ready = True
            return
        if what == "secret":
            answer: Message = {"t": "secret", "id": message["id"]}
            try:
                answer["value"] = self._secrets.resolve(message["name"])
            except SecretMissingError as error:
                answer["error"] = str(error)
            self._send(host, answer)
            return
        number = message["n"]
        attempt = host.attempts.get(number)
        if attempt is None:
            return  # it has ended already
        if what == "progress":
            fraction, text = self._samples.get(attempt.key, (None, None))
            fraction = fraction if message.get("fraction") is None else float(message["fraction"])
            text = text if message.get("message") is None else str(message["message"])
            self._samples[attempt.key] = (fraction, text)
        elif what == "log":
            text = str(message["text"]) + "\n"
            self._logs.write(attempt.key, "l", float(message["at"]), text.encode("utf-8", "replace"))
        elif what == "fact":
            self._on_fact(host, number, attempt, message["fact"], message.get("id"))
        elif what == "end":
            self._on_attempt_end(host, number, attempt, message["end"])
        else:
            raise KeyError(what)

    def _on_fact(self, host: Host, number: int, attempt: Attempt, fact: Message, ident: int | None) -> None:
        if fact["f"] not in _FACTS:
            raise ValueError("there is no fact %r here" % fact["f"])
        if fact["f"] in ("submitting", "remembered"):
            host.outside.add(number)
        fields = _encode(fact)[1:-1]
        then = None if ident is None else lambda: self._send(host, {"t": "acked", "id": ident})
        self._executor.fact(attempt, fields, then)

    def _on_attempt_end(self, host: Host, number: int, attempt: Attempt, end: Message) -> None:
        what = end["f"]
        if what == "succeeded":
            try:
                check(end["outputs"], attempt.template.outputs)
                text = dumps(end["outputs"])
            except OutputError as error:
                what, end = "failed", {"cause": "user", "failure": failure("outputs", str(error))}
            else:
                self._finish(host, number, attempt)
                self._executor.succeed(attempt, text, time.time())
                return
        self._finish(host, number, attempt)
        if what == "failed":
            after_s = float(end.get("after_s") or 0)
            self._executor.fail(attempt, end["cause"], end["failure"], bool(end.get("final")), after_s)
        elif what == "killed":
            attempt.stopping = attempt.stopping or "kill"
            self._executor.stopped(attempt)
        else:
            raise ValueError("there is no end %r" % what)

    def _finish(self, host: Host, number: int, attempt: Attempt) -> None:
        del host.attempts[number]
        host.outside.discard(number)
        self._executor.release(attempt.template.need)
        self._end_if_hopeless(host)

    def _send(self, host: Host, message: Message) -> None:
        host.channel.write(encode(message))
