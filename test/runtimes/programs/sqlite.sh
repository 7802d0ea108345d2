sqlite3 t.db 'pragma journal_mode=wal; create table t(a integer, b text);'
(for i in $(seq 1 40); do sqlite3 -cmd '.timeout 20000' t.db "insert into t values($i,'one')"; done) &
(for i in $(seq 1 40); do sqlite3 -cmd '.timeout 20000' t.db "insert into t values($i,'two')"; done) &
wait
sqlite3 t.db 'select b,count(*),sum(a) from t group by b; pragma integrity_check;'
