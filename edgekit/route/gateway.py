"""One query at a time to whom a policy sends it: the device or the cloud, and to the other one where that fails.

Each query gets one record, under its id: asked again under that id, whether later or meanwhile, it gets the same record, and
nobody answers twice. A private query stays on the device, whatever the policy says and even where the device fails. A query
that cannot be asked gets a record too, which says why.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from edgekit.errors import EdgekitError, InvalidRequest, unknown_name
from edgekit.route.cloud import Answer, Cloud, CloudFailed

EDGE, CLOUD, NOBODY = "edge", "cloud", "nobody"
EDGE_FAILED = "edge failed"
BAD = ("not text", "empty", "huge", "control characters")  # why a query is not asked
SPACES = "\n\r\t"


class QueryError(InvalidRequest):
    """A query cannot be asked. `kind`: one of BAD."""

    def __init__(self, kind: str, told: str):
        super().__init__(f"query: {kind}: {told}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Query:
    """id: what it is known by; private: never to leave the device."""

    id: str
    text: str
    most_tokens: int
    private: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a query.

    sent_to: whom the policy, and privacy, chose. answered_by: who did. why: nothing where that is the same; else what failed,
    in turn (FAILURES of the cloud, EDGE_FAILED), or why it could not be asked (BAD). cloud_s: spent on the cloud, whether it
    answered or not, on the cloud's clock; attempts: made of it.
    """

    id: str
    sent_to: str
    answered_by: str
    answer: Answer | None = None
    why: tuple[str, ...] = ()
    cloud_s: float = 0.0
    attempts: int = 0

    @property
    def fell_back(self) -> bool:
        """Whether another one answered than was asked first."""
        return self.answered_by not in (self.sent_to, NOBODY)


def require_query(text: object, most_characters: int) -> None:
    """Raise QueryError for what is no text, has nothing but blanks, is longer than `most_characters`, or holds control
    characters other than line ends and tabs, or halves of surrogate pairs, which no encoding carries."""
    if not isinstance(text, str):
        raise QueryError("not text", f"expected a text, got {type(text).__name__}; decode it first")
    if not text.strip():
        raise QueryError("empty", "expected at least one character that is no blank")
    if len(text) > most_characters:
        raise QueryError("huge", f"expected at most {most_characters:,} characters, got {len(text):,}; shorten it")
    for i, letter in enumerate(text):
        if (kind := unicodedata.category(letter)) == "Cs" or (kind == "Cc" and letter not in SPACES):
            raise QueryError("control characters", f"got U+{ord(letter):04X} at place {i + 1}; remove it")


class Gateway:
    """edge: answers on the device, or raises an EdgekitError. cloud: None where there is none, and nothing is sent anywhere.
    decide: EDGE or CLOUD for a query; a query that it fails on (EdgekitError) stays on the device. most_characters: of a text.
    probing: how the breaker's probe is run beside the queries, none of which waits for it."""

    def __init__(self, edge: Callable[[Query], Answer], cloud: Cloud | None, decide: Callable[[Query], str], *,
                 most_characters: int, probing: Callable[[Callable[[], object]], object] | None = None):
        self.edge, self.cloud, self.decide, self.most_characters = edge, cloud, decide, most_characters
        self.records: dict[str, Record] = {}
        self._asked: dict[str, tuple[Query, Future]] = {}
        self._lock, self._probe = threading.Lock(), threading.Lock()
        self._probing = probing or (lambda probe: threading.Thread(target=probe, daemon=True).start())

    def ask(self, query: Query) -> Record:
        """The record of a query: of this call, or of the one that came first under its id. Raises InvalidRequest where another
        query has that id, and what the policy or the device raise that is no EdgekitError."""
        with self._lock:
            first, future = self._asked.setdefault(query.id, (query, Future()))
            mine = first is query and not future.running() and not future.done() and future.set_running_or_notify_cancel()
        if first != query:
            raise InvalidRequest(f"gateway: the id {query.id!r} belongs to another query; give each its own")
        if not mine:
            return future.result()
        try:
            record = self._serve(query)
        except BaseException as error:
            with self._lock:
                del self._asked[query.id]  # it was not answered, so it may be asked again
            future.set_exception(error)
            raise
        self.records[query.id] = record
        future.set_result(record)
        self._look_after_the_cloud()
        return record

    def _serve(self, query: Query) -> Record:
        try:
            require_query(query.text, self.most_characters)
        except QueryError as error:
            return Record(query.id, NOBODY, NOBODY, why=(error.kind,))
        if query.private or self.cloud is None:
            return self._on_the_device(query, EDGE, (), 0.0, 0, may_leave=False)
        try:
            sent_to = self.decide(query)
        except EdgekitError:
            sent_to = EDGE
        if sent_to not in (EDGE, CLOUD):
            raise InvalidRequest("gateway: " + unknown_name("decision", sent_to, (EDGE, CLOUD)))
        if sent_to == EDGE:
            return self._on_the_device(query, EDGE, (), 0.0, 0, may_leave=True)
        return self._in_the_cloud(query, CLOUD, (), last=False)

    def _on_the_device(self, query: Query, sent_to: str, why: tuple[str, ...], cloud_s: float, attempts: int, *,
                       may_leave: bool) -> Record:
        try:
            return Record(query.id, sent_to, EDGE, self.edge(query), why, cloud_s, attempts)
        except EdgekitError:
            why = (*why, EDGE_FAILED)
        if may_leave:
            return self._in_the_cloud(query, sent_to, why, last=True)
        return Record(query.id, sent_to, NOBODY, None, why, cloud_s, attempts)

    def _in_the_cloud(self, query: Query, sent_to: str, why: tuple[str, ...], *, last: bool) -> Record:
        began = self.cloud.clock.now()
        try:
            answer = self.cloud.answer(query.id, query.text, query.most_tokens)
            return Record(query.id, sent_to, CLOUD, answer, why, self.cloud.clock.now() - began, answer.attempts)
        except CloudFailed as failure:
            why = (*why, failure.kind)
            if last:
                return Record(query.id, sent_to, NOBODY, None, why, failure.seconds, failure.attempts)
            return self._on_the_device(query, sent_to, why, failure.seconds, failure.attempts, may_leave=False)

    def _look_after_the_cloud(self) -> None:
        """Where the breaker is due, one probe at a time."""
        if self.cloud is not None and self.cloud.state == "half_open" and self._probe.acquire(blocking=False):
            def probe() -> None:
                try:
                    self.cloud.probe()
                finally:
                    self._probe.release()

            self._probing(probe)
