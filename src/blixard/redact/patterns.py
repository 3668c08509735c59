"""The published list of what `--redact` masks and `inspect --secrets` finds.

These run over a mebibyte of a stranger's text: every quantifier is bounded, or followed by what it cannot match itself.
"""

from __future__ import annotations

import re

from msgspec import Struct


class Rule(Struct, frozen=True):
    """One published rule: its name, as a finding states it, and what it covers."""

    name: str
    covers: str


RULES = (
    Rule("secret key", "a value under a key with password, passwd, passphrase, pwd, secret, token, credential, auth, "
         "cookie, api/access/private/encryption/ssh key in its name; in `metadata` and `labels` any `key` or `pass`"),
    Rule("transport config", "`/nodes/*/transport_config`, all of it"),
    Rule("join ticket", "`/nodes/*/join_addr` that is no host and port"),
    Rule("secret header", "`headers` of health checks: Authorization, Cookie and all that a secret key would be"),
    Rule("URL credentials", "the password in `scheme://user:password@host`, anywhere"),
    Rule("private key", "PEM and OpenSSH private key blocks, age secret keys, anywhere"),
    Rule("password hash", "crypt(3) hashes (`$6$...`, `$y$...`), anywhere"),
    Rule("cloud-init passwords", "the `chpasswd:` block of a cloud-init file"),
    Rule("assigned secret", "`password: ...`, `TOKEN=...` and the like inside a text, a file or a log line"),
    Rule("secret variable", "the default of a template's variable that is secret, or is called like a secret key"),
    Rule("known token", "tokens with a known shape: AWS, GitHub, GitLab, Slack, JWT, `Bearer ...`, `Basic ...`"),
    Rule("configured path", "JSON pointers of `redact.paths`, globs allowed"),
)  # fmt: skip

_WORDS = (
    r"pass(?:word|wd|phrase|code)|passw|\bpwd|secret|token|credential|authorization|\bauth\b|authkey|auth[_-]|cookie"
    r"|(?:api|access|private|encryption|signing|ssh|host|pre[_-]?shared|psk|wg|master)[_.-]?key|\bpsk\b|ticket"
)
SECRET_KEY = re.compile(rf"(?:{_WORDS})|^(?:pwd|pass|auth|psk)$", re.IGNORECASE)
METADATA_KEY = re.compile(rf"(?:{_WORDS})|pass|pwd|auth|key|cred", re.IGNORECASE)

_ASSIGNED = r"(?:pass(?:word|wd|phrase|code)|secret|token|credentials?|(?:api|access|private|encryption)[_.-]?key)"
_MORE = r"[\w.-]{0,40}[\"']?[ \t]{0,8}"

_KEYS = ("passw", "passphrase", "passcode", "secret", "token", "credential", "key")

TEXT: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "private key",
        ("private key",),
        re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?P<secret>[^-]{1,65536})"),
    ),
    ("private key", ("age-secret-key-1",), re.compile(r"(?P<secret>AGE-SECRET-KEY-1[0-9A-Za-z]{20,80})")),
    (
        "URL credentials",
        ("://",),
        re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@]{0,200}:(?P<secret>[^\s/@]{1,400})@"),
    ),
    (
        "password hash",
        ("$",),
        re.compile(r"(?P<secret>\$(?:1|2[abxy]?|5|6|7|y|gy|argon2i?d?|scrypt)\$[^\s:\"']{4,400})"),
    ),
    (
        "cloud-init passwords",
        ("chpasswd:",),
        re.compile(r"^chpasswd:[^\n]{0,200}\n(?P<secret>(?:[ \t][^\n]*(?:\n|\Z))+)", re.MULTILINE),
    ),
    (
        # a YAML block: everything deeper than its key
        "assigned secret",
        _KEYS,
        re.compile(
            rf"{_ASSIGNED}{_MORE}:[ \t]{{0,8}}[|>][-+0-9]{{0,3}}[ \t]{{0,8}}\n"
            r"(?P<secret>(?:[ \t][^\n]*(?:\n|\Z))+)",
            re.IGNORECASE,
        ),
    ),
    (
        "assigned secret",
        _KEYS,
        re.compile(
            rf"{_ASSIGNED}{_MORE}[:=][ \t]{{0,8}}[\"']?(?P<secret>[^\s\"'|>(][^\s\"']{{0,2000}})",
            re.IGNORECASE,
        ),
    ),
    (
        "known token",
        ("bearer", "basic"),
        re.compile(r"\b(?:Bearer|Basic)\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{8,4000})"),
    ),
    (
        "known token",
        ("eyj",),
        re.compile(r"(?P<secret>\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{0,2000})"),
    ),
    ("known token", ("akia", "asia"), re.compile(r"(?P<secret>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)")),
    ("known token", ("gh", "github_pat"), re.compile(r"(?P<secret>\b(?:gh[pousr]|github_pat)_[A-Za-z0-9_]{20,255})")),
    ("known token", ("glpat-", "xox"), re.compile(r"(?P<secret>\b(?:glpat|xox[abposr])-[A-Za-z0-9-]{10,255})")),
)
"""Rule, lower-case words without one of which the pattern cannot match (looking for them is 100 times faster), and the
pattern, in order; its group `secret` is what is masked."""
