# Makes the database that POSTGRES_DB, POSTGRES_USER and POSTGRES_PASSWORD name in PGDATA, unless it is there, and serves it.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install --directory --owner postgres --mode 0700 "$PGDATA"
    printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
    chown postgres /tmp/password
    runuser -u postgres -- "$bin/initdb" --pgdata "$PGDATA" --username "$POSTGRES_USER" \
        --pwfile /tmp/password --auth scram-sha-256 --encoding UTF8
    rm /tmp/password
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB;" | runuser -u postgres -- "$bin/postgres" --single -D "$PGDATA" postgres
fi
exec runuser -u postgres -- "$bin/postgres" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
