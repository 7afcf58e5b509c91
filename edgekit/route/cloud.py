"""The cloud: any OpenAI-compatible endpoint, through the official client.

An answer is streamed, so that one that breaks off is told from one that ended. What fails is one of FAILURES; what may pass is
tried again after a pause that doubles (as long as the endpoint asks for, where it says so), within the query's deadline. After
some failures in a row a circuit breaker opens: queries are then refused at once, and `probe` asks, without any query, whether
the endpoint is back. The key stands in no error, row or representation.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import RunFailed
from edgekit.route.breaker import Clock, breaker
from edgekit.route.endpoint import Endpoint

if TYPE_CHECKING:
    import httpx2

FAILURES = {
    "down": "no connection, or one that was lost before anything came",
    "slow": "no next part within the time limit, or no end before the deadline",
    "garbage": "what came is not what the protocol asks for",
    "cut": "the answer broke off before its end",
    "unauthorized": "the key was not taken (401, 403)",
    "limited": "too many requests (429)",
    "server error": "the endpoint failed (500 and above)",
    "refused": "the endpoint does not take this request (other 4xx, or its content filter)",
    "open": "the circuit breaker was open, and nothing was sent",
}
PASSING = {"down", "slow", "garbage", "cut", "limited", "server error"}  # worth another attempt
BREAKING = PASSING - {"limited"} | {"unauthorized"}  # say that the endpoint does not work, and not that a request does not
ENDS = ("stop", "length")
PROBE = "."  # a text of nobody's
LONGEST_TOLD = 160  # characters of an endpoint's own words


class CloudFailed(RunFailed):
    """No answer. kind: one of FAILURES; retry_after_s: what the endpoint asked for; attempts, seconds: spent on the query."""

    def __init__(self, kind: str, told: str = "", retry_after_s: float | None = None):
        super().__init__(f"cloud: {kind}: {FAILURES[kind]}" + (f" ({told})" if told else ""))
        self.kind, self.retry_after_s, self.attempts, self.seconds = kind, retry_after_s, 0, 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A text, its tokens where whoever wrote it counts them, and the attempts that it took."""

    text: str
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    attempts: int = 1


class Cloud:
    """An endpoint that answers. Threads may share one; `close` it at the end.

    clock: what pauses, deadlines and the breaker go by. transport: what requests go through, where that is not the network
    itself (see network.py). seed: of the pauses' random part.
    """

    def __init__(self, endpoint: Endpoint, key: str, *, clock: Clock | None = None,
                 transport: httpx2.BaseTransport | None = None, seed: int = 0):
        import httpx2
        import openai

        self.endpoint, self.clock = endpoint, clock or Clock()
        self._key, self._random = key, random.Random(seed)
        near = re.match(r"https?://(localhost|127\.|\[::1\])", endpoint.url) is not None
        # A redirect would take the query to a host that nobody named, and a proxy of the environment has no way to loopback.
        self._http = httpx2.Client(transport=transport, follow_redirects=False, trust_env=not near)
        self._client = openai.OpenAI(base_url=endpoint.url, api_key=key, max_retries=0, timeout=endpoint.timeout_s,
                                     http_client=self._http)
        self._breaker = breaker(endpoint.failures, endpoint.reset_s, self.clock,
                                lambda error: not isinstance(error, CloudFailed) or error.kind in BREAKING)

    def answer(self, name: str, text: str, most_tokens: int) -> Answer:
        """The greedy answer to `text`. name: of the query; an endpoint that knows idempotency keys sees all attempts as one
        request. Raises CloudFailed."""
        import tenacity

        began, endpoint, tried = self.clock.now(), self.endpoint, 0
        once = hashlib.blake2b(f"{name}\0{text}".encode(), digest_size=16).hexdigest()

        def late(state) -> bool:
            return (state.attempt_number >= endpoint.attempts or self.state != "closed"
                    or self.clock.now() + state.upcoming_sleep - began > endpoint.deadline_s)

        try:
            for attempt in tenacity.Retrying(
                    retry=tenacity.retry_if_exception(lambda error: isinstance(error, CloudFailed) and error.kind in PASSING),
                    wait=self._pause, stop=late, sleep=self.clock.sleep, reraise=True):
                with attempt:
                    self._require_closed()
                    tried += 1
                    with self._breaker:
                        found = self._attempt(once, text, most_tokens, began + endpoint.deadline_s)
        except CloudFailed as failure:
            failure.attempts, failure.seconds = tried, self.clock.now() - began
            raise
        return Answer(*found, tried)

    @property
    def state(self) -> str:
        """closed: queries are sent; open: none is; half_open: a probe is due."""
        return self._breaker.state

    def probe(self) -> bool:
        """Ask for one token of a text of nobody's; whether the endpoint answers, which closes the breaker."""
        try:
            with self._breaker:
                self._attempt(uuid.uuid4().hex, PROBE, 1, self.clock.now() + self.endpoint.deadline_s)
        except CloudFailed as failure:
            return failure.kind not in BREAKING
        return True

    def stream(self, text: str, most_tokens: int) -> Iterator[str]:
        """The parts of a greedy answer as they come, asked for once and never again, so that they can be timed; returns their
        (prompt_tokens, output_tokens) as the endpoint counts them, None where it does not. Raises CloudFailed."""
        parts = self._parts(uuid.uuid4().hex, text, most_tokens, self.clock.now() + self.endpoint.deadline_s)
        return (yield from parts)

    def counts(self, text: str, most_tokens: int) -> tuple[int | None, int | None]:
        """(prompt_tokens, output_tokens) of the same answer, which is not streamed: some endpoints count only then. Raises
        CloudFailed."""
        with self._told(lambda: False):
            answer = self._ask(dict(stream=False), text, most_tokens)
            return (answer.usage.prompt_tokens, answer.usage.completion_tokens) if answer.usage else (None, None)

    def close(self) -> None:
        self._client.close()

    def _require_closed(self) -> None:
        if self.state != "closed":
            raise CloudFailed("open")

    def _pause(self, state) -> float:
        """Seconds until the next attempt: doubled each time, half of it drawn, so that clients that failed together do not come
        back together; no less than the endpoint asks for."""
        doubled = self.endpoint.backoff_s * 2 ** (state.attempt_number - 1)
        asked = getattr(state.outcome.exception(), "retry_after_s", None)
        return max(doubled * (0.5 + self._random.random() / 2), asked or 0.0)

    def _attempt(self, once: str, text: str, most_tokens: int, deadline: float) -> tuple[str, int | None, int | None]:
        parts, counts = self._parts(once, text, most_tokens, deadline), []
        said = list(_kept(parts, counts))
        return "".join(said), *counts

    def _parts(self, once: str, text: str, most_tokens: int, deadline: float) -> Iterator[str]:
        came = []  # something, once the endpoint took the request
        with self._told(lambda: bool(came)), self._begin(once, text, most_tokens) as stream:
            came.append(True)
            return (yield from self._read(stream, deadline))

    @contextlib.contextmanager
    def _told(self, came: Callable[[], bool]) -> Iterator[None]:
        """What goes wrong inside as CloudFailed. came: whether the endpoint had taken the request."""
        import httpx2
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            raise self._failed(_kind_of(error.status_code), error, _retry_after(error.response.headers)) from None
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise self._failed("slow", error) from None
        except (openai.APIConnectionError, httpx2.TransportError) as error:
            raise self._failed("cut" if came() else _lost(error), error) from None
        except openai.APIError as error:  # an error in place of a part of the stream
            raise self._failed("server error", error) from None
        except (ValueError, TypeError, AttributeError, IndexError, httpx2.RequestError, httpx2.StreamError) as error:
            raise self._failed("garbage", error) from None

    def _begin(self, once: str, text: str, most_tokens: int):
        return self._ask(dict(stream=True, stream_options={"include_usage": True}, extra_headers={"Idempotency-Key": once}),
                         text, most_tokens)

    def _ask(self, how: dict, text: str, most_tokens: int):
        asked = dict(model=self.endpoint.model, max_tokens=most_tokens, temperature=0, extra_body=dict(self.endpoint.own),
                     **how)
        if self.endpoint.form == "plain":
            return self._client.completions.create(prompt=text, **asked)
        return self._client.chat.completions.create(messages=[{"role": "user", "content": text}], **asked)

    def _read(self, stream, deadline: float) -> Iterator[str]:
        kind = stream.response.headers.get("content-type", "").partition(";")[0]
        if kind != "text/event-stream":
            raise CloudFailed("garbage", f"expected text/event-stream, got {kind[:40]!r}")
        end, usage = None, None
        for part in stream:
            if self.clock.now() > deadline:
                raise CloudFailed("slow", "past the deadline")
            usage = getattr(part, "usage", None) or usage
            for choice in part.choices:
                said = choice.text if self.endpoint.form == "plain" else choice.delta.content
                if said:
                    yield said
                end = choice.finish_reason or end
        if end is None:
            raise CloudFailed("cut", "the stream closed without a reason to finish")
        if end not in ENDS:
            raise CloudFailed("refused", f"finished for {self._clean(str(end))}")
        return (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)

    def _failed(self, kind: str, error: Exception, retry_after_s: float | None = None) -> CloudFailed:
        return CloudFailed(kind, self._clean(f"{type(error).__name__}: {error}"), retry_after_s)

    def _clean(self, words: str) -> str:
        """An endpoint's or library's words in one short line, without the key, which some repeat."""
        return " ".join(words.replace(self._key, "[key]").split())[:LONGEST_TOLD]


def _kept(parts: Iterator[str], counts: list) -> Iterator[str]:
    """The same parts; what they return goes into `counts`."""
    counts += yield from parts


def _kind_of(status: int) -> str:
    if status >= 500:
        return "server error"
    return {401: "unauthorized", 403: "unauthorized", 408: "slow", 429: "limited"}.get(
        status, "refused" if status >= 400 else "garbage")


def _lost(error: Exception) -> str:
    """down, or garbage where something else than HTTP came."""
    import httpx2

    cause = error.__cause__
    spoke = isinstance(cause, httpx2.RemoteProtocolError) and "disconnected" not in str(cause)
    return "garbage" if spoke else "down"


def _retry_after(headers) -> float | None:
    """Seconds that a Retry-After asks for, as a number or as a date; None without one that can be read."""
    said = headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
