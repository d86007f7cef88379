"""The pages: templates filled from the same functions as the API, in English or Chinese."""
