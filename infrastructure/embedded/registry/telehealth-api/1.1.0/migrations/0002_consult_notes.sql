-- Expand only: 1.0.0 names its columns, so it neither reads nor misses this one. No default, so no row is rewritten.
ALTER TABLE consults ADD COLUMN notes text;
