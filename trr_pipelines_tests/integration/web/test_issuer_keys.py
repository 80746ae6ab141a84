"""Sign-in keys of an issuer that is slow, away, or asked for keys that it does not have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings
from trr_pipelines.web import issuer_keys
from trr_pipelines.web.tokens import InvalidTokenError, IssuerUnreachableError, TokenVerifier
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.issuers import Issuer, running_issuer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as one:
        yield one


def verifier(issuer: Issuer) -> TokenVerifier:
    return TokenVerifier(Settings(jwks_url=issuer.url))


async def outcome(tokens: TokenVerifier, token: str) -> str:
    """The e-mail of a token, or the name of the error."""
    try:
        return (await tokens.verify(token.encode())).email
    except (InvalidTokenError, IssuerUnreachableError) as error:
        return type(error).__name__


def test_many_tokens_at_once_cost_one_fetch(issuer: Issuer) -> None:
    async def use() -> list[str]:
        tokens = verifier(issuer)
        return await asyncio.gather(*(outcome(tokens, issuer.token("one")) for _ in range(20)))

    assert asyncio.run(use()) == [backends.ADMIN_EMAIL] * 20
    assert issuer.requests == 1


def test_unknown_key_ids_do_not_make_it_fetch_again_and_again(issuer: Issuer) -> None:
    async def use() -> set[str]:
        tokens = verifier(issuer)
        assert await outcome(tokens, issuer.token("one")) == backends.ADMIN_EMAIL
        return {await outcome(tokens, issuer.token(f"unknown {number}")) for number in range(50)}

    assert asyncio.run(use()) == {"InvalidTokenError"}
    assert issuer.requests <= 2


def test_a_new_key_is_found_once_the_pause_is_over(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "PAUSE_SECONDS", 0.2)

    async def use() -> None:
        tokens = verifier(issuer)
        assert await outcome(tokens, issuer.token("one")) == backends.ADMIN_EMAIL
        issuer.add_key("two")
        await asyncio.sleep(0.3)
        assert await outcome(tokens, issuer.token("two")) == backends.ADMIN_EMAIL

    asyncio.run(use())


@pytest.mark.parametrize("how", ["silent", "broken", "dripping"])
def test_the_last_good_keys_are_kept_while_the_issuer_is_away(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for name, seconds in (("FRESH_SECONDS", 0.0), ("PAUSE_SECONDS", 0.0), ("FETCH_SECONDS", 0.5)):
        monkeypatch.setattr(issuer_keys, name, seconds)

    async def use() -> None:
        tokens = verifier(issuer)
        assert await outcome(tokens, issuer.token("one")) == backends.ADMIN_EMAIL
        issuer.is_broken, issuer.drips = how == "broken", how == "dripping"
        if how == "silent":
            issuer.answers.clear()
        for _ in range(5):
            started = time.monotonic()
            assert await outcome(tokens, issuer.token("one")) == backends.ADMIN_EMAIL
            assert time.monotonic() - started < 0.3
            await asyncio.sleep(0.2)
        assert await outcome(tokens, issuer.token("another")) == "IssuerUnreachableError"

    asyncio.run(use())


def test_a_slow_issuer_has_a_deadline_and_stops_nothing_else(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "FETCH_SECONDS", 0.5)
    issuer.answers.clear()

    async def use() -> list[str]:
        tokens = verifier(issuer)
        asked = [asyncio.create_task(outcome(tokens, issuer.token("one"))) for _ in range(8)]
        for _ in range(10):
            started = time.monotonic()
            await asyncio.sleep(0.01)
            assert time.monotonic() - started < 0.3
        asked.pop().cancel()  # a client that leaves does not end the fetch of the others
        return await asyncio.gather(*asked)

    started = time.monotonic()
    assert asyncio.run(use()) == ["IssuerUnreachableError"] * 7
    assert time.monotonic() - started < 5
    assert issuer.requests == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.evil.example/keys",
        "http://127.0.0.1.evil.example/keys",
        "http://127.0.0.1@evil.example/keys",
        "http://localhost:x@evil.example/keys",
        "http://user@127.0.0.1/keys",
        "http://[::1].evil.example/keys",
        "http://[::1]@evil.example/keys",
        "http://localhost\\@evil.example/keys",
        "http://localhost%2eevil.example/keys",
        "http://evil.example/?http://localhost",
        "http://evil.example#localhost",
        "http://10.0.0.1/keys",
        "http:///keys",
        "https:///keys",
        "ftp://localhost/keys",
        "//localhost/keys",
        "localhost",
    ],
)
def test_keys_come_over_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(SetupError, match="TRR_JWKS_URL"):
        TokenVerifier(Settings(jwks_url=url))


@pytest.mark.parametrize(
    "url",
    [
        "https://sign-in.example/keys",
        "http://localhost:9/k",
        "http://127.0.0.1/k",
        "http://127.8.0.1/k",
        "http://[::1]:9/k",
    ],
)
def test_safe_addresses_of_keys_are_taken(url: str) -> None:
    TokenVerifier(Settings(jwks_url=url))
