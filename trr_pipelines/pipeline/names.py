"""Which text can be the name of a show or person: one rule for imports, the API and the admin app."""

from __future__ import annotations

import unicodedata
from typing import Final

from trr_pipelines.errors import InputError
from trr_pipelines.foreign_text import can_be_shown, shown

MAX_NAME: Final = 300
"""Characters of a name."""

# Invisible marks that only hint at a direction; names in Arabic and Hebrew contain them.
_MARKS: Final = "\u061c\u200e\u200f"


def displayable_name(name: str) -> str:
    """A name of a show or person in NFC, with single spaces.

    Raises InputError for a name that is blank, longer than `MAX_NAME` characters, without a visible character, or with
    one that cannot be shown: a control character, a line break, or one that changes the direction.
    """
    stripped = unicodedata.normalize("NFC", name).strip()
    unfit = next((one for one in stripped if not can_be_shown(one) and one not in _MARKS), None)
    if unfit is not None:
        raise InputError(f"the name '{shown(stripped)[:80]}' has a character that cannot be shown: U+{ord(unfit):04X}")
    clean = " ".join(stripped.split())
    if not 1 <= len(clean) <= MAX_NAME:
        raise InputError(f"the name has {len(clean)} characters; 1 to {MAX_NAME} are needed")
    if not any(unicodedata.category(character)[0] in "LNPS" for character in clean):
        raise InputError("the name has no visible character")
    return clean
