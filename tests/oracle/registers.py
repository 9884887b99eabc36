"""Residence by registration, slow and written from its text: every day of a life is looked up in the register."""

from dataclasses import dataclass, replace

RESIDENT, ABROAD, UNKNOWN = "resident", "non_resident", "undetermined"


@dataclass(frozen=True)
class Rule:
    """Days of a gap that is tolerated, and days within which a birth is registered."""

    gap: int
    birth: int


@dataclass(frozen=True)
class Life:
    """Registrations (first day, day of de-registration or None), and birth and death; days since observation began."""

    registrations: tuple[tuple[int, int | None], ...]
    born: int | None = None
    is_born_here: bool = False
    died: int | None = None

    def known_on(self, last: int) -> "Life":
        """The same life as the records of a day have it: what comes later is not on record."""
        on_record = tuple(
            (first, None if end is None or end > last else end)
            for first, end in self.registrations
            if first <= last
        )
        return replace(
            self, registrations=on_record, died=None if self.died is None or self.died > last else self.died
        )


def follow(life: Life, rule: Rule, last: int) -> dict[int, str]:
    """The status at the end of each day from the first to the last that is observed, or to death."""
    known = life.known_on(last)
    first = -1 if life.born is None else life.born
    final = last if known.died is None else known.died
    return {day: status_at(known, rule, day, last) for day in range(first, final + 1)}


def status_at(life: Life, rule: Rule, day: int, last: int) -> str:
    """The status at the end of a day, by the registrations known at the end of the last one."""
    if life.born is not None and not life.is_born_here and day == life.born:
        return ABROAD
    if is_registered(life, day):
        return RESIDENT
    before = [one for one in range(-50, day) if is_registered(life, one)]
    after = [one for one in range(day + 1, last + 1) if is_registered(life, one)]
    if life.born is not None:
        before = [one for one in before if one >= life.born]
    if before and day == life.died and before[-1] == day - 1:  # de-registered on the day of death
        return RESIDENT
    if before and after:
        return RESIDENT if after[0] - before[-1] - 1 <= rule.gap else ABROAD
    if before:
        is_over = before[-1] + 1 + rule.gap <= last or life.died is not None
        return ABROAD if is_over else UNKNOWN
    if life.born is None or not life.is_born_here:
        return ABROAD
    if after and after[0] - life.born <= rule.birth:
        return RESIDENT
    return ABROAD if after or life.born + rule.birth <= last else UNKNOWN


def is_registered(life: Life, day: int) -> bool:
    """Whether any registration is in force on a day: the day of de-registration does not count."""
    return any(first <= day and (end is None or day < end) for first, end in life.registrations)
