-- For outside readers of market.changes, who ask for numbers above the last that they have seen.
create index changes_no_idx on ops.changes ((xid::text::bigint), table_name);

-- a warehouse may have several market schemas, and nothing asked for the last one named
delete from ops.settings where key = 'market_schema';
