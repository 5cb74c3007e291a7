"""Figures in words."""


def number(value: float | str | None) -> str:
    """A value in four digits; nothing where there is none. Live reports have NaN as a text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"


def duration(seconds: float) -> str:
    """`48 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
