"""Owns a host whose steps do what their options say: the executor's side is tested with it, without plugins and asyncio.

`options.do` is a list of actions, taken one after another until one waits; what the host hears for a step continues it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from typing import Any


class Step:
    def __init__(self, number: int, order: dict[str, Any], template: dict[str, Any]) -> None:
        self.number = number
        self.order = order
        self.actions = list(template["work"]["options"]["do"])
        self.heard: list[Any] = []


class Host:
    def __init__(self) -> None:
        self.socket = socket.socket(fileno=int(os.environ["MESON_HOST_FD"]))
        self.steps: dict[int, Step] = {}

    def send(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def run(self) -> None:
        if os.environ.get("HOST_FOR_TESTS_BROKEN"):
            sys.exit("nothing works here")
        self.send(t="ready", v=1)
        buffer = b""
        while data := self.socket.recv(65536):
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                self.take(json.loads(line))

    def take(self, message: dict[str, Any]) -> None:
        what = message["t"]
        if what == "leave":
            sys.exit(0)
        if what == "order":
            step = self.steps[message["n"]] = Step(message["n"], message["order"], message["template"])
            self.go_on(step)
        elif what == "acked" or what == "secret":
            step = self.steps[message["id"]]
            step.heard.append(message.get("value", message.get("error")))
            self.go_on(step)
        elif what == "message":
            step = self.steps[message["n"]]
            step.heard.append([message["name"], message["value"]])
            self.go_on(step)
        elif what == "kill":
            step = self.steps[message["n"]]
            if "stubborn" not in step.actions:
                self.send(t="end", n=step.number, end={"f": "killed"})

    def go_on(self, step: Step) -> None:
        while step.actions:
            action, *rest = step.actions.pop(0)
            if action == "wait":
                return
            if action == "stubborn":
                step.actions.insert(0, "stubborn")
                return
            getattr(self, "do_" + action)(step, *rest)

    def do_progress(self, step: Step, fraction: Any, message: Any) -> None:
        self.send(t="progress", n=step.number, fraction=fraction, message=message)

    def do_log(self, step: Step, text: str) -> None:
        self.send(t="log", n=step.number, at=time.time(), text=text)

    def do_fact(self, step: Step, **fact: Any) -> None:
        self.send(t="fact", n=step.number, id=step.number, fact=fact)

    def do_submitting(self, step: Step) -> None:
        self.do_fact(step, f="submitting", job=step.order["job"], recoverable=True)

    def do_remember(self, step: Step) -> None:
        self.do_fact(step, f="remembered", id="job-7")

    def do_tell(self, step: Step) -> None:
        self.send(t="fact", n=step.number, id=None, fact={"f": "emitted", "name": "é", "value": [1]})
        self.send(t="fact", n=step.number, id=None, fact={"f": "link", "name": "page", "url": "http://localhost"})

    def do_secret(self, step: Step, name: str) -> None:
        self.send(t="secret", id=step.number, name=name)

    def do_end(self, step: Step, end: dict[str, Any]) -> None:
        self.send(t="end", n=step.number, end=end)

    def do_succeed(self, step: Step) -> None:
        told = {"heard": step.heard, "order": step.order, "pid": os.getpid()}
        self.send(t="end", n=step.number, end={"f": "succeeded", "outputs": told})

    def do_say(self, _step: Step, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def do_raw(self, _step: Step, text: str) -> None:
        self.socket.sendall(text.encode() + b"\n")

    def do_die(self, _step: Step, code: int) -> None:
        os._exit(code)

    def do_abort(self, _step: Step) -> None:
        os.abort()

    def do_hang(self, _step: Step) -> None:
        select.select([], [], [])


if __name__ == "__main__":
    Host().run()
