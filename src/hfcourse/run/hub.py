"""The Hub: whether a run may be pushed, asked before it trains, and the push itself, whole or not at all."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hfcourse.errors import InputError

from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import get_session, httpx, parse_ratelimit_headers, validate_repo_id


logger = logging.getLogger(__name__)
T = TypeVar("T")

# What a run publishes. Pickles (.bin, .pt, .pth) are no part of it: they run code when they are loaded.
PUBLISHED = (".safetensors", ".json", ".jsonl", ".yaml", ".png", ".md", ".jinja", ".txt", ".model")
# Checkpoints, what is half written, locks and caches.
UNPUBLISHED = ("checkpoint-", "tmp", ".")
LOGIN = "run `hf auth login` or set HF_TOKEN"
# What huggingface_hub raises when a request fails; RuntimeError wraps the upload of one file.
FAILURES = (httpx.HTTPError, OSError, ValueError, RuntimeError)
# What may go better the next time. A proxy's HTML in place of JSON is an answer of a Hub that is down.
TIMEOUT = 120.0  # seconds without a sign of life
AGAIN = (408, 412, 429)  # a timeout, another commit at the same moment, too many requests
PASSING = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, json.JSONDecodeError)


class PushError(RuntimeError):
    """A push failed for good: one sentence with the reason. Neither the folder nor the repository's files changed."""


def check_write(repo_id: str, *, private: bool | None = None, token: str | None = None) -> str:
    """Prove, before any time is spent on training, that a model can be pushed to `repo_id`; create it if it is new.

    The proof is the Hub's own answer to "may I write here?" (`HfApi.auth_check`). Creating is none:
    `create_repo(exist_ok=True)` succeeds on any public repository, whoever owns it.

    Args:
        repo_id: "namespace/name", or "name" alone for one of the token's user.
        private: visibility of a new repository; True is refused for one that is public already.
        token: default is the one of `hf auth login` or HF_TOKEN.

    Returns:
        The full id, "namespace/name".

    Raises:
        InputError: no token; a token that is invalid, expired or may not write there; no valid name; no network.
    """
    token = _token(token)
    if not token:
        raise InputError(f"no Hugging Face token was found to push {repo_id} with: {LOGIN}")
    _check_name(repo_id)
    api = _api(token)
    user: dict[str, Any] = {}
    try:
        user = _sent(api.whoami, token)
        if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise InputError(
                f"the token of {user['name']} may only read: {LOGIN} with one that may write to {repo_id}"
            )
        full_id = repo_id if "/" in repo_id else f"{user['name']}/{repo_id}"
        _sent(lambda: _create(api, full_id, private), token)
        _sent(lambda: api.auth_check(full_id, write=True), token)
    except InputError:
        raise
    except FAILURES as error:
        status = _status(error)
        if status == 401:
            raise InputError(
                f"the Hub does not accept the token, invalid or expired: {LOGIN} to a valid one"
            ) from None
        if status == 403:
            names = ", ".join(owner["name"] for owner in [user, *user.get("orgs", [])] if "name" in owner)
            reason = f"the token, of {names}, may not write there ({_reason(error, token)})"
        else:
            reason = _reason(error, token)
        raise InputError(f"{repo_id} cannot be pushed to: {reason}") from None
    return full_id


def push_folder(
    folder: Path,
    repo_id: str,
    *,
    message: str,
    private: bool | None = None,
    token: str | None = None,
    attempts: int = 5,
    wait: float = 1.0,
) -> str:
    """Push what a run publishes from `folder` to the model repository `repo_id`: one commit, whole or not at all.

    huggingface_hub repeats uploads by itself, but sends three requests only once: creation of the repository,
    validation of the card, and the commit. These are repeated here after 408, 412, 429, 5xx, timeouts and dropped
    connections. A commit whose answer was lost is found, not doubled; nor does pushing an unchanged folder again
    make a commit. Files that only the repository has stay there. (`HfApi.upload_folder` may make several commits.)

    Args:
        attempts: how often such a request is sent at most.
        wait: seconds before the second attempt, doubled before each further one; the Hub's Retry-After overrides it.

    Returns:
        The address of the commit.

    Raises:
        InputError: `folder` holds nothing to publish, or `repo_id` is not a valid name.
        PushError: the Hub refused, or could not be reached to the end.
    """
    token = _token(token)
    paths = _published(folder)
    if not paths:
        raise InputError(f"{folder} holds nothing to push: expected files that end in {', '.join(PUBLISHED)}")
    _check_name(repo_id)
    api = _api(token or None)

    def commit() -> str:
        # Made anew for each attempt: only then does create_commit learn what the Hub has and leave it out.
        additions = [CommitOperationAdd(path.relative_to(folder).as_posix(), path) for path in paths]
        try:
            api.preupload_lfs_files(full_id, additions)
        except FAILURES as error:  # after huggingface_hub's own attempts
            raise PushError(_reason(error, token)) from None
        return api.create_commit(full_id, additions, commit_message=message).commit_url

    try:
        full_id = _sent(lambda: _create(api, repo_id, private), token, attempts, wait)
        return _sent(commit, token, attempts, wait)
    except FAILURES as error:
        raise PushError(f"{folder} was not pushed to {repo_id}: {_reason(error, token)}") from None


def _published(folder: Path) -> list[Path]:
    """The files of a run that others are given, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.name.endswith(PUBLISHED)
        and not any(part.startswith(UNPUBLISHED) for part in path.relative_to(folder).parts)
    )


def _token(token: str | None) -> str:
    token = (token or get_token() or "").strip()
    if not (token.isascii() and token.isprintable()):  # libraries quote such a header, and so the token, in errors
        raise InputError(f"the Hugging Face token holds characters that tokens do not have: {LOGIN} to a valid one")
    return token


def _check_name(repo_id: str) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError:
        rule = (
            "name or namespace/name of letters, digits, '-', '_' and '.', neither '--' nor '..', at most 96 characters"
        )
        raise InputError(f"{repo_id!r} is not a valid Hub repository: expected {rule}") from None


def _api(token: str | None) -> HfApi:
    # huggingface_hub sets no limit: a Hub that takes a request and never answers would hold a run for ever.
    get_session().timeout = httpx.Timeout(TIMEOUT)
    return HfApi(token=token)


def _create(api: HfApi, repo_id: str, private: bool | None) -> str:
    """The full id of the model repository, created if need be."""
    full_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if private and not api.model_info(full_id).private:
        raise InputError(f"{full_id} exists and is public: make it private on the Hub, or push it as a public one")
    return full_id


def _sent(request: Callable[[], T], token: str, attempts: int = 3, wait: float = 1.0) -> T:
    """The result of `request`, repeated while its failure may pass."""
    for attempt in range(1, attempts + 1):
        try:
            return request()
        except FAILURES as error:
            status = _status(error)
            passing = isinstance(error, PASSING) if status is None else status in AGAIN or status >= 500
            if attempt == attempts or not passing:
                raise
            pause = _retry_after(error)
            pause = wait * 2 ** (attempt - 1) if pause is None else pause
            reason = _reason(error, token)
            logger.warning("attempt %d of %d failed (%s), next in %g s", attempt, attempts, reason, pause)
            time.sleep(pause)
    raise ValueError(f"attempts must be at least 1, found {attempts}")


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def _retry_after(error: Exception) -> float | None:
    """Seconds that the Hub asks to wait, by its RateLimit header or the standard Retry-After."""
    if not isinstance(error, HfHubHTTPError):
        return None
    limit = parse_ratelimit_headers(error.response.headers)
    if limit is not None and limit.remaining == 0:
        return limit.reset_in_seconds
    asked = error.response.headers.get("Retry-After", "")
    return int(asked) if asked.isdigit() else None


def _reason(error: BaseException, token: str) -> str:
    """Why a request failed, on one line and without the token."""
    if isinstance(error, OfflineModeIsEnabled):
        reason = "offline mode is on (HF_HUB_OFFLINE=1)"
    elif isinstance(error, HfHubHTTPError):
        said = error.server_message or error.response.reason_phrase
        reason = f"the Hub answered {error.response.status_code}, {said}"
    elif isinstance(error, httpx.TransportError):
        reason = f"the connection to {constants.ENDPOINT} failed ({str(error) or type(error).__name__})"
    elif isinstance(error, json.JSONDecodeError):
        reason = f"{constants.ENDPOINT} did not answer as a Hub does"
    elif isinstance(error, RuntimeError) and error.__cause__ is not None:
        reason = f"{error} {_reason(error.__cause__, token)}"
    else:
        reason = str(error)
    reason = " ".join(reason.split()).rstrip(".")
    return reason.replace(token, "(token)") if token else reason
