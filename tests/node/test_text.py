"""Text of others."""

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.text import printable


@given(st.text("ab\r\n\x1b\x00\x9b\u202e\u2028é", max_size=20))
def test_whatever_comes_is_fit_for_a_terminal(text: str) -> None:
    """No line ends, no escape sequences, no reversed writing; what was fit is left as it was."""
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


def test_long_text_is_cut_and_says_so() -> None:
    """A log line has a bound too."""
    assert printable("x" * 2000, 5) == "xxxxx... (2000 characters)"
