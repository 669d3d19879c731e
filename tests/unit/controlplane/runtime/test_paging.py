import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, page_token, read_page
from controlplane.runtime.refusal import Refusal


def _token(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@given(st.text(), st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_token_brings_its_key_back(name: str, number: int) -> None:
    page = read_page(7, page_token([name, number]), (str, int))
    assert (page.size, page.after) == (7, (name, number))


def test_without_a_size_the_default_is_taken() -> None:
    assert read_page(0, "", (str,)).size == DEFAULT_PAGE_SIZE


def test_a_page_has_an_upper_limit() -> None:
    assert read_page(MAX_PAGE_SIZE, "", (str,)).size == MAX_PAGE_SIZE
    with pytest.raises(Refusal) as caught:
        read_page(MAX_PAGE_SIZE + 1, "", (str,))
    assert caught.value.reason == "PAGE_SIZE_INVALID"


@pytest.mark.parametrize(
    "untrusted",
    [
        "!",
        "\u00e4",
        _token("text"),
        _token({"a": 1}),
        _token(["a"]),
        _token(["a", "b"]),
        _token(["a", True]),
        _token(["a", 2**63]),
        _token(["a", 1, 2]),
        "A" * 3000,
        base64.urlsafe_b64encode(b"[" * 1400).decode(),
    ],
)
def test_tokens_that_are_not_ours_are_refused(untrusted: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_page(1, untrusted, (str, int))
    assert caught.value.reason == "PAGE_TOKEN_INVALID"


@given(st.text())
def test_any_text_is_a_token_or_is_refused(untrusted: str) -> None:
    with suppress(Refusal):
        assert len(read_page(1, untrusted, (str, int)).after) in {0, 2}
