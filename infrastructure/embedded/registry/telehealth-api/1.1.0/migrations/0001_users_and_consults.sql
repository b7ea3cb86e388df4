CREATE TABLE users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         text NOT NULL UNIQUE,          -- in lower case
    password_hash text NOT NULL,                 -- argon2id, with its own parameters and salt
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE consults (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    patient    text NOT NULL,
    reason     text NOT NULL,
    starts_at  timestamptz NOT NULL,
    status     text NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'completed')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The order of the list, and what its cursor seeks in.
CREATE INDEX consults_newest_first ON consults (user_id, created_at DESC, id DESC);
