"""The small tables: exclusions, the enrolment, settings; ports of the same names in `agent.domain.ports`."""

import sqlite3

from agent.domain.exclusions import Exclusion, ExclusionKind
from agent.domain.ports import Enrolment, PinnedKey, TrustedKeys
from agent.storage.encoding import instant_from_column, instant_to_column, path_from_column, path_to_column


class SqliteExclusions:
    """The owner's exclusions, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, exclusion: Exclusion) -> None:
        """Insert one.

        Raises:
            sqlite3.IntegrityError: Its id is taken.
        """
        self._connection.execute(
            "INSERT INTO exclusion (id, kind, value, reason, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
            (
                exclusion.id,
                exclusion.kind.value,
                path_to_column(exclusion.value),
                exclusion.reason,
                instant_to_column(exclusion.created_at),
                None if exclusion.expires_at is None else instant_to_column(exclusion.expires_at),
            ),
        )

    def remove(self, exclusion_id: str) -> bool:
        """Delete one; False: there was none of that id."""
        return self._connection.execute("DELETE FROM exclusion WHERE id = ?", (exclusion_id,)).rowcount == 1

    def all(self) -> tuple[Exclusion, ...]:
        """In the order of their creation, expired ones included."""
        rows = self._connection.execute(
            "SELECT id, kind, value, reason, created_at, expires_at FROM exclusion ORDER BY number"
        )
        return tuple(
            Exclusion(
                id=row["id"],
                kind=ExclusionKind(row["kind"]),
                value=path_from_column(row["value"]),
                reason=row["reason"],
                created_at=instant_from_column(row["created_at"]),
                expires_at=None if row["expires_at"] is None else instant_from_column(row["expires_at"]),
            )
            for row in rows
        )


class SqliteEnrolment:
    """The one activation of this device, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self) -> Enrolment | None:
        """None: never activated."""
        row = self._connection.execute(
            "SELECT server, device_server, device_id, org_id, authorities_pem, certificate_pem, signed_claims, "
            "signature, kid, root_public_key, key_set_version, check_in_interval_s, last_check_in FROM enrolment"
        ).fetchone()
        if row is None:
            return None
        return Enrolment(
            server=row["server"],
            device_server=row["device_server"],
            device_id=row["device_id"],
            org_id=row["org_id"],
            authorities_pem=row["authorities_pem"],
            certificate_pem=row["certificate_pem"],
            signed_claims=row["signed_claims"],
            signature=row["signature"],
            kid=row["kid"],
            trusted_keys=TrustedKeys(
                root_public_key=row["root_public_key"],
                version=row["key_set_version"],
                keys=self._pinned_keys(),
                revoked_kids=frozenset(self._revoked_kids()),
            ),
            check_in_interval_s=row["check_in_interval_s"],
            last_check_in=None if row["last_check_in"] is None else instant_from_column(row["last_check_in"]),
        )

    def put(self, enrolment: Enrolment) -> None:
        """Replace it."""
        self.forget()
        last_check_in, trusted = enrolment.last_check_in, enrolment.trusted_keys
        self._connection.execute(
            "INSERT INTO enrolment (only_row, server, device_server, device_id, org_id, authorities_pem, "
            "certificate_pem, signed_claims, signature, kid, root_public_key, key_set_version, check_in_interval_s, "
            "last_check_in) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                enrolment.server,
                enrolment.device_server,
                enrolment.device_id,
                enrolment.org_id,
                enrolment.authorities_pem,
                enrolment.certificate_pem,
                enrolment.signed_claims,
                enrolment.signature,
                enrolment.kid,
                trusted.root_public_key,
                trusted.version,
                enrolment.check_in_interval_s,
                None if last_check_in is None else instant_to_column(last_check_in),
            ),
        )
        self._connection.executemany(
            "INSERT INTO pinned_key (kid, position, public_key, not_before, not_after) VALUES (?, ?, ?, ?, ?)",
            [
                (
                    key.kid,
                    position,
                    key.public_key,
                    instant_to_column(key.not_before),
                    None if key.not_after is None else instant_to_column(key.not_after),
                )
                for position, key in enumerate(trusted.keys)
            ],
        )
        self._connection.executemany(
            "INSERT INTO revoked_key (kid) VALUES (?)", [(kid,) for kid in sorted(trusted.revoked_kids)]
        )

    def forget(self) -> None:
        """Deactivated."""
        self._connection.execute("DELETE FROM enrolment")
        self._connection.execute("DELETE FROM pinned_key")
        self._connection.execute("DELETE FROM revoked_key")

    def _revoked_kids(self) -> list[str]:
        return [row["kid"] for row in self._connection.execute("SELECT kid FROM revoked_key")]

    def _pinned_keys(self) -> tuple[PinnedKey, ...]:
        rows = self._connection.execute(
            "SELECT kid, public_key, not_before, not_after FROM pinned_key ORDER BY position"
        )
        return tuple(
            PinnedKey(
                kid=row["kid"],
                public_key=row["public_key"],
                not_before=instant_from_column(row["not_before"]),
                not_after=None if row["not_after"] is None else instant_from_column(row["not_after"]),
            )
            for row in rows
        )


class SqliteSettings:
    """Small facts that outlive a restart, inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> str | None:
        """None: never set."""
        row = self._connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def put(self, name: str, value: str) -> None:
        """Set or replace."""
        self._connection.execute(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )
