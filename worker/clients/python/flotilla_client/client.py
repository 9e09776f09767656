"""The client itself; nothing but the standard library."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack, cast
from urllib.error import HTTPError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from . import types

P = TypeVar("P", contravariant=True)
R = TypeVar("R", covariant=True)


class Options(TypedDict, total=False):
    """What an enqueue may say beside kind and payload."""

    lane: str
    tenant: str
    priority: int
    run_at: str
    deadline: str
    unique: dict[str, Any]
    order: str
    traceparent: str


@dataclass(frozen=True)
class New(Generic[R]):
    """A job that is to be enqueued."""

    envelope: dict[str, Any]


@dataclass(frozen=True)
class Kind(Generic[P, R]):
    """A kind of job: what it takes is a P, what it gives an R. Called with a payload it makes a job."""

    name: str

    def __call__(self, payload: P, **options: Unpack[Options]) -> New[R]:
        return New({"kind": self.name, "payload": payload, **options})


@dataclass(frozen=True)
class Ref(Generic[R]):
    """A job that was enqueued: `outcome` is "created", "duplicate" or "rejected"."""

    id: str
    outcome: str
    detail: str | None = None


class FlotillaError(Exception):
    """An answer that is not success, as problem details (RFC 9457)."""

    def __init__(self, problem: types.Problem, retry_after: float | None) -> None:
        super().__init__(f"{problem['title']}: {problem['detail']}")
        self.problem = problem
        self.retry_after = retry_after


class JobFailed(Exception):
    """The job ended without a result."""

    def __init__(self, job: types.Job) -> None:
        errors = job.get("errors") or []
        last = errors[-1].get("error") if errors else job.get("reason")
        super().__init__(f"job {job['id']} is {job['state']}: {last}")
        self.job = job


class Flotilla:
    """A fleet behind its API."""

    def __init__(self, url: str, token: str | None = None, timeout: float = 30) -> None:
        self._url, self._token, self._timeout = url.rstrip("/"), token, timeout

    def enqueue(self, job: New[R], *, idempotency_key: str | None = None) -> Ref[R]:
        """Enqueues one job; it is durable when this returns. With a key, sending again is the same job."""
        return Ref(**self._call("POST", "/v1/jobs", job.envelope, key=idempotency_key))

    def enqueue_all(self, jobs: Sequence[New[R]], *, idempotency_key: str | None = None) -> list[Ref[R]]:
        """Enqueues all or, when one is not valid, none."""
        sent = [job.envelope for job in jobs]
        answer = self._call("POST", "/v1/jobs", sent, key=idempotency_key)
        return [Ref(**one) for one in answer["jobs"]]

    def get(self, job: Ref[Any] | str, wait: float = 0) -> types.Job:
        """The job as it stands, or as soon as it has finished within `wait` seconds."""
        path = f"/v1/jobs/{job if isinstance(job, str) else job.id}"
        answer: types.Job = self._call("GET", f"{path}?wait={int(wait * 1000)}ms", wait=wait)
        return answer

    def wait(self, job: Ref[R], timeout: float = 600, poll: float = 30) -> R:
        """The result, once there is one. Raises JobFailed, or TimeoutError."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            seen = self.get(job, wait=min(poll, left))
            if seen["state"] == "completed":
                return cast(R, seen.get("result"))
            if seen["state"] in ("dead", "cancelled"):
                raise JobFailed(seen)
        raise TimeoutError(f"job {job.id} has not finished within {timeout} s")

    def cancel(self, job: Ref[Any] | str, reason: str = "") -> None:
        """At once while it waits; a running one is asked to stop."""
        path = f"/v1/jobs/{job if isinstance(job, str) else job.id}"
        self._call("DELETE", path, {"reason": reason} if reason else None, key=str(uuid.uuid4()))

    def _call(self, method: str, path: str, body: Any = None, key: str | None = None, wait: float = 0) -> Any:
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if key:
            headers["idempotency-key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, headers, method=method)
        try:
            with urlopen(request, timeout=self._timeout + wait) as answer:
                return json.load(answer)
        except HTTPError as error:
            raise _problem(error) from None


def _problem(error: HTTPError) -> FlotillaError:
    try:
        problem = json.load(error)
        problem["title"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        problem = {"type": "about:blank", "title": error.reason, "status": error.code, "detail": "no detail"}
    wait = error.headers.get("retry-after", "")
    return FlotillaError(problem, float(wait) if wait.isdigit() else None)
