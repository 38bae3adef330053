"""ISO 4217: the currencies in use, and how many decimals each counts in."""

from typing import Final

_TWO: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT
    MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH
    USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_OTHERS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
# Currencies that ended lately, still found in old logs.
_FORMER: Final = "ANG BGN CUC HRK SLL VEF ZWL"

_DIGITS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_FORMER.split(), 2),
    **{code: digits for digits, codes in _OTHERS.items() for code in codes.split()},
}

CODES: Final = frozenset(_DIGITS)
"""Every code a tariff may name."""


def minor_digits(currency: str) -> int:
    """Decimals of the minor unit: 2 for EUR (cents), 0 for JPY, 3 for KWD.

    Raises:
        KeyError: No such currency.
    """
    return _DIGITS[currency]
