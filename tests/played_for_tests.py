"""Games in the terminal without one: what is typed comes from a list."""


def played(play, lines):
    """What is shown while `play(ask=, say=)` has these lines typed, and then no more."""
    said, typed = [], iter(lines)

    def ask(prompt):
        said.append(prompt)
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    play(ask=ask, say=said.append)
    return "\n".join(said)
