"""Passwords, cookies and tokens: made, digested, checked. This module touches no store.

A password is kept as Argon2id (RFC 9106) in libsodium's text form, which carries its own limits and salt. Cookies and
tokens are 256 random bits, so a plain SHA-256 of them is enough.
"""

import asyncio
import hashlib
import hmac
import secrets

TOKEN_PREFIX = "sk_"
LONGEST_PASSWORD = 1000


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def new_token() -> str:
    return TOKEN_PREFIX + new_secret()


def digest(secret: str) -> str:
    """Return the SHA-256 of a cookie or token, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))


async def hash_password(password: str) -> str:
    """Return the Argon2id text of a password; takes about 0.1 s and 64 MiB, in a thread."""
    return await asyncio.to_thread(_hash, password)


async def is_password(stored: str, password: str) -> bool:
    """Check a password against its Argon2id text, in a thread; one at a time is enough for any box."""
    return await asyncio.to_thread(_verify, stored, password)


def _hash(password: str) -> str:
    from nacl.pwhash import argon2id

    made = argon2id.str(
        password.encode(), opslimit=argon2id.OPSLIMIT_INTERACTIVE, memlimit=argon2id.MEMLIMIT_INTERACTIVE
    )
    return made.rstrip(b"\0").decode("ascii")


def _verify(stored: str, password: str) -> bool:
    from nacl.exceptions import CryptoError
    from nacl.pwhash import argon2id

    try:
        return bool(argon2id.verify(stored.encode("ascii"), password.encode("utf-8", "surrogatepass")))
    except (CryptoError, ValueError):
        return False
