{{ option_quotes(source('raw_ib', 'chain_close')) }}
