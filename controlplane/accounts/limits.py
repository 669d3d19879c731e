"""The numbers of accounts, each with its source."""

from datetime import timedelta

from controlplane.runtime.rate_limit import Rate

#: NIST SP 800-63B asks for 8 at least where a password is the only factor; ours may be guessed over the network.
MIN_PASSWORD_CHARACTERS = 12
#: argon2 would hash any length; a bound keeps a request from costing more than it should.
MAX_PASSWORD_CHARACTERS = 1_000
#: RFC 5321 allows 254 in a path.
MAX_EMAIL_CHARACTERS = 254
#: Attempts to sign in with one address, known or not: ten at once, then one every 90 seconds. Ten in a quarter of an
#: hour let nobody guess a password of twelve characters; a person who mistypes waits for a minute and a half.
SIGN_INS_PER_EMAIL = Rate(burst=10, every=timedelta(seconds=90))
#: From one place on the network, whoever it tries to be; a company behind one address starts its day in it.
SIGN_INS_PER_ADDRESS = Rate(burst=100, every=timedelta(seconds=10))
#: A signed-in session of `bucklerctl`.
SESSION_LIFETIME = timedelta(hours=12)
#: A token for a program, at most; somebody has to look at it once a year.
MAX_TOKEN_LIFETIME = timedelta(days=366)
#: A use of a token is written down this often at most.
USED_EVERY = timedelta(minutes=5)
TOKEN_SECRET_BYTES = 32
#: RFC 4226 asks for 128 bits at least and recommends 160.
SECOND_FACTOR_SECRET_BYTES = 20
RECOVERY_CODES = 10
#: 80 random bits: nothing to guess, so a plain hash is enough.
RECOVERY_CODE_BYTES = 10
#: Names of organisations and tokens.
MAX_NAME_CHARACTERS = 200
