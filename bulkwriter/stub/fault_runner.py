"""Makes faults happen: applies the request where the kind says so, and plays the kind's effect.

`EFFECTS` has a row for every kind of `faults.KINDS` but those that strike before a request is whole, which
`run_connection_fault` plays; a test proves both total.  Whether and when a fault comes is decided in `faults`.

Invariant: a request is applied at most once, and a kind that says `applies` has applied it before anything is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import effects as do
from .connection import CONTINUE
from .effects import Effect, FaultContext
from .faults import KINDS, FaultRule
from .responses import SERVER_ERROR, UNAUTHORIZED, UNSUCCESSFUL, Response, as_json, page_of

if TYPE_CHECKING:
    from .connection import Connection
    from .server_core import Exchange, ServerCore

GARBAGE = b"\x00\xff\x16\x03 this is no HTTP \r\n\r\n\x80\x81"
HALF_STATUS = b"HTTP/1.1 2"
EMPTY_RESPONSE = Response(200)


def run_fault(core: ServerCore, exchange: Exchange, rule: FaultRule) -> None:
    """Apply the request if the fault's kind says so, and play the fault."""
    now = core.now()
    if rule.kind == "expired_401" and not exchange.api.grants.expire(_authorization(exchange), now):
        core.serve(exchange)  # a token that was good for nothing yet cannot have expired
        return
    core.truth.faults[rule.kind] += 1
    is_asked = KINDS[rule.kind].applies or KINDS[rule.kind].on == "list"
    response = exchange.api.answer(exchange.request, now) if is_asked else EMPTY_RESPONSE
    EFFECTS[rule.kind](FaultContext(core, exchange, rule, response))


def run_connection_fault(connection: Connection, rule: FaultRule) -> None:
    """Play a fault that strikes a connection before it has a whole request."""
    match rule.kind:
        case "connect_fin" | "fin_mid_request":
            connection.close()
        case "connect_rst" | "rst_mid_request":
            connection.reset()
        case _:
            connection.fall_silent()


def _authorization(exchange: Exchange) -> bytes:
    return exchange.request.head.authorization


# fmt: off
EFFECTS: dict[str, Effect] = {
    "fin_before": FaultContext.leave, "fin_after": FaultContext.leave,
    "rst_before": do.reset, "rst_after": do.reset, "late_apply": do.apply_late,
    "silence_before": do.fall_silent, "silence_after": do.fall_silent,
    "continue_fin_before": do.leave_after(CONTINUE), "continue_fin_after": do.leave_after(CONTINUE),
    "garbage_before": do.leave_after(GARBAGE), "garbage_after": do.leave_after(GARBAGE),
    "half_status_before": do.leave_after(HALF_STATUS), "half_status_after": do.leave_after(HALF_STATUS),
    "bad_length_after": do.misstate_length, "cut_body_after": do.cut_body,
    "long_head_after": do.lengthen_head, "long_body_after": do.lengthen_body,
    "gzip_after": do.send_gzip, "gzip_bomb_after": do.send_gzip_bomb,
    "empty_after": do.say(EMPTY_RESPONSE), "odd_after": do.say(as_json(200, {"Result": "done"})),
    "500_before": do.say(SERVER_ERROR), "500_after": do.say(SERVER_ERROR),
    "502_before": do.say(page_of(502)), "502_after": do.say(page_of(502)),
    "503_before": do.say(page_of(503)), "503_after": do.say(page_of(503)),
    "504_before": do.say(page_of(504)), "504_after": do.say(page_of(504)),
    "503_wait_before": do.say_wait, "503_wait_after": do.say_wait,
    "status_before": do.say_status, "status_after": do.say_status,
    "unsuccessful": do.say(UNSUCCESSFUL), "expired_401": do.say(UNAUTHORIZED), "forbidden_403": do.say(page_of(403)),
    "redirect_307": do.redirect, "slow": do.slow,
    "slices": do.send_sliced, "chunked": do.send_chunked, "close_delimited": do.delimit_by_close,
    "continue_first": do.continue_first,
    "trailing": do.trail, "unsolicited": do.repeat_later, "stray": do.repeat_at_next,
    "list_empty": do.list_with(do.empty), "list_short": do.list_with(do.shorten),
    "list_miscount": do.list_with(do.miscount), "list_overlap": do.list_with(do.overlap),
}
# fmt: on
