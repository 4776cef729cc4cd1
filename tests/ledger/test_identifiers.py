"""Resident ids and credit codes: right ones pass, every slip of one character is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LedgerError
from ledger.identifiers import (
    CREDIT_CODE_ALPHABET,
    IdentifierError,
    credit_check_character,
    resident_check_character,
    verify_credit_code,
    verify_resident_id,
)

# The two examples of GB 11643-1999.
RESIDENT_IDS = ("11010519491231002X", "440524188001010014")

# The example of GB 32100-2015, then codes that registered enterprises publish.
CREDIT_CODES = (
    "91350100M000100Y43",
    "91110000600037341L",
    "91330100799655058B",
    "9144030071526726XG",
    "91110000802100433B",
    "914403001922038216",
)


@pytest.mark.parametrize("number", RESIDENT_IDS)
def test_the_standards_own_resident_ids_pass(number: str) -> None:
    assert verify_resident_id(number) == number


@pytest.mark.parametrize("code", CREDIT_CODES)
def test_known_credit_codes_pass(code: str) -> None:
    assert verify_credit_code(code) == code


def test_blanks_and_small_letters_are_normalized() -> None:
    assert verify_resident_id(" 11010519491231002x\n") == "11010519491231002X"
    assert verify_credit_code("\u300091350100m000100y43 ") == "91350100M000100Y43"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "X",
        "11010519491231002",  # one too short
        "11010519491231002XX",  # one too long
        "110105 19491231002X",  # a blank inside
        "1101051949123100X2",  # X before the end
        "01010519491231002X",  # no division begins with 0
        "１１０１０５１９４９１２３１００２X",  # full-width digits
        "११०१०५१९४९१२३१००२X",  # digits of another script
        "11010519491231002X\n\x00",
        "130503670401001",  # the fifteen digits of before 1999
    ],
)
def test_a_malformed_resident_id_is_refused(text: str) -> None:
    with pytest.raises(IdentifierError):
        verify_resident_id(text)


@pytest.mark.parametrize("birth_date", ["19490229", "19491301", "19490100", "00000101"])
def test_a_resident_id_with_an_impossible_birth_date_is_refused(birth_date: str) -> None:
    body = f"110105{birth_date}002"
    with pytest.raises(IdentifierError):
        verify_resident_id(body + resident_check_character(body))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "91350100M000100Y4",
        "91350100M000100Y433",
        "91350I00M000100Y43",  # a letter in the division
        "91350100O000100Y43",  # a letter that the alphabet leaves out
        "9135-0100M000100Y43",
        "９1350100M000100Y43",
    ],
)
def test_a_malformed_credit_code_is_refused(text: str) -> None:
    with pytest.raises(IdentifierError):
        verify_credit_code(text)


def test_any_one_wrong_digit_of_a_resident_id_is_found() -> None:
    for number in RESIDENT_IDS:
        for place in range(17):
            for digit in set("123456789") - {number[place]}:
                with pytest.raises(IdentifierError):
                    verify_resident_id(number[:place] + digit + number[place + 1 :])


def test_any_one_wrong_character_of_a_credit_code_is_found() -> None:
    for code in CREDIT_CODES:
        for place in range(18):
            for character in set(CREDIT_CODE_ALPHABET) - {code[place]}:
                with pytest.raises(IdentifierError):
                    verify_credit_code(code[:place] + character + code[place + 1 :])


@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 15))
def test_two_digits_of_a_resident_id_in_the_wrong_order_are_found(body: str, place: int) -> None:
    swapped = body[:place] + body[place + 1] + body[place] + body[place + 2 :]
    same = body[place] == body[place + 1]
    assert (resident_check_character(body) == resident_check_character(swapped)) is same


@given(st.text(max_size=24))
def test_whatever_the_text_only_an_identifier_error_comes_out(text: str) -> None:
    for verify in (verify_resident_id, verify_credit_code):
        try:
            verify(text)
        except IdentifierError:
            continue


def test_a_refused_number_is_not_in_the_message() -> None:
    wrong = "110105194912310029"
    with pytest.raises(IdentifierError) as refused:
        verify_resident_id(wrong)
    assert refused.value.wrong_check_character
    assert wrong[6:14] not in str(refused.value)
    with pytest.raises(IdentifierError) as refused_date:
        verify_resident_id("110105194913310020")
    assert refused_date.value.__cause__ is None
    assert isinstance(refused_date.value, LedgerError)


@pytest.mark.parametrize("body", ["", "1" * 16, "1" * 16 + "X"])
def test_a_check_character_needs_a_whole_body(body: str) -> None:
    with pytest.raises(IdentifierError):
        resident_check_character(body)


def test_a_credit_codes_check_character_needs_a_whole_body() -> None:
    with pytest.raises(IdentifierError):
        credit_check_character("9" * 16 + "I")
