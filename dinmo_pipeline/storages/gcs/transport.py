"""How requests go to Google Cloud Storage and for its tokens: to the address that was defined, and to no other that a server names."""

from __future__ import annotations

from typing import Any

from google.auth.transport.requests import AuthorizedSession, Request
from requests import Session

from dinmo_pipeline.storages.answers import Answers
from dinmo_pipeline.storages.requests_transport import bound

_TOKEN_RETRIES = 3
_TOKEN_SECONDS = 300


def bounded_session(credentials: Any, answers: Answers) -> AuthorizedSession:
    """Return a session that signs with these, within the limits.

    It follows no redirect, nor does the one that asks for tokens; TooManyRedirects then.
    """
    tokens = Session()
    tokens.max_redirects = 0
    # As the library's own session for tokens.
    bound(tokens, answers, retries=_TOKEN_RETRIES)
    session = AuthorizedSession(credentials, refresh_timeout=_TOKEN_SECONDS, auth_request=Request(tokens))
    session.max_redirects = 0
    bound(session, answers)
    return session
