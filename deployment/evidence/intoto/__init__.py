"""Parts of the signed evidence in the formats of in-toto: the tested files, and the summary for policy engines."""
