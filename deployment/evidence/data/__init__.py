"""What a report shows: the details of a run, and ``data.json``, from which its page is rendered."""
