"""Owns what the answers of a service that takes its time mean: which job it is about, and how that job stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meson_core.errors import BackendError, MesonError
from meson_http import paths
from meson_http.answers import phrase
from meson_http.templates import as_text
from meson_http.urls import is_url, joined

if TYPE_CHECKING:
    from meson_http.answers import Answer
    from meson_http.options import Poll

#: Where the address of a job is, if the answer's body is not said to have it.
_HEADERS = ("Location", "Operation-Location", "Content-Location")


class JobFailedError(MesonError):
    """The job has failed, by the service's own word; another attempt is another job."""

    code = "job-failed"


class Standing(NamedTuple):
    """How a job stands that has not failed.

    Args:
        ended: it has succeeded.
        fraction: how far it is, 0..1, when the service says it.
        message: the service's words, when it has any.
    """

    ended: bool
    fraction: float | None = None
    message: str | None = None


def job_of(poll: Poll, answer: Answer) -> str | None:
    """The job that a submission began: its id, or its URL; None when the answer is the result already.

    Raises:
        BackendError: the answer does not say.
    """
    if poll.job is not None:
        try:
            found = as_text(answer.select(poll.job))
        except paths.NotThereError as error:
            if answer.status != 202 and poll.state is None:
                return None
            raise BackendError(f"the answer does not say which job it is about: {error}", retryable=False) from None
        return handle(poll, found, answer)
    for header in _HEADERS:
        if header in answer.headers:
            found = answer.headers[header]
            return found if poll.url is not None else joined(answer.url, found)
    if answer.status != 202:
        return None
    raise BackendError(
        f"{phrase(answer.status)} came without a header Location, so there is nothing to ask after",
        retryable=False,
        hint='say where the answer has the job\'s id or URL: poll={"job": "$.id", …}',
    )


def handle(poll: Poll, found: str, answer: Answer) -> str:
    """What is remembered of a job that an answer names.

    Raises:
        BackendError: an id, and nothing says which URL belongs to it.
    """
    if poll.url is not None:
        return found
    if is_url(found):
        return joined(answer.url, found)
    raise BackendError(
        f"the job is {found!r}, which is no URL",
        retryable=False,
        hint='say where it is asked after: poll={"url": "https://…/${meson.job}", …}',
    )


def standing(poll: Poll, answer: Answer, job: str) -> Standing:
    """How the job stands.

    Args:
        poll: says where the answer has what.
        answer: to the question after it.
        job: for messages.

    Raises:
        JobFailedError: it has failed, or was cancelled by somebody else.
        BackendError: nobody knows what its state means.
    """
    if poll.state is None:
        return (
            Standing(ended=True)
            if answer.status != 202
            else Standing(False, _fraction(poll, answer), _words(poll, answer))
        )
    try:
        state = as_text(answer.select(poll.state))
    except paths.NotThereError as error:
        if answer.status == 202:
            return Standing(ended=False)
        raise BackendError(f"the job {job} has no state: {error}", retryable=False) from None
    words = _words(poll, answer)
    told = f"({state}){f': {words}' if words else ''}"
    if _among(state, poll.failed):
        raise JobFailedError(f"the job {job} has failed {told}")
    if _among(state, poll.cancelled):
        raise JobFailedError(f"the job {job} was cancelled by somebody else {told}")
    if _among(state, poll.succeeded):
        return Standing(ended=True)
    if poll.running is not None and not _among(state, poll.running):
        raise BackendError(
            f"the job {job} is in a state that none of the lists of `poll` has {told}",
            retryable=False,
            hint=f"add {state!r} to running, succeeded, failed or cancelled",
        )
    return Standing(False, _fraction(poll, answer), words or state)


def _among(state: str, states: tuple[str, ...]) -> bool:
    return state.casefold() in {one.casefold() for one in states}


def _words(poll: Poll, answer: Answer) -> str | None:
    """What the service says about the job; an answer without such words has none."""
    for place in ("$.error.message", "$.error", "$.message", "$.detail") if poll.message is None else (poll.message,):
        try:
            found = answer.select(place)
        except paths.NotThereError:
            continue
        if found:
            return " ".join(as_text(found).split())[:600]
    return None


def _fraction(poll: Poll, answer: Answer) -> float | None:
    if poll.progress is None:
        return None
    try:
        done = answer.select(poll.progress)
        whole = answer.select(poll.out_of) if isinstance(poll.out_of, str) else poll.out_of
        return min(1.0, max(0.0, float(done) / float(whole)))
    except (paths.NotThereError, TypeError, ValueError, ZeroDivisionError):
        return None  # it does not know yet
