"""The one exception that every part of hfcourse may raise for something that the user can mend."""


class InputError(ValueError):
    """Something that was given is wrong: one sentence with the place, what was found and what was expected.

    A recipe prints the sentence without a traceback and exits with code 2; nothing written so far is lost.
    """
