"""The tables of the toy source."""

import pyarrow as pa

from loaders.landing.rejects import rejected_rows
from loaders.warehouse.tables import landed_table

COLUMNS = [("symbol", pa.string()), ("slot", pa.string()), ("price", pa.int64())]
PRICE = landed_table("raw_toy", "price", COLUMNS, key=("symbol", "slot"))
SPOT = landed_table("raw_toy", "spot", COLUMNS, key=("symbol", "slot"))
TABLES = (PRICE, SPOT, rejected_rows("raw_toy"))
