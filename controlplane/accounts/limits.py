"""The numbers of accounts, each with its source."""

from datetime import timedelta

#: NIST SP 800-63B asks for 8 at least where a password is the only factor; ours may be guessed over the network.
MIN_PASSWORD_CHARACTERS = 12
#: argon2 would hash any length; a bound keeps a request from costing more than it should.
MAX_PASSWORD_CHARACTERS = 1_000
#: RFC 5321 allows 254 in a path.
MAX_EMAIL_CHARACTERS = 254
#: Wrong passwords in a row after which sign-in rests.
MAX_FAILED_SIGN_INS = 10
LOCKED_FOR = timedelta(minutes=15)
#: A signed-in session of `bucklerctl`.
SESSION_LIFETIME = timedelta(hours=12)
TOKEN_SECRET_BYTES = 32
#: Names of organisations and tokens.
MAX_NAME_CHARACTERS = 200
