"""Made-up measurements, as tests of the ledger have them."""

from tests.ledger.conftest import make

__all__ = ["make"]
