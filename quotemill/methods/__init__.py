"""The methods of a reader by what they read: bars, tables, futures, options."""
