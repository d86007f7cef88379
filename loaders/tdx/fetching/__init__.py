"""Bars and trades of a load: from the files of the client, and from the service."""
