"""A gateway that keeps lists for minutes in spite of `no-cache`: nothing is doubled, and nothing called missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.caching_proxy import CachingProxy, caching_nginx, nginx
from tests.support.cli_asking import WAITS, ask, journal_of, said
from tests.support.cli_process import Here, stub

pytestmark = pytest.mark.slow

LOSSES: dict[str, Any] = {
    "faults": [{"kind": "rst_after", "share": 0.15}, {"kind": "rst_before", "share": 0.1}],
    "seed": 3,
}


def test_a_cache_that_keeps_lists_by_their_address_is_kept_out(here: Here, source: Path) -> None:
    with stub(**LOSSES) as server, CachingProxy(server.base_url) as proxy:
        done = here.run(source, proxy.base_url, "--give-up-after=30")
        assert (done.code, done.json["created"]) == (0, 300)
        assert server.truth()["doubles"] == 0
        code, facts, _ = ask(here, "verify", journal_of(source), proxy.base_url)
        assert (code, facts["missing"], facts["doubled"], proxy.hits) == (0, 0, 0, 0)


def test_a_list_that_says_how_old_it_is_settles_nothing(here: Here, source: Path) -> None:
    with stub(**LOSSES) as server, CachingProxy(server.base_url, passes_over_nonce=True, tells_age=True) as proxy:
        done = here.run(source, proxy.base_url, "--give-up-after=3")
        assert (done.code, server.truth()["doubles"]) == (75, 0)
        assert "a cache on the way answered with what it had kept" in done.err


def test_verify_claims_nothing_by_lists_that_are_too_old(here: Here, source: Path) -> None:
    with stub() as server, CachingProxy(server.base_url, passes_over_nonce=True, tells_age=True) as proxy:
        assert here.run(source, server).code == 0
        waits = (WAITS, "--give-up-after=1")
        done = here("verify", "--source", str(source), "--base-url", proxy.base_url, "--json", *waits)
        facts = said(done)
        assert (done.code, facts["is_complete"], facts["missing"]) == (75, False, 0)
        assert "a cache on the way answered with what it had kept" in done.err


def test_an_old_list_that_says_nothing_is_known_by_what_it_lacks(here: Here, source: Path) -> None:
    with stub(**LOSSES) as server, CachingProxy(server.base_url, passes_over_nonce=True) as proxy:
        done = here.run(source, proxy.base_url, "--give-up-after=3")
        assert (done.code, server.truth()["doubles"]) == (75, 0)
        assert "it is an old one" in done.err


@pytest.mark.skipif(nginx() is None, reason="nginx is not installed (Debian: apt-get install nginx)")
def test_nginx_with_a_proxy_cache(here: Here, source: Path, tmp_path: Path) -> None:
    with stub(**LOSSES) as server, caching_nginx(server.base_url, tmp_path) as base_url:
        done = here.run(source, base_url, "--give-up-after=30")
        assert (done.code, done.json["created"]) == (0, 300)
        assert server.truth()["doubles"] == 0
        code, facts, _ = ask(here, "verify", journal_of(source), base_url)
        assert (code, facts["missing"], facts["doubled"]) == (0, 0, 0)
