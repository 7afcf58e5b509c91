"""What the cloud is asked as and where, and the key, which comes from the environment and is shown nowhere."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgekit.errors import InvalidRequest

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class CloudError(InvalidRequest):
    """An endpoint cannot be asked as it is described."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked, and how long.

    url: ends in /v1 as a rule. form: plain sends a text to be gone on from, chat a message of the user. timeout_s: until the
    connection stands, and until each next part comes. deadline_s: of all attempts together. attempts: at most, the first
    included. backoff_s: the first pause. failures: in a row, until the breaker opens. reset_s: until it asks again. own: fields
    of a request that this endpoint alone knows, and needs for a greedy answer.
    """

    url: str
    model: str
    form: Literal["plain", "chat"]
    timeout_s: float
    deadline_s: float
    attempts: int
    backoff_s: float
    failures: int
    reset_s: float
    own: Mapping = field(default_factory=dict)

    def __post_init__(self):
        require_url(self.url)


def require_url(url: str) -> None:
    """Raise CloudError unless `url` is http or https, with a host, and without a user, password or query, which would be told
    where the URL is."""
    if not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#@\s]*)?", url):
        raise CloudError("expected a URL as https://HOST/v1, without user, password or query; the key comes from the "
                         "environment")


def require_variable(name: str) -> None:
    """Raise CloudError unless `name` can be that of an environment variable. The message does not repeat it: somebody may have
    put the key itself there."""
    if not VARIABLE.fullmatch(name) or name.startswith("sk_"):
        raise CloudError("expected the name of an environment variable (letters, digits, _), and not the key itself; what came "
                         "is not shown, since it may be one")


def read_key(variable: str) -> str:
    """The key that an environment variable holds. Raises CloudError."""
    require_variable(variable)
    key = os.environ.get(variable, "")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        what = "is not set" if not key else "holds blanks or other characters that no key has"
        raise CloudError(f"the environment variable {variable} {what}; set it to the endpoint's key")
    return key
