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
# What systems of romanisation write for one another in other languages than these: Q, X, J, CH and HS in Chinese, J and
# G in Arabic, J and CH in Korean; a final NG, W for what is no consonant, H.
_JOINED = (
    ("NG", "N"), ("PH", "F"), ("TSCH", "K"), ("TCH", "K"), ("TSH", "K"), ("DZH", "K"), ("TZ", "K"), ("TS", "K"),
    ("DZ", "K"), ("DJ", "K"), ("TJ", "K"),
)  # fmt: skip
_ROUGH_LETTERS, _ROUGH_CLASSES = "CGQSZXJDBVMWHYAEIOU", "KKKKKKKTPFN"
_ROUGHLY_KEPT = "KTPFNLR"


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
    return _once(f"translate({sound}, '{_LETTERS}', '{_CLASSES}')", _KEPT)


def rough_sound_sql(name: str) -> str:
    """SQL for the consonants of a name in A-Z in fewer classes, without spaces; null where it has none.

    What `sound_sql` tells apart because it is told apart in most of Europe is one here: QINGZHOU and CHINGCHOU, XIXUAN
    and HSIHSUAN, NAJAT and NAGAT, JANG and CHANG, ANHELINA and ANGELINA have the same.
    """
    sound = f"replace({name}, ' ', '')"
    for letters, one in _JOINED:
        sound = f"replace({sound}, '{letters}', '{one}')"
    rough = _once(f"translate({sound}, '{_ROUGH_LETTERS}', '{_ROUGH_CLASSES}')", _ROUGHLY_KEPT)
    return f"nullif({rough}, '')"


def _once(sound: str, kept: str) -> str:
    """Doubled letters once. Twice: three of a kind become two, then one."""
    for letter in kept * 2:
        sound = f"replace({sound}, '{letter * 2}', '{letter}')"
    return sound
