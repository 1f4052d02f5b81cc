"""Certificates, made once for all tests of the wire."""

from __future__ import annotations

import pytest

from .drive import Certificates


@pytest.fixture(scope="package")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls"))
