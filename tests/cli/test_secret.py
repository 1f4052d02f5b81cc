"""Known secrets are struck out of a text, and words that only look like one are not."""

import pytest

from bulkwriter.cli.secret import Secrets, secrets_of


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("server", "the server is back", "the server is back"),  # of six letters
        ("password", "no --password-file, no passwords", "no --password-file, no passwords"),
        ("password", "it sent password.", "it sent (secret)."),
        ("password", '{"a": "x\\npassword"}', '{"a": "x\\n(secret)"}'),
        ("throttled", "throttled_s unthrottled throttled: slower", "throttled_s unthrottled (secret): slower"),
        ("0123456789abcdef.ghij", "x0123456789abcdef.ghijx", "x(secret)x"),
    ],
)
def test_a_secret_that_is_a_common_word_leaves_sentences_alone(secret: str, text: str, shown: str) -> None:
    assert Secrets([secret]).strike(text) == shown


def test_passwords_of_databases_are_secrets_of_the_environment() -> None:
    env = {"BULKWRITER_LEDGER": "postgresql://u:in%2Fside@h/d", "BULKWRITER_JOURNAL": "postgresql://u:lost@h"}
    assert secrets_of(env) == ["in/side"]
    assert secrets_of({"BULKWRITER_LEDGER": "/a/file", "BULKWRITER_TOKEN": " t "}) == ["t"]
