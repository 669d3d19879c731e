"""What other processes, people and the kernel send us."""

import struct

from agent.domain.facts import Finding, Incomplete, Severity
from agent.platform.fanotify import EVENT_SIZE, parse_events
from agent.scanner.routing.conditions import UnreadableConditionError, parse_condition
from agent.scanner.routing.reading import UnsplittableSourceError, read_rules
from agent.scanner.workers.protocol import Answer, ProtocolError, decode_answer, decode_hello, encode_answer
from tests.fuzz.targets.target import Target
from wire.activation_key import (
    RANDOM_BYTES,
    MistypedKeyError,
    format_activation_key,
    generate_activation_key,
    parse_activation_key,
)
from wire.entitlement_codec import MalformedClaimsError, decode_claims, encode_claims
from wire.v1.entitlement_pb2 import EntitlementClaims, FeatureGrant

_FINDING = Finding("r", "n", Severity.LOW, ("a", "b"), "t")
_ANSWER = encode_answer(Answer("a" * 64, 1, (_FINDING,), (Incomplete("damaged", 1, ("a",)),)))
_HELLO = b'{"sandbox": {"in_force": ["a"], "missing": [{"layer": "b", "reason": "c"}]}, "rule_count": 3}'
_RULE = b"""import "pe"
private rule a : tag { meta: x = "y" strings: $a = "text" wide ascii $b = { 4D 5A ?? [2-4] (00|01) } $c = /re\\/x{2}/i
condition: uint16(0) == 0x5A4D and any of them and #a > 2 and for all i in (1..3) : ( @b[i] < filesize ) } // end
"""
_RECORD = struct.pack("=BBHiiIi", 2, 0, 28, 7, -8, 4, 129) + b"hdl!" + b"name\0\0\0\0"
_EVENT = struct.pack("=IBBHQii", 24 + len(_RECORD), 3, 0, 24, 8, -1, 100) + _RECORD
_KEY = generate_activation_key(bytes(RANDOM_BYTES))
_CLAIMS = encode_claims(EntitlementClaims(serial=7, org_id="org", features=[FeatureGrant(feature="quarantine")]))


def _answers(data: bytes) -> None:
    for decode in (decode_answer, decode_hello):
        try:
            decode(data)
        except ProtocolError:
            continue


def _rules(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        file = read_rules(text)
    except UnsplittableSourceError:
        return
    assert len(file.rules) <= text.count("rule")
    for rule in file.rules:
        try:
            parse_condition(rule.tokens)
        except UnreadableConditionError:
            continue


def _events(data: bytes) -> None:
    try:
        notices = list(parse_events(data))
    except OSError:
        return
    assert len(notices) <= len(data) // EVENT_SIZE


def _claims(data: bytes) -> None:
    try:
        claims = decode_claims(data)
    except MalformedClaimsError:
        return
    decode_claims(encode_claims(claims))


def _keys(data: bytes) -> None:
    try:
        raw = parse_activation_key(data.decode("utf-8", "replace"))
    except MistypedKeyError:
        return
    assert parse_activation_key(format_activation_key(raw)) == raw


MESSAGE_TARGETS = (
    Target("answers", _answers, (_ANSWER, _HELLO)),
    Target("rules", _rules, (_RULE,)),
    Target("events", _events, (_EVENT,)),
    Target("claims", _claims, (_CLAIMS,)),
    Target("keys", _keys, (_KEY.encode(), format_activation_key(_KEY).encode())),
)
