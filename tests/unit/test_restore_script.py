from orchestration.backup.dump_restore import _without_unknown_settings


def test_settings_of_newer_servers_are_left_out_of_statements_and_never_of_rows() -> None:
    row = b"ALTER TABLE ONLY t ALTER COLUMN a SET (pg_attver=1);\n"
    script = [
        b"SET transaction_timeout = 0;\n",
        b"ALTER TABLE ONLY t ALTER COLUMN a SET (pg_attver=26114560);\n",
        b"ALTER TABLE ONLY t ALTER COLUMN b SET (n_distinct=5, pg_attver=26114560);\n",
        b"ALTER TABLE ONLY t ALTER COLUMN c SET (pg_attver=26114560, n_distinct=5);\n",
        b"COPY t (a) FROM stdin;\n",
        b"SET transaction_timeout = 0;\n",
        row,
        b"\\.\n",
        row,
    ]
    assert list(_without_unknown_settings(script)) == [
        b"ALTER TABLE ONLY t ALTER COLUMN b SET (n_distinct=5);\n",
        b"ALTER TABLE ONLY t ALTER COLUMN c SET (n_distinct=5);\n",
        b"COPY t (a) FROM stdin;\n",
        b"SET transaction_timeout = 0;\n",
        row,
        b"\\.\n",
    ]
