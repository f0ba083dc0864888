"""A filter of system calls as the kernel takes it: classic BPF, with one register and jumps only forward. seccomp(2)"""

import errno
import struct
from collections.abc import Iterator

from ..linux.numbers import AUDIT_ARCH, table
from .seccomp_profiles import ALL_BITS, ALLOW, KILL, TRAP, UNKNOWN, Cases, Check, Condition, Rule

# The few instructions needed, of linux/bpf_common.h.
LOAD = 0x20  # register = 4 bytes of struct seccomp_data
AND = 0x54
JUMP = 0x05
JUMP_EQUAL = 0x15
JUMP_AT_LEAST = 0x35
RETURN = 0x06

# struct seccomp_data, seccomp(2)
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, operand


def assemble(ranges: list[tuple[int, Rule]], arch: int) -> bytes:
    """The program that finds the range of a call and does as its rule says.

    Numbers mean something else in another architecture (int 0x80 on x86_64): its calls are UNKNOWN, one and all. Those of
    x32 have bit 30 set, and so lie above the highest range, which must be UNKNOWN.
    """
    program = _Backwards()
    tree = program.tree(ranges)
    body = program.then(LOAD, _NUMBER, tree)
    program.then(LOAD, _ARCH, program.jump(JUMP_EQUAL, arch, body, program.rule(UNKNOWN)))
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in reversed(program.code))


class _Backwards:
    """A program written from its end: as jumps only go forward, every target is there before the jump to it.

    A place is an index into `code`, whose first element is the last instruction.
    """

    def __init__(self) -> None:
        self.code: list[tuple[int, int, int, int]] = []
        self.places: dict[Rule, int] = {}

    def put(self, code: int, operand: int, yes: int = 0, no: int = 0) -> int:
        self.code.append((code, yes, no, operand))
        return len(self.code) - 1

    def distance(self, place: int) -> int:
        """How many instructions lie between the one that comes next and `place`."""
        return len(self.code) - 1 - place

    def near(self, place: int) -> int:
        """`place`, or a plain jump to it where it is too far for the 8 bits of a comparison."""
        return place if self.distance(place) < 250 else self.put(JUMP, self.distance(place))

    def jump(self, code: int, operand: int, yes: int, no: int) -> int:
        yes, no = self.near(yes), self.near(no)
        return self.put(code, operand, self.distance(yes), self.distance(no))

    def then(self, code: int, operand: int, place: int) -> int:
        """An instruction that does not jump, and after it on to `place`."""
        if self.distance(place):
            self.put(JUMP, self.distance(place))
        return self.put(code, operand)

    def rule(self, rule: Rule) -> int:
        """Where `rule` is carried out: once in a program, again only when that place is out of reach."""
        if rule not in self.places or self.distance(self.places[rule]) >= 250:
            self.places[rule] = self.made(rule)
        return self.places[rule]

    def made(self, rule: Rule) -> int:
        match rule:
            case Check():
                return self.check(rule)
            case Cases():
                return self.cases(rule)
        return self.put(RETURN, rule)

    def check(self, check: Check) -> int:
        then, place = self.rule(check.then), self.rule(check.otherwise)
        for value in reversed(check.values):
            place = self.jump(JUMP_EQUAL, value, then, place)
        if check.mask != ALL_BITS:
            place = self.then(AND, check.mask, place)
        # Both architectures are little endian: the lower half of an argument comes first.
        return self.then(LOAD, _ARGUMENTS + 8 * check.argument, place)

    def cases(self, rule: Cases) -> int:
        place = self.rule(rule.otherwise)
        for verdict, conditions in reversed(rule.cases):
            met, unmet = self.rule(verdict), place
            for condition in reversed(conditions):
                met = self.condition(condition, met, unmet)
            place = met
        return place

    def condition(self, condition: Condition, yes: int, no: int) -> int:
        """A filter sees 32 bits at a time: the upper half is looked at first, the lower only where that leaves it open."""
        word, value = condition.word, condition.value
        low = _ARGUMENTS + 8 * condition.argument
        if word in ("NE", "LT", "LE"):
            word, yes, no = {"NE": "EQ", "LT": "GE", "LE": "GT"}[word], no, yes
        if word in ("GT", "GE"):
            value += word == "GT"
            if value >> 64:
                return no
            place = self.then(LOAD, low, self.jump(JUMP_AT_LEAST, value & ALL_BITS, yes, no))
            place = self.jump(JUMP_EQUAL, value >> 32, place, no)
            if value >> 32 < ALL_BITS:
                place = self.jump(JUMP_AT_LEAST, (value >> 32) + 1, yes, place)
            return self.then(LOAD, low + 4, place)
        mask = condition.mask if word == "MASKED_EQ" else ALL_BITS << 32 | ALL_BITS
        for half, shift in ((low, 0), (low + 4, 32)):
            bits = mask >> shift & ALL_BITS
            place = self.jump(JUMP_EQUAL, value >> shift & bits, yes, no)
            if bits != ALL_BITS:
                place = self.then(AND, bits, place)
            yes = self.then(LOAD, half, place)
        return yes

    def tree(self, ranges: list[tuple[int, Rule]]) -> int:
        if len(ranges) == 1:
            return self.rule(ranges[0][1])
        middle = len(ranges) // 2
        upper = self.tree(ranges[middle:])
        lower = self.tree(ranges[:middle])
        return self.jump(JUMP_AT_LEAST, ranges[middle][0], upper, lower)


def listing(program: bytes) -> str:
    """The program as text, an instruction a line, with the names of calls, architectures and errors."""
    return "\n".join(f"{at:4d}  {line}" for at, line in enumerate(_lines(program)))


def _lines(program: bytes) -> Iterator[str]:
    held = {0: ""}  # what the register holds, by line: found by following every jump
    names: dict[int, str] = {}
    for at, (code, yes, no, operand) in enumerate(_INSTRUCTION.iter_unpack(program)):
        register = held.get(at, "")
        following = [at + 1]
        if code == LOAD:
            half = "upper half of " if operand % 8 else ""
            register = {_NUMBER: "number", _ARCH: "arch"}.get(operand, f"{half}argument {(operand - _ARGUMENTS) // 8}")
            yield f"load    {register}"
        elif code == AND:
            register = f"{register} & {operand:#x}"
            yield f"and     {operand:#x}"
        elif code == RETURN:
            following = []
            number = operand & 0xFFFF
            named = {ALLOW: "ALLOW", TRAP: "TRAP", KILL: "KILL"}
            yield f"return  {named.get(operand, f'ERRNO({errno.errorcode.get(number, number)})')}"
        elif code == JUMP:
            following = [at + 1 + operand]
            yield f"jump    {following[0]}"
        else:
            following = [at + 1 + yes, at + 1 + no]
            value = f"{operand:#x}"
            if register == "arch":
                value = next((machine for machine, arch in AUDIT_ARCH.items() if arch == operand), value)
                names = {number: name for name, number in table(value).items()}
            elif register == "number":
                value = f"{operand} {names.get(operand, '(no call)')}"
            sign = "==" if code == JUMP_EQUAL else ">="
            yield f"if      {register} {sign} {value}: {following[0]}, else {following[1]}"
        held.update(dict.fromkeys(following, register))
