"""What of a name survives transliteration: the classes of its consonants, in order."""

# Two or three letters that one or another system of transliteration writes for one sound; longer ones first.
_TOGETHER = (
    ("SHCH", "S"), ("SCH", "S"), ("TCH", "S"), ("TSH", "S"), ("DZH", "S"), ("SH", "S"), ("ZH", "S"), ("CH", "S"),
    ("CZ", "S"), ("SZ", "S"), ("TS", "S"), ("TZ", "S"), ("DZ", "S"), ("CE", "S"), ("CI", "S"), ("CY", "S"),
    ("KH", "K"), ("GH", "K"), ("CK", "K"), ("TH", "T"), ("DH", "T"), ("PH", "F"), ("BH", "B"), ("X", "KS"),
)  # fmt: skip
# Each letter's class; vowels, and J, Y, W between them, have none.
_LETTERS, _CLASSES = "CGHQZDVWAEIOUYJ", "KKKKSTFF"
_KEPT = "KSTFBPMNLR"


def sound_sql(name: str, keep_spaces: bool = False) -> str:
    """SQL for the consonants of a name in A-Z by class, doubled ones once; empty where it has none.

    OLEKSANDR and ALEXANDER, SERHII and SERGEY, MOHAMMED and MUHAMAD, IVANOV and IVANOFF have the same; so have some
    names that are different, which the frequency of the value allows for.
    """
    # An H that ends a word is not spoken: AMINAH, AMINA.
    sound = f"regexp_replace({name}, 'H( |\\z)', '\\1', 'g')"
    if not keep_spaces:
        sound = f"replace({sound}, ' ', '')"
    for letters, one in _TOGETHER:
        sound = f"replace({sound}, '{letters}', '{one}')"
    sound = f"translate({sound}, '{_LETTERS}', '{_CLASSES}')"
    # Twice: three of a kind become two, then one.
    for letter in _KEPT * 2:
        sound = f"replace({sound}, '{letter * 2}', '{letter}')"
    return sound
