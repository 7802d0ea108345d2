# As an ordinary user: a server refuses to be root.
if [ "$(id -u)" = 0 ]; then
  d=$(mktemp -d) && cp "$0" "$d/" && chmod 777 "$d" && cd "$d" && exec setpriv --reuid=65534 --regid=65534 --clear-groups bash "$d/$(basename "$0")"
fi
export PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -1):$PATH LC_ALL=C.UTF-8 HOME=$PWD
initdb -D db -A trust -U me > init.log 2>&1 || { tail -5 init.log; exit 1; }
run=$(mktemp -d)
pg_ctl -D db -o "-c listen_addresses=127.0.0.1 -c port=5544 -c unix_socket_directories=$run" -w -t 120 -l pg.log start > /dev/null 2>&1 || { tail -20 pg.log; exit 2; }
sql() { psql -X -h 127.0.0.1 -p 5544 -U me postgres -At -c "$1"; }
sql 'create table t(a int primary key, b text)'
sql "insert into t select i, md5(i::text) from generate_series(1, 20000) i"
sql 'select count(*), sum(a), min(b) from t'
sql 'create index on t(b); analyze t; select a from t where b = md5($$77$$)'
pgbench -h "$run" -p 5544 -U me -i -s 1 postgres > /dev/null 2>&1
pgbench -h "$run" -p 5544 -U me -c 4 -j 2 -t 100 postgres 2> /dev/null | grep -E 'processed|failed'
pg_ctl -D db -m immediate stop > /dev/null
pg_ctl -D db -o "-c listen_addresses= -c port=5544 -c unix_socket_directories=$run" -w -t 120 -l pg.log start > /dev/null
psql -X -h "$run" -p 5544 -U me postgres -At -c 'select count(*) from t'
pg_ctl -D db -m fast stop
