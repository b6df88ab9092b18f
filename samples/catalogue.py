"""An invented gift shop: its products, services, customers, countries and staff remarks.

Belongs here: words and numbers that could stand on an invoice, all made up. Does not belong here:
when they are used.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

HOME = "United Kingdom"
UNSPECIFIED = "Unspecified"

_PRODUCTS = 700
_CUSTOMERS = 1500
_TRAVELLERS = 8
_WITH_BLANK = 0.2  # shares of the products, and of the customers
_SPELLED_TWICE = 0.1
_AT_HOME = 0.9
_MOTIFS = (
    "ALPINE",
    "AMBER GLASS",
    "BLUE GINGHAM",
    "BRASS",
    "BUMBLE BEE",
    "COPPER",
    "CORAL",
    "DAISY CHAIN",
    "DARK GREEN",
    "FIELD MOUSE",
    "FOX AND HARE",
    "HARBOUR",
    "HONEYCOMB",
    "IVORY LACE",
    "LAVENDER",
    "LEMON GROVE",
    "LIGHTHOUSE",
    "MIDNIGHT",
    "MUSTARD STRIPE",
    "OAK LEAF",
    "ORCHARD",
    "PEACOCK",
    "POPPY",
    "RHUBARB",
    "RUSTIC",
    "SAGE",
    "SEASHELL",
    "SILVER BIRCH",
    "SNOWDROP",
    "TARTAN",
    "TEAL",
    "TOADSTOOL",
)
_THINGS = (
    ("APRON", 6.95),
    ("BALL OF TWINE", 0.85),
    ("BIRD FEEDER", 5.45),
    ("BISCUIT BARREL", 8.5),
    ("BOOKENDS PAIR", 9.95),
    ("BUTTER DISH", 4.65),
    ("CANDLE HOLDER", 1.65),
    ("CHOPPING BOARD", 7.25),
    ("CUSHION COVER", 4.95),
    ("DOOR WEDGE", 2.45),
    ("EGG TIMER", 3.35),
    ("ENAMEL JUG", 5.95),
    ("GIFT TAGS PACK OF 8", 0.55),
    ("GREETING CARD", 0.42),
    ("HANGING BASKET", 3.95),
    ("JAM JAR LABELS", 0.65),
    ("KEY HOOK", 1.95),
    ("LETTER RACK", 4.25),
    ("LUNCH TIN", 2.95),
    ("MAGNETS SET OF 4", 1.25),
    ("NAPKIN RINGS SET OF 6", 3.75),
    ("NOTEBOOK", 1.45),
    ("PAPER LANTERN", 0.95),
    ("PENCIL TIN", 1.85),
    ("PLANT POT", 2.1),
    ("SEED TRAY", 1.05),
    ("STORAGE CRATE", 12.75),
    ("TEA TOWEL", 2.25),
    ("TRINKET BOX", 1.35),
    ("WALL CLOCK", 14.95),
    ("WASH BAG", 3.15),
    ("WIND CHIME", 2.65),
)
_ODD_NAMES = (
    'PHOTO FRAME 9" LIMED OAK',
    'FOLDING RULE 12" BOXWOOD ',
    'ENAMEL MUG "BEST AUNT"',
    "CAKE STAND, THREE TIERS",
    "GARDEN TROWEL,ASH HANDLE",
    "SPICE RACK , SIX JARS ",
    'DOORMAT "WIPE, PLEASE"',
    "CUSHION, SEASIDE  STRIPE",
    " SET OF 3 WILLOW BASKETS",
    " KITCHEN SCALES CREAM ",
    "CAFÉ SIGN ENAMEL",
    "TEA TIN GRÜNER  GARTEN",
)
_LETTERS = ("", "", "", "", "A", "B", "C", "D", "E", "F", "BL", "GR")
_ABROAD = {
    "Germany": 95,
    "France": 86,
    "EIRE": 82,
    "Spain": 25,
    "Netherlands": 24,
    "Belgium": 21,
    "Switzerland": 20,
    "Portugal": 15,
    "Australia": 13,
    "Norway": 11,
    "Italy": 8,
    "Channel Islands": 8,
    "Finland": 7,
    "Cyprus": 6,
    "Sweden": 5,
    "Austria": 4,
    "Denmark": 4,
    "Japan": 4,
    "Poland": 3,
    "Iceland": 2,
    "Canada": 2,
    "Greece": 1,
    "Malta": 1,
    "RSA": 1,
}

REMARKS = (
    "chipped in transit",
    "Chipped",
    "CHIPPED",
    "counted twice",
    "check shelf",
    "damp, binned",
    "faded stock",
    "given to showroom",
    "label mix-up",
    "moth holes",
    "rust on lids",
    "sold online as a set",
    "torn packaging/binned",
    "wrong box (see 4 others)",
)
UNKNOWN_REMARKS = ("?", "??", "???", "?not on shelf", "? sold as pairs")
BROKEN_NUMBERS = ("n/a", "12,50", "£4.95", "1O", "six", "--")


@dataclass(frozen=True, slots=True)
class Product:
    """Something that is sold.

    Attributes:
        code: five digits and at most two letters.
        names: its description; some have two spellings.
        price: pounds for a piece.
    """

    code: str
    names: tuple[str, ...]
    price: float


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody with an account.

    Attributes:
        number: five digits.
        countries: where they live; two for the few that are booked in two.
    """

    number: int
    countries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A code that is not a product.

    Attributes:
        code: as the till writes it.
        name: its description.
        prices: the least and the most that it costs, in pounds.
    """

    code: str
    name: str
    prices: tuple[float, float]


POSTAGE = Service("POST", "POSTAGE", (12.0, 40.0))
WEB_POSTAGE = Service("DOT", "DOTCOM POSTAGE", (20.0, 900.0))
VOUCHER = Service("gift_0001_20", "Gift Voucher £20.00", (16.67, 16.67))
MANUAL = Service("M", "Manual", (0.5, 350.0))
DISCOUNT = Service("D", "Discount", (2.0, 120.0))
SAMPLES = Service("S", "SAMPLES", (3.0, 90.0))
BANK_CHARGES = Service("BANK CHARGES", "Bank Charges", (15.0, 900.0))
MARKET_FEE = Service("AMAZONFEE", "AMAZON FEE", (2500.0, 9000.0))
CHARITY = Service("CRUK", "CRUK Commission", (20.0, 900.0))
BAD_DEBT = Service("B", "Adjust bad debt", (500.0, 9500.0))


@cache
def products() -> tuple[Product, ...]:
    """All products, best sellers first."""
    rng = Random("products")
    plain = [(f"{motif} {thing}", price) for motif in _MOTIFS for thing, price in _THINGS]
    named = [
        _spelled(rng, name, price) for name, price in rng.sample(plain, _PRODUCTS - len(_ODD_NAMES))
    ]
    named += [((name,), rng.choice((1.25, 2.95, 4.95))) for name in _ODD_NAMES]
    rng.shuffle(named)
    numbers = rng.sample(range(52_000, 70_000), len(named))
    return tuple(
        Product(f"{number}{rng.choice(_LETTERS)}", names, price)
        for number, (names, price) in zip(numbers, named, strict=True)
    )


def _spelled(rng: Random, name: str, price: float) -> tuple[tuple[str, ...], float]:
    first = f"{name} " if rng.random() < _WITH_BLANK else name
    second = (name.replace(" ", "  ", 1),) if rng.random() < _SPELLED_TWICE else ()
    return (first, *second), price


@cache
def lettered_products() -> tuple[Product, ...]:
    """The products whose code ends in a letter."""
    return tuple(product for product in products() if product.code[-1].isalpha())


@cache
def customers() -> tuple[Customer, ...]:
    """All customers with one country, the busiest first."""
    rng = Random("customers")
    numbers = rng.sample(range(20_000, 30_000), _CUSTOMERS)
    abroad = rng.choices(list(_ABROAD), list(_ABROAD.values()), k=_CUSTOMERS)
    return tuple(
        Customer(number, (HOME if rng.random() < _AT_HOME else country,))
        for number, country in zip(numbers, abroad, strict=True)
    )


@cache
def travellers() -> tuple[Customer, ...]:
    """The few customers that are booked in two countries."""
    rng = Random("travellers")
    return tuple(
        Customer(number, tuple(rng.sample(list(_ABROAD), 2)))
        for number in range(30_001, 30_001 + _TRAVELLERS)
    )
