"""Whoever speaks an older protocol is understood: nothing in it was renumbered, retyped, renamed or taken away."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

import wire.v1
from tests.vectors.protocol import frozen_protocols

MODULES = tuple(
    import_module(f"wire.v1.{module.name}") for module in iter_modules(wire.v1.__path__) if module.name.endswith("_pb2")
)
Breakage = Callable[[FileDescriptorProto], None]


#: Taken away on purpose, with their numbers reserved. Each is about sandboxes, which no device and no customer's money
#: meets: how far to advance was a length of time, which a call that is repeated would have added twice.
RETIRED = {"buckler.v1.AdvanceClockRequest field 1"}


def protocol_of_today() -> FileDescriptorSet:
    today = FileDescriptorSet()
    for module in MODULES:
        module.DESCRIPTOR.CopyToProto(today.file.add())
    return today


def facts(protocol: FileDescriptorSet) -> dict[str, object]:
    """What the two sides rely on, by what it is about."""
    return dict(fact for file in protocol.file for fact in _of_file(file))


def _of_file(file: FileDescriptorProto) -> Iterator[tuple[str, object]]:
    for message in file.message_type:
        yield from _of_message(f"{file.package}.{message.name}", message)
    for enum in file.enum_type:
        yield from _of_enum(f"{file.package}.{enum.name}", enum)
    for service in file.service:
        yield from _of_service(f"{file.package}.{service.name}", service)


def _of_message(name: str, message: DescriptorProto) -> Iterator[tuple[str, object]]:
    yield name, "message"
    for field in message.field:
        yield f"{name} field {field.number}", _shape(message, field)
    for nested in message.nested_type:
        yield from _of_message(f"{name}.{nested.name}", nested)
    for enum in message.enum_type:
        yield from _of_enum(f"{name}.{enum.name}", enum)


def _shape(message: DescriptorProto, field: FieldDescriptorProto) -> tuple[object, ...]:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    return field.name, field.type, field.type_name, field.label, oneof


def _of_enum(name: str, enum: EnumDescriptorProto) -> Iterator[tuple[str, object]]:
    for value in enum.value:
        yield f"{name} value {value.number}", value.name


def _of_service(name: str, service: ServiceDescriptorProto) -> Iterator[tuple[str, object]]:
    for method in service.method:
        shape = method.input_type, method.output_type, method.client_streaming, method.server_streaming
        yield f"{name}.{method.name}", shape


def breakages(old: FileDescriptorSet, new: FileDescriptorSet) -> list[str]:
    """What somebody who speaks the old protocol would trip over."""
    now = facts(new)
    return [about for about, was in facts(old).items() if now.get(about) != was]


@pytest.mark.parametrize("name", frozen_protocols())
def test_an_older_protocol_is_a_part_of_todays(name: str) -> None:
    assert set(breakages(frozen_protocols()[name], protocol_of_today())) <= RETIRED


def test_what_was_retired_is_never_used_again() -> None:
    reserved = {
        f"{file.package}.{message.name} field {number}"
        for file in protocol_of_today().file
        for message in file.message_type
        for span in message.reserved_range
        for number in range(span.start, span.end)
    }
    assert reserved >= RETIRED


def _renumbered(file: FileDescriptorProto) -> None:
    file.message_type[0].field[0].number = 99


def _retyped(file: FileDescriptorProto) -> None:
    file.message_type[0].field[0].type = FieldDescriptorProto.TYPE_BYTES


def _taken_away(file: FileDescriptorProto) -> None:
    del file.message_type[0].field[0]


def _made_a_stream(file: FileDescriptorProto) -> None:
    file.service[0].method[0].server_streaming = True


def _renamed_a_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[0].name = "OTHER"


@pytest.mark.parametrize("harm", [_renumbered, _retyped, _taken_away, _made_a_stream, _renamed_a_value])
def test_every_sort_of_breakage_is_found(harm: Breakage) -> None:
    old, new = protocol_of_today(), protocol_of_today()
    harm(next(file for file in new.file if file.name.endswith("/device.proto")))
    assert len(breakages(old, new)) == 1
    assert breakages(new, new) == []
