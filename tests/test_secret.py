"""exporter.secret: a text that cannot print itself."""

import copy
import dataclasses
import pickle
import traceback

import pytest

from exporter.secret import Secret
from exporter.server import Server, Signature, StaticAuthorization

CANARY = "canary-8d1f"


def test_a_secret_shows_itself_on_request_only() -> None:
    """Whoever sends it gets the text; every way of printing gets stars."""
    secret = Secret(CANARY)

    assert secret.reveal() == CANARY
    assert str(secret) == f"{secret}" == "***"
    assert repr(secret) == "Secret(***)"
    assert f"{secret:>5}" == "  ***"
    assert CANARY not in "%s %r" % (secret, secret)  # noqa: UP031  # loggers format in this way


def test_a_secret_does_not_leave_by_pickling_or_copying() -> None:
    """Neither a dump nor a deep copy (`dataclasses.asdict` makes one) holds the text."""
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"^a Secret cannot be pickled$"):
            leave(Secret(CANARY))


def test_facts_that_hold_secrets_do_not_print_them() -> None:
    """A server's facts can be logged whole."""
    for auth in (
        Signature(Secret(CANARY), Secret(CANARY)),
        StaticAuthorization(Secret(CANARY)),
    ):
        server = Server(
            "https://cms.example.com",
            auth=auth,
            proxy_url=Secret(CANARY),
            headers=(("x-tenant", Secret(CANARY)),),
        )
        assert CANARY not in repr(server)
        with pytest.raises(TypeError) as caught:
            dataclasses.asdict(server)
        assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_secrets_compare_by_their_text() -> None:
    """A reload tells by this whether a secret has changed."""
    assert Secret("ä1") == Secret("ä1")
    assert hash(Secret("ä1")) == hash(Secret("ä1"))
    assert Secret("ä1") != Secret("ä2")
    assert Secret("ä1") != "ä1"
    assert hash(Secret("ä1")) != hash("ä1")
