from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.model import AccessLevel
from controlplane.licensing.claims import claims_bytes
from controlplane.licensing.model import GRACE, LIFETIME, Basis, times_of
from controlplane.storage.types import to_microseconds
from wire.entitlement_codec import decode_claims

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
levels = st.sampled_from(AccessLevel)
instants = st.none() | st.timedeltas(timedelta(days=-400), timedelta(days=4000)).map(lambda delta: NOW + delta)
bases = st.builds(
    Basis,
    org_id=st.text(max_size=10),
    subscription_id=st.text(max_size=10),
    seat_id=st.text(max_size=10),
    device_id=st.text(max_size=10),
    device_public_key_sha256=st.binary(min_size=32, max_size=32),
    plan_id=st.text(max_size=10),
    plan_name=st.text(max_size=10),
    catalog_version=st.integers(0, 2**31 - 1),
    access=levels,
    access_reason=st.text(max_size=10),
    access_until=instants,
    paid_until=instants,
    revocation_epoch=st.integers(0, 2**31 - 1),
    features=st.dictionaries(st.text(max_size=5), levels, max_size=3).map(lambda found: tuple(sorted(found.items()))),
)


@given(bases)
def test_the_times_of_a_statement_are_in_order_and_bounded(basis: Basis) -> None:
    times = times_of(basis, NOW)
    assert times.not_before == times.issued_at == NOW
    assert NOW <= times.refresh_after <= times.expires_at <= times.grace_until
    assert times.expires_at <= NOW + LIFETIME
    assert times.grace_until <= NOW + LIFETIME + GRACE
    if basis.access is AccessLevel.GRACE and basis.access_until is not None and basis.access_until >= NOW:
        assert times.grace_until <= basis.access_until


@given(bases, bases)
def test_equal_digests_mean_equal_statements(one: Basis, other: Basis) -> None:
    assert (one.digest() == other.digest()) == (one == other)


@given(bases, st.integers(1, 2**63 - 1))
def test_claims_say_what_was_decided_and_always_in_the_same_bytes(basis: Basis, serial: int) -> None:
    times = times_of(basis, NOW)
    encoded = claims_bytes(basis, times, serial)
    assert encoded == claims_bytes(basis, times, serial)
    claims = decode_claims(encoded)
    assert claims.serial == serial
    assert claims.device_public_key_sha256 == basis.device_public_key_sha256
    assert claims.expires_at_us == to_microseconds(times.expires_at)
    assert [grant.feature for grant in claims.features] == [feature for feature, _ in basis.features]
