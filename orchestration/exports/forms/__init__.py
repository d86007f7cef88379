"""The forms of an export, each a module that writes the files of a part."""

from orchestration.exports.forms import csv, duckdb, excel, parquet, qlib, sqlite

FORMS = {
    "parquet": parquet.FORM,
    "csv": csv.FORM,
    "qlib": qlib.FORM,
    "excel": excel.FORM,
    "duckdb": duckdb.FORM,
    "sqlite": sqlite.FORM,
}
