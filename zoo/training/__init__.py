"""One run: built, trained, resumed, evaluated."""
