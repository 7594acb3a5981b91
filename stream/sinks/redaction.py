"""What must not leave: passwords in the texts that applications write.

Two kinds of text. *Values* are what a task was called with or returned: a ``repr`` or JSON, nested,
and often cut short by Celery, so it cannot be parsed. The value after each secret key is hidden;
where its end cannot be told beyond doubt, everything that follows is hidden with it. *Prose* is
what exceptions and tracebacks say, where ``key=value`` and ``'key': value`` are hidden as far as
they can be told from the sentence around them.

A secret that no key announces (a positional argument) cannot be recognised. All of it takes time
linear in the text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

HIDDEN: Final = "***"
"""Stands where something was hidden."""

_USERINFO: Final = re.compile(r"(?<=://)[^\s/@:'\"]*+:[^\s/'\"]*@")
"""User and password of a URL. A password may hold an unescaped @, so up to the last one."""

_LONGEST_KEY: Final = 200
"""Characters; keeps the search for the beginning of a key from going over the text again."""
_DEEPEST: Final = 16
"""Celery shows three levels. Keeps secrets within secrets from taking quadratic time."""
_KNOWN_KEYS: Final = 4096
_KNOWN_PATTERNS: Final = 16
_KNOWN_TEXTS: Final = 256
_SHORT: Final = 8_192
"""Characters of a text that is remembered: all together some megabytes."""
_CUT: Final = "..."
"""At the end of what Celery has shortened."""

_SIGN: Final = re.compile("[:=]")
_BEFORE_VALUE: Final = re.compile(r"[:=>\s]*+")
_BACKWARDS_WORD: Final = re.compile(r"[\w.-]++")
_PAIR: Final = re.compile(rf"""[(\[]\s*+b?["'](?P<key>[^"'\\]{{1,{_LONGEST_KEY}}})["']\s*,\s*+""")
"""The first of a bracket's items: ``('key', value)``."""

# Celery escapes quotes and not the backslashes before them (celery/utils/saferepr.py), so after a
# backslash nobody knows whether a quote ends a text. None of these matches then.
_TOKEN: Final = re.compile(
    r"""
    (?P<open> (?:[^\W\d][\w.]*+)? [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<atom> (?: '[^']*+(?<!\\)' | "[^"]*+(?<!\\)"
                  | -?(?:\d[\w.+-]*+|inf|Infinity) | nan | NaN
                  | None | True | False | null | true | false | \.\.\. )
                (?= \s* (?: [,:)\]}] | \Z ) ) )
    | (?P<glue> [,:\s]++ | [^\W\d]\w*+= )
    """,
    re.VERBOSE,
)
_CLOSED_BY: Final = {"(": ")", "[": "]", "{": "}"}
_AFTER_VALUE: Final = re.compile(r"\s*(?:[,)\]}]|\Z)")
_QUOTED_IN_PROSE: Final = re.compile(
    r"""[bBrRuU]{0,2}(?P<quote>\\*["'])(?:(?!(?P=quote))(?:\\.|[^\\\n]))*+(?P=quote)?"""
)
_WORD_IN_PROSE: Final = re.compile(r"\S*+")
_QUOTES: Final = frozenset("'\"")
_PUNCTUATION: Final = ")]}'\",;:"


def without_credentials(text: str) -> str:
    """Take the user and password out of the URLs in *text*: errors of connections quote them."""
    return _USERINFO.sub(f"{HIDDEN}@", text) if "://" in text else text


class Redaction:
    """Hides the values of secret keys, and the credentials of URLs.

    Args:
        patterns: of secret keys (``fnmatch``), in any case; none: only URLs are looked at.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        folded = [each.casefold() for each in patterns]
        secret = re.compile("|".join(map(translate, folded)) or r"(?!)")
        self._is_secret = lru_cache(_KNOWN_KEYS)(secret.match)
        hints = {_longest_literal(each) for each in folded}
        # What contains another hint tells nothing more.
        self._hints = tuple(
            each for each in hints if not any(map(each.__contains__, hints - {each}))
        )
        # While something is down, failure after failure says the same.
        self._of_known_prose = lru_cache(_KNOWN_TEXTS)(self._of_prose)

    def of_values(self, text: str) -> str:
        """Return arguments or a result without secrets; in doubt without what follows, too."""
        text = without_credentials(text)
        if not (self._hints and (_CUT in text or self._hints_at_secrets(text))):
            return text
        starts = [*self._after_keys(text, bare=":="), *self._after_firsts(text)]
        return _hidden(text, sorted(starts), end_of=_end_of_value)

    def of_prose(self, text: str) -> str:
        """Return a message or traceback without what it tells as ``key=value``."""
        return self._of_known_prose(text) if len(text) <= _SHORT else self._of_prose(text)

    def _of_prose(self, text: str) -> str:
        text = without_credentials(text)
        if not self._hints_at_secrets(text):
            return text
        # "invalid token: found ..." is no secret, and a sentence is worth reading to its end.
        return _hidden(text, self._after_keys(text, bare="="), end_of=_end_in_prose)

    def _hints_at_secrets(self, text: str) -> bool:
        """Whether a secret key may be in there; a tenth of the time that finding it takes."""
        folded = text.casefold()
        return any(hint in folded for hint in self._hints)

    def _after_keys(self, text: str, *, bare: str) -> Iterator[int]:
        """Yield where the values of secret keys begin; *bare* may follow a key without quotes."""
        for sign in _SIGN.finditer(text):
            at = sign.start()
            before = text[max(0, at - _LONGEST_KEY) : at].rstrip()
            last = before[-1:]
            if last and last in "])":  # environ["key"] = value, (key)=(value)
                before = before[:-1]
                last = before[-1:]
            if last in _QUOTES:
                keys = _quoted_keys(before)
            elif sign[0] in bare:
                keys = _bare_keys(before)
            else:
                continue
            # Celery cuts a long key, and may go on after it.
            if any(self._is_secret(key.casefold()) or key.endswith(_CUT) for key in keys):
                found = _BEFORE_VALUE.match(text, at)
                yield at + 1 if found is None else found.end()

    def _after_firsts(self, text: str) -> Iterator[int]:
        """Yield where the second items of pairs begin whose first one is a secret key."""
        for found in _PAIR.finditer(text):
            if self._is_secret(found["key"].casefold()):
                yield found.end()


@lru_cache(_KNOWN_PATTERNS)
def redaction_of(patterns: tuple[str, ...]) -> Redaction:
    """Return the one of these patterns: who tells the same texts need not look at each anew."""
    return Redaction(patterns)


def _longest_literal(pattern: str) -> str:
    """Return what every text that matches contains; empty where that cannot be told."""
    return max(re.split(r"[*?]|\[[^\]]*+\]?", pattern), key=len)


def _quoted_keys(before: str) -> tuple[str, ...]:
    """Return what the key may be whose closing quote is the last character.

    It begins after the nearest quote of its kind that is not escaped. Within a text that was
    quoted once more all are, so it may begin after any quote as well.
    """
    quote, inside = before[-1], before[:-1]
    opening = inside.rfind(quote)
    nearest = max(opening, inside.rfind("'" if quote == '"' else '"', opening + 1))
    while opening > 0 and inside[opening - 1] == "\\":
        opening = inside.rfind(quote, 0, opening)
    whole = inside[opening + 1 :].rstrip("\\")
    return (whole,) if nearest == opening else (whole, inside[nearest + 1 :].rstrip("\\"))


def _bare_keys(before: str) -> tuple[str, ...]:
    """Return what the key may be that stands at the end: with what it belongs to, and alone."""
    found = _BACKWARDS_WORD.match(before[::-1])
    if found is None:
        return ()
    word = found[0][::-1]
    return word, word.rpartition(".")[2].lstrip("-")


def _hidden(text: str, starts: Iterable[int], *, end_of: Callable[[str, int], int]) -> str:
    """Hide what begins at *starts*, in ascending order; they may lie within one another.

    A key within the value of another is looked at as well: what seemed to be the first value may
    have been a part of the second key.
    """
    pieces: list[str] = []
    done = 0
    for start in starts:
        if start >= done:
            pieces += text[done:start], HIDDEN
        done = max(done, end_of(text, start))
        if done == len(text):
            break
    pieces.append(text[done:])
    return "".join(pieces)


def _end_of_value(text: str, start: int) -> int:
    end = _value_end(text, start)
    return len(text) if end is None else end


def _end_in_prose(text: str, start: int) -> int:
    end = _value_end(text, start)
    if end is not None:
        return end
    quoted = _QUOTED_IN_PROSE.match(text, start)
    if quoted is not None:
        return quoted.end()
    word = _WORD_IN_PROSE.match(text, start)
    return start if word is None else start + len(word[0].rstrip(_PUNCTUATION))


def _value_end(text: str, start: int) -> int | None:
    """Return where the literal ends that begins at *start*; None where that is in doubt."""
    closers: list[str] = []
    at = start
    while token := _TOKEN.match(text, at):
        at = token.end()
        match token.lastgroup:
            case "open" if len(closers) < _DEEPEST:
                closers.append(_CLOSED_BY[text[at - 1]])
                continue
            case "close" if closers and closers.pop() == token[0]:
                pass
            case "atom":
                pass
            case "glue" if closers:
                continue
            case _:
                return None
        if not closers:
            return at if _AFTER_VALUE.match(text, at) else None
    return None
