"""Tokens: made once and shown once, kept as hashes, checked in constant time.

A token is ``name.secret``; the file holds a line ``name:scrypt$…`` for each. It is read again
when it has changed, so that a token that is taken out is refused from then on.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections import OrderedDict
from pathlib import Path

from attrs import frozen

COST = {"n": 2**14, "r": 8, "p": 1}
"""Parameters of scrypt: 16 MiB and some 50 ms for each check."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
LONGEST = 256
REMEMBERED = 64


class BadTokenFile(Exception):
    """The file of tokens can't be used; the message says why and what mends it."""


@frozen
class Kept:
    """A line of the file: how its owner's tokens are known again."""

    name: str
    salt: bytes
    digest: bytes
    cost: tuple[int, int, int]

    def fits(self, secret: str) -> bool:
        """Return whether a secret is the one behind this line; takes as long either way."""
        n, r, p = self.cost
        found = hashlib.scrypt(secret.encode(), salt=self.salt, n=n, r=r, p=p, dklen=len(self.digest))
        return hmac.compare_digest(found, self.digest)

    def key(self) -> bytes:
        """What the sessions of this token are signed with; it goes when the line goes."""
        return hashlib.sha256(b"bifrost session" + self.salt + self.digest).digest()

    def __str__(self) -> str:
        n, r, p = self.cost
        coded = "$".join(b64encode(part).decode() for part in (self.salt, self.digest))
        return f"{self.name}:scrypt${n}${r}${p}${coded}"


def _read(line: str) -> Kept:
    name, _, rest = line.partition(":")
    kind, n, r, p, salt, digest = rest.split("$")
    if kind != "scrypt" or not NAME.fullmatch(name):
        raise ValueError(line)
    cost = (int(n), int(r), int(p))
    return Kept(name, b64decode(salt, validate=True), b64decode(digest, validate=True), cost)


def _mark(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_NOBODY = Kept("", b"\0" * 16, b"\0" * 32, (COST["n"], COST["r"], COST["p"]))


class Tokens:
    """The tokens of a file, which may not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._kept: dict[str, Kept] = {}
        self._good: OrderedDict[bytes, str] = OrderedDict()

    def kept(self) -> dict[str, Kept]:
        """Return the lines of the file by name. Raises BadTokenFile."""
        try:
            about = self.path.stat()
        except FileNotFoundError:
            self._seen, self._kept = None, {}
            return self._kept
        seen = (about.st_ino, about.st_mtime_ns, about.st_size)
        if self._seen != seen:
            self._kept = self._load(about.st_mode)
            self._seen = seen
            self._good.clear()
        return self._kept

    def _load(self, mode: int) -> dict[str, Kept]:
        if mode & 0o077:
            raise BadTokenFile(f"{self.path}: others may read it; run: chmod 600 {self.path}")
        lines = [line for line in self.path.read_text("utf-8").splitlines() if line.strip()]
        try:
            return {kept.name: kept for kept in map(_read, lines)}
        except ValueError:
            raise BadTokenFile(
                f"{self.path}: expected lines as 'bifrost monitor token' writes them; make it anew with it"
            ) from None

    def remembered(self, token: str) -> str | None:
        """Return whose token it is if it was shown lately, else None; at once. Raises BadTokenFile."""
        self.kept()
        return self._good.get(_mark(token))

    def owner(self, token: str) -> str | None:
        """Return whose token it is, None if nobody's. Takes some 50 ms. Raises BadTokenFile."""
        name, _, secret = token.partition(".")
        kept, seen = self.kept().get(name), self._seen
        if len(token) > LONGEST:
            return None
        fits = (kept or _NOBODY).fits(secret)
        if kept is None or not fits:
            return None
        if self._seen == seen:  # else it may have been revoked meanwhile
            self._good[_mark(token)] = name
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)
        return name

    def make(self, name: str) -> str:
        """Return a new token of that name and keep its hash; an older one of that name ends."""
        secret = secrets.token_urlsafe(32)
        salt = secrets.token_bytes(16)
        digest = hashlib.scrypt(secret.encode(), salt=salt, **COST, dklen=32)
        kept = Kept(name, salt, digest, (COST["n"], COST["r"], COST["p"]))
        self._store({**self.kept(), name: kept})
        return f"{name}.{secret}"

    def revoke(self, name: str) -> bool:
        """Take a token out; return whether there was one."""
        kept = dict(self.kept())
        if kept.pop(name, None) is None:
            return False
        self._store(kept)
        return True

    def _store(self, kept: dict[str, Kept]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(f"{one}\n" for one in kept.values())
        draft.replace(self.path)
