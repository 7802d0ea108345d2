redis-server --port 7777 --bind 127.0.0.1 --appendonly yes --dir . > redis.log 2>&1 &
for i in $(seq 1 200); do redis-cli -p 7777 ping > /dev/null 2>&1 && break; sleep 0.1; done
redis-cli -p 7777 set a 1; redis-cli -p 7777 incr a; redis-cli -p 7777 lpush l x y z; redis-cli -p 7777 lrange l 0 -1
redis-benchmark -p 7777 -n 5000 -q -t set,get,lpush -P 4 2>&1 | tr '\r' '\n' | grep -c 'requests per second'
redis-cli -p 7777 bgsave
for i in $(seq 1 100); do redis-cli -p 7777 info persistence | grep -q 'rdb_bgsave_in_progress:0' && break; sleep 0.1; done
redis-cli -p 7777 bgrewriteaof; sleep 1
redis-cli -p 7777 shutdown; wait; ls dump.rdb
redis-server --port 7777 --bind 127.0.0.1 --appendonly yes --dir . > redis2.log 2>&1 &
for i in $(seq 1 200); do redis-cli -p 7777 ping > /dev/null 2>&1 && break; sleep 0.1; done
redis-cli -p 7777 get a; redis-cli -p 7777 shutdown nosave; wait
