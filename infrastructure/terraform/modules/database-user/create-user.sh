# Creates the service's own user of the database, or sets its password: run as the master user, once or as often as you like.
#
# PGHOST, PGPORT, PGDATABASE: the database. PGUSER, PGPASSWORD: its master user.
# DATABASE_URL: the service's own URL. READER_URL (optional): that of a user who may only read, for the checks.
# PGSSLROOTCERT_URL (optional): where the certificate of the database's authority is.
set -eu

if [ -n "${PGSSLROOTCERT_URL:-}" ]; then
    wget -q -O /tmp/authority.pem "$PGSSLROOTCERT_URL"
    export PGSSLROOTCERT=/tmp/authority.pem PGSSLMODE=verify-full
fi

# Prints the part of a URL between :// and the first @.
credentials() {
    rest="${1#*://}"
    printf '%s' "${rest%%@*}"
}

# Refuses a URL whose user or password would need decoding; names the variable, and never the value.
refuse_unusual() {
    case "$2" in
    *[!A-Za-z0-9_:-]* | *:*:* | :* | *: | "")
        echo "$1: user and password must be letters, digits, - and _ (openssl rand -hex 32 makes such a password)" >&2
        exit 4
        ;;
    *:*) ;;
    *)
        echo "$1 must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and it names no password" >&2
        exit 4
        ;;
    esac
}

# Reads statements from its input: no password is an argument of a process, or a text of the log.
run() {
    psql --no-psqlrc --quiet --tuples-only --set ON_ERROR_STOP=1 > /dev/null
}

# Creates the user $1 with the password $2.
login() {
    run <<END
\\set user '$1'
\\set password '$2'
SELECT format('CREATE ROLE %I LOGIN', :'user') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \\gexec
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', :'user', :'password') \\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'user') \\gexec
END
}

service="$(credentials "$DATABASE_URL")"
refuse_unusual DATABASE_URL "$service"
reader="$(credentials "${READER_URL:-}")"
[ -z "${READER_URL:-}" ] || refuse_unusual READER_URL "$reader"

login "${service%%:*}" "${service#*:}"
run <<END
\\set user '${service%%:*}'
SELECT format('GRANT CREATE, TEMPORARY ON DATABASE %I TO %I', current_database(), :'user') \\gexec
SELECT format('GRANT USAGE, CREATE ON SCHEMA public TO %I', :'user') \\gexec
END
echo "the user ${service%%:*} exists, and may create tables"

if [ -n "$reader" ]; then
    login "${reader%%:*}" "${reader#*:}"
    run <<END
\\set user '${service%%:*}'
\\set reader '${reader%%:*}'
SELECT format('GRANT %I TO CURRENT_USER', :'user') \\gexec
SELECT format('GRANT USAGE ON SCHEMA public TO %I', :'reader') \\gexec
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA public TO %I', :'reader') \\gexec
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT SELECT ON TABLES TO %I', :'user', :'reader') \\gexec
END
    echo "the user ${reader%%:*} exists, and may only read"
fi
