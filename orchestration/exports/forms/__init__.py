"""The forms of an export, each a module that writes the files of a part."""

from orchestration.exports.forms import csv, parquet, qlib

FORMS = {"parquet": parquet.FORM, "csv": csv.FORM, "qlib": qlib.FORM}
