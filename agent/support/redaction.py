"""Taking out of a text what support does not need and nobody should see: secrets, user names, home folders.

Three nets, one behind the other: what is known to be private (the device's key, accounts of this machine) is found
wherever it stands and however it is written; what is said to be a secret (`password=`, `Authorization:`) goes with the
word for it; and what looks like a key (PEM, tokens of known make, long texts of mixed letters and digits) goes by its
looks. The same person is the same placeholder throughout a bundle. Too much is taken rather than too little; what is
kept on purpose is in docs/diagnostics.md.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

#: A value as JSON has it.
Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

SECRET = "[secret]"  # noqa: S105 -- what stands in its place
_EMAIL = "[email]"
#: Accounts that are nobody's name, and our own: a text without them could not be understood.
_NOBODY = frozenset(
    {
        "admin", "agent", "buckler", "centos", "debian", "default", "ec2-user", "fedora", "lost+found", "nobody", "pi",
        "public", "root", "shared", "ubuntu", "user", "vagrant",
    }
)  # fmt: skip
#: Shorter names are replaced in paths only: elsewhere they are letters of other words.
_SHORTEST_NAME = 2
#: From here on a name is found inside other words too.
_LONG_NAME = 5
#: Shorter secrets are not searched for: they would be found everywhere.
_SHORTEST_SECRET = 6
#: A text of letters and digits that is as long and changes between them as often is no word.
_LONG, _CHANGES = 32, 8

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{1,40}-----(?:.{0,8000}?-----END [A-Z0-9 ]{1,40}-----|[A-Za-z0-9+/=\s\\]*)", re.DOTALL
)
_USERINFO = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{1,20}://)[^\s/@]*(?:@[^\s/@]*)*@")
_HEADER = re.compile(r"(?i)((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)[^\r\n]+")
_SCHEME = re.compile(r"(?i)\b(bearer|basic|negotiate)\s+[A-Za-z0-9._~+/=-]{8,}")
_SENSITIVE = (
    r"(?:passw(?:or)?d|passphrase|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key"
    r"|device[_-]?key|activation[_-]?key|license[_-]?key|licence[_-]?key|session[_-]?id)"
)
_NAMED = re.compile(
    rf"(?i)({_SENSITIVE}[\w-]{{0,40}}[\"']?\s{{0,4}}[:=]\s{{0,4}})"
    r"(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^\s,;]+)"
)
_OPTION = re.compile(rf"(?i)(?<![\w-])(--?[\w-]{{0,40}}{_SENSITIVE}[\w-]{{0,40}}[ =])(\"[^\"\n]*\"|'[^'\n]*'|\S+)")
_NAME_OF_SECRET = re.compile(rf"(?i){_SENSITIVE}")
_MADE_BY = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|sk_live_|sk_test_|rk_live_|xox[abprs]-|npm_|pypi-|hf_|dop_v1_)[\w-]{8,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{20,}"
    r"|(?i:\bBKLR(?:[-_ ]?[0-9A-Z]{5}){4}\b)|\b[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3}\b"
)
_LONG_TEXT = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{_LONG},}}={{0,2}}")
#: A text with so many slashes is a path, even if it does not begin with one.
_SLASHES_OF_PATHS = 4
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_DIGEST = re.compile(r"[0-9a-f]{32,128}\Z")
#: What a digest is called; one that is called nothing may be a key.
_NAME_OF_DIGEST = re.compile(
    r"(?i)(?:sha-?\d*|digest|hash|version|md5|commit|build|signatures?)\w*[\"']?\s*[:=]?\s*[\"']?\Z"
)
_ADDRESS = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_HOME = re.compile(
    r"(/(?:home|Users|export/home|var/home)/|(?i:\b[a-z]:(?:\\{1,4}|/)Users(?:\\{1,4}|/)))"
    r"([^/\\\s:\"',;()\[\]]+(?: [^/\\\s:\"',;()\[\]]+){1,3}(?=[/\\])|[^/\\\s:\"',;()\[\]]+)"
)
_BELOW_HOME = re.compile(r"(\[home-\d+\])[/\\](?!\[path-\d+\])([^\s:\"',;]+)")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")


@dataclass(frozen=True, slots=True)
class Private:
    """What is private on this machine.

    Attributes:
        users: Names of accounts of people.
        homes: Their folders.
        secrets: Texts that must not be seen; never stored or logged.
    """

    users: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RedactionPolicy:
    """What goes, besides secrets, which always do.

    Attributes:
        users: Names of accounts.
        homes: The folder of a person; what lies below stays.
        below_homes: Names of files and folders below it too, except for their suffixes.
    """

    users: bool = True
    homes: bool = True
    below_homes: bool = False


class Redactor:
    """Redacts the texts of one bundle; the same name is the same placeholder in all of them.

    Args:
        private: What is known to be private.
        policy: What goes.
    """

    def __init__(self, private: Private, policy: RedactionPolicy) -> None:
        self._policy = policy
        secrets = (secret.strip() for secret in private.secrets)
        self._secrets = _any_of(_spellings(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET))
        #: Names of people and homes by every way to write them.
        self._spelled: dict[str, str] = {}
        self._homes: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._marks: dict[str, str] = {}
        self._hidden: dict[str, str] = {}
        self._home_pattern: re.Pattern[str] | None = None
        self._user_pattern: re.Pattern[str] | None = None
        for home in sorted(private.homes, key=len, reverse=True):
            if len(home.strip("/\\")) > 1:
                self._homes.setdefault(home.rstrip("/\\"), f"[home-{len(self._homes) + 1}]")
        for user in private.users:
            self._learn(user)
        spelled = _spellings(self._homes)
        self._spelled |= spelled
        self._home_pattern = _any_of(spelled, after=r"(?![\w-])(?!\.\w)")
        self._counts: Counter[str] = Counter()

    def take_counts(self) -> dict[str, int]:
        """What was taken since the last question, by kind."""
        counts, self._counts = dict(sorted(self._counts.items())), Counter()
        return counts

    def text(self, text: str, name: str = "") -> str:
        """A text without what is private.

        Args:
            text: Any.
            name: What it is called where it stands, for values of fields.
        """
        if name and text and _NAME_OF_SECRET.search(name):
            return self._took("secret", SECRET)
        text = self._without_secrets(text, name)
        text = _ADDRESS.sub(lambda _: self._took("email", _EMAIL), text)
        return self._without_people(text)

    def value(self, value: Json, name: str = "") -> Json:
        """A value without what is private, names of fields included."""
        match value:
            case str():
                return self.text(value, name)
            case Mapping():
                return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
            case bool() | int() | float() | None:
                if name and isinstance(value, int | float) and not isinstance(value, bool) and _is_secret_name(name):
                    return self._took("secret", SECRET)
                return value
            case _:
                return [self.value(item, name) for item in value]

    def leaks(self, text: str) -> bool:
        """Whether something that is known to be private is still there."""
        patterns = [self._secrets]
        if self._policy.homes:
            patterns.append(self._home_pattern)
        if self._policy.users:
            patterns.append(self._user_pattern)
        return any(pattern is not None and pattern.search(text) for pattern in patterns)

    # ------------------------------------------------------------ secrets

    def _without_secrets(self, text: str, name: str) -> str:
        def gone(_: re.Match[str]) -> str:
            return self._took("secret", SECRET)

        def named(found: re.Match[str]) -> str:
            return found[1] + self._took("secret", SECRET)

        if self._secrets is not None:
            text = self._secrets.sub(gone, text)
        text = _PEM.sub(gone, text)
        text = _USERINFO.sub(lambda found: f"{found[1]}{self._took('secret', SECRET)}@", text)
        text = _HEADER.sub(lambda found: f"{found[1]}{found[2]}{self._took('secret', SECRET)}", text)
        text = _SCHEME.sub(lambda found: f"{found[1]} {self._took('secret', SECRET)}", text)
        text = _OPTION.sub(named, _NAMED.sub(named, text))
        text = _MADE_BY.sub(gone, text)
        return _LONG_TEXT.sub(lambda found: self._judge(found, name), text)

    def _judge(self, found: re.Match[str], name: str) -> str:
        text = found[0]
        if _UUID.match(text):
            return text
        before = found.string[max(0, found.start() - 40) : found.start()]
        if _DIGEST.match(text) and _NAME_OF_DIGEST.search(before or name):
            return text
        if text.startswith("/") or text.count("/") >= _SLASHES_OF_PATHS:
            return "/".join(self._took("secret", SECRET) if _looks_random(part) else part for part in text.split("/"))
        return self._took("secret", SECRET) if _looks_random(text) else text

    # ------------------------------------------------------------ people

    def _without_people(self, text: str) -> str:
        for found in _HOME.finditer(text):
            self._learn(found[2].rstrip("."))
        if self._policy.homes:
            if self._home_pattern is not None:
                text = self._home_pattern.sub(lambda found: self._took("home", self._home(found[0])), text)
            text = _HOME.sub(lambda found: self._took("home", self._home(found[0])), text)
            if self._policy.below_homes:
                text = _BELOW_HOME.sub(self._hide, text)
        if self._policy.users and self._user_pattern is not None:
            text = self._user_pattern.sub(lambda found: self._took("user", self._user(found[0])), text)
        return text

    def _learn(self, name: str) -> None:
        """Another name of a person, found in the path of a home."""
        key = self._spelled.get(name, name)
        if key.lower() in _NOBODY or len(key) < _SHORTEST_NAME or key.startswith("[") or key in self._users:
            return
        self._users[key] = f"[user-{len(self._users) + 1}]"
        spelled = _spellings(self._users)
        self._spelled |= spelled
        names = "|".join(_name_pattern(spelling) for spelling in _longest_first(spelled))
        self._user_pattern = re.compile(names, re.IGNORECASE)
        self._marks = {spelling.lower(): self._users[name] for spelling, name in spelled.items()}

    def _user(self, found: str) -> str:
        # Cases are folded in more than one way; whoever is missed by the other is somebody all the same.
        return self._marks.get(found.lower(), "[user]")

    def _home(self, path: str) -> str:
        return self._homes.setdefault(self._spelled.get(path, path), f"[home-{len(self._homes) + 1}]")

    def _hide(self, found: re.Match[str]) -> str:
        suffix = _SUFFIX.search(found[2])
        mark = self._hidden.setdefault(found[2], f"[path-{len(self._hidden) + 1}]")
        return f"{found[1]}/{self._took('path', mark)}{suffix[0] if suffix else ''}"

    def _took(self, kind: str, mark: str) -> str:
        self._counts[kind] += 1
        return mark


def _is_secret_name(name: str) -> bool:
    return _NAME_OF_SECRET.search(name) is not None


def _looks_random(text: str) -> bool:
    if len(text) < _LONG:
        return False
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in text if char.isalnum()]
    changes = sum(a != b for a, b in pairwise(kinds))
    return changes >= _CHANGES


def _spellings(names: Iterable[str]) -> dict[str, str]:
    """Every way in which a log may write a name, with the name."""
    found: dict[str, str] = {}
    for name in names:
        for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
            raw = form.encode("utf-8", "surrogateescape")
            for spelling in (
                form,
                quote(raw, safe="/"),
                form.encode("unicode_escape", "surrogatepass").decode("ascii"),
                raw.decode("ascii", "backslashreplace"),
                form.replace("/", "\\/"),
                form.replace("\\", "\\\\"),
            ):
                found.setdefault(spelling, name)
    return found


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted(texts, key=len, reverse=True)


def _any_of(texts: Iterable[str], after: str = "") -> re.Pattern[str] | None:
    ordered = _longest_first(texts)
    return re.compile(f"(?:{'|'.join(map(re.escape, ordered))}){after}") if ordered else None


def _name_pattern(name: str) -> str:
    if len(name) >= _LONG_NAME:
        return re.escape(name)
    return rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"
