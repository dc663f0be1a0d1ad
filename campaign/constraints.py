"""Linear constraints as people write them: `La + Ce <= 0.7`, `Ni >= 0.1 or Co >= 0.1`, `0.2 <= Ni + Fe <= 0.8`.

    constraint = comparison { "or" comparison }
    comparison = sum relation sum { relation sum }        relation = <= | >= | == | < | >
    sum        = [sign] term { sign term }                sign     = + | -
    term       = number [ "/" number ] [ [ "*" ] name ] | name [ "/" number ]

Numbers are exact: 0.7 is seven tenths. Nothing a user writes is ever evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from campaign.words import suggestion

MAX_LENGTH = 500
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+\.?[0-9]*|\.[0-9]+)|(?P<word>(?:or|and)\b)|(?P<name>[^\W\d]\w*)|(?P<sign>[<>=]=|[≤≥<>*/+-]))"
)
_RELATIONS = {"<=": "<=", "≤": "<=", ">=": ">=", "≥": ">=", "==": "==", "<": "<", ">": ">"}


class ConstraintError(ValueError):
    """A constraint that cannot be read.

    Args:
        text: the constraint.
        column: where reading stopped, from 1.
        what: what was found and what was expected there.
        fix: what to write instead.
    """

    def __init__(self, text: str, column: int, what: str, fix: str) -> None:
        self.text, self.column, self.what, self.fix = text, column, what, fix
        super().__init__(f"{what} at column {column} of {text!r}")

    @property
    def caret(self) -> str:
        """The constraint with a caret under the place, on two lines."""
        return f"{self.text}\n{'^':>{self.column}}"


@dataclass(frozen=True, slots=True)
class HalfSpace:
    """sum of coefficient * value <= bound; `<` instead of `<=` where `strict`."""

    coefficients: Mapping[str, Fraction]
    bound: Fraction
    strict: bool = False

    def holds(self, values: Mapping[str, Fraction]) -> bool:
        """Whether the inequality is true; a name without a value counts as zero."""
        total = sum((c * values.get(name, Fraction(0)) for name, c in self.coefficients.items()), Fraction(0))
        return total < self.bound or (total == self.bound and not self.strict)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint as written, and as alternatives: it holds when all half-spaces of any one alternative hold."""

    text: str
    alternatives: tuple[tuple[HalfSpace, ...], ...]

    def holds(self, values: Mapping[str, Fraction]) -> bool:
        """Whether the design of these exact values is allowed."""
        return any(all(h.holds(values) for h in alternative) for alternative in self.alternatives)


def parse(text: str, names: Sequence[str]) -> Constraint:
    """Read a constraint over `names`.

    Raises:
        ConstraintError: it does not follow the grammar, names something else, or compares nothing.
    """
    if len(text) > MAX_LENGTH:
        raise ConstraintError(text[:60], 1, f"a constraint of {len(text):,} characters", "split it in several")
    return _Parser(text, names).constraint()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class _Sum:
    """sum of coefficient * value + constant."""

    coefficients: Mapping[str, Fraction]
    constant: Fraction

    def minus(self, other: _Sum) -> _Sum:
        names = dict.fromkeys([*self.coefficients, *other.coefficients])
        zero = Fraction(0)
        merged = {n: self.coefficients.get(n, zero) - other.coefficients.get(n, zero) for n in names}
        return _Sum({n: c for n, c in merged.items() if c}, self.constant - other.constant)


class _Parser:
    """Recursive descent over the tokens of one constraint."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text, self.names = text, names
        self.tokens = self._tokens()
        self.at = 0

    def constraint(self) -> Constraint:
        alternatives = [self._comparison()]
        while self._take("or"):
            alternatives.append(self._comparison())
        if self.token.kind != "end":
            raise self._unexpected("'or', or the end")
        return Constraint(self.text, tuple(alternatives))

    def _comparison(self) -> tuple[HalfSpace, ...]:
        left = self._sum()
        if self.token.text not in _RELATIONS:
            raise self._unexpected("one of <= >= == < >")
        halves: list[HalfSpace] = []
        while self.token.text in _RELATIONS:
            sign = self._next()
            right = self._sum()
            halves += self._half_spaces(left, sign, right)
            left = right
        return tuple(halves)

    def _half_spaces(self, left: _Sum, sign: _Token, right: _Sum) -> list[HalfSpace]:
        relation = _RELATIONS[sign.text]
        difference = left.minus(right)
        if not difference.coefficients:
            raise self._error(sign, "the comparison says nothing of any component", f"compare {self._example()}")
        halves = []
        if relation in ("<", "<=", "=="):
            halves.append(HalfSpace(difference.coefficients, -difference.constant, relation == "<"))
        if relation in (">", ">=", "=="):
            flipped = {n: -c for n, c in difference.coefficients.items()}
            halves.append(HalfSpace(flipped, difference.constant, relation == ">"))
        return halves

    def _sum(self) -> _Sum:
        total = _Sum({}, Fraction(0))
        sign = -1 if self._take("-") else 1
        if sign == 1:
            self._take("+")
        while True:
            factor, name = self._term()
            term = _Sum({name: -sign * factor}, Fraction(0)) if name else _Sum({}, -sign * factor)
            total = total.minus(term)
            if self.token.text not in ("+", "-"):
                return total
            sign = 1 if self._next().text == "+" else -1

    def _term(self) -> tuple[Fraction, str | None]:
        if self.token.kind == "number":
            factor = Fraction(self._next().text) / self._divisor()
            if self._take("*") or self.token.kind == "name":
                return factor, self._name()
            return factor, None
        name = self._name()
        return 1 / self._divisor(), name

    def _divisor(self) -> Fraction:
        if not self._take("/"):
            return Fraction(1)
        if self.token.kind != "number" or not Fraction(self.token.text):
            raise self._unexpected("a number other than zero")
        return Fraction(self._next().text)

    def _name(self) -> str:
        if self.token.kind != "name":
            raise self._unexpected("a component or a number")
        if self.token.text not in self.names:
            fix = suggestion(self.token.text, self.names)
            raise self._error(self.token, f"{self.token.text!r} is not a component of this space", fix)
        return self._next().text

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def _next(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def _take(self, text: str) -> bool:
        found = self.token.text == text
        self.at += found
        return found

    def _tokens(self) -> list[_Token]:
        tokens, position = [], 0
        end = len(self.text.rstrip())
        while position < end:
            match = _TOKEN.match(self.text, position)
            if not match:
                rest = self.text[position:].lstrip()
                column = len(self.text) - len(rest) + 1
                raise ConstraintError(self.text, column, f"{rest[0]!r} means nothing", self._hint(rest[0]))
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
            position = match.end()
        return [*tokens, _Token("end", "", end + 1)]

    def _hint(self, character: str) -> str:
        return {
            ",": "write decimals with a point, and each constraint as its own list item",
            "=": "write == for equal",
            "!": "write two comparisons joined by or",
            "(": "write sums out, without brackets",
            "%": "write a fraction: 0.7 for 70 %",
        }.get(character, f"write for example {self._example()}")

    def _unexpected(self, expected: str) -> ConstraintError:
        if self.token.text == "and":
            return self._error(self.token, "'and' is not needed", "write each constraint as its own list item")
        found = f"found {self.token.text!r}" if self.token.text else "it ends"
        return self._error(self.token, f"{found} where {expected} should be", f"write for example {self._example()}")

    def _error(self, token: _Token, what: str, fix: str) -> ConstraintError:
        return ConstraintError(self.text, token.column, what, fix)

    def _example(self) -> str:
        return f"'{' + '.join(self.names[:2])} <= 0.7'"
